package memory

import (
	"context"
	"fmt"
	"math"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
	"github.com/refreshkeys/refreshkeys/internal/usage"
)

// rememberFor is how long a refresh key that was read for a token is remembered.
const rememberFor = 3 * time.Second

// Fresh implements grant.Registry.
func (r *Registry) Fresh() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.faults.stale {
		return upstream.Unavailable("the view in memory is stale")
	}
	return nil
}

// KeysProven implements grant.Registry. A view that is not stale has just been proven, also if it is held.
func (r *Registry) KeysProven(string) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.faults.stale {
		return math.MaxInt64
	}
	return 0
}

// Key implements grant.Registry.
func (r *Registry) Key(name types.NamespacedName) *v1alpha1.JWTRefreshKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.view.keys[name]
}

// KeyLive implements grant.Registry.
func (r *Registry) KeyLive(_ context.Context, name types.NamespacedName, jti string) (*v1alpha1.JWTRefreshKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	question, now := name.String()+"/"+jti, r.clock.Now()
	if last, known := r.recent[question]; known && now.Sub(last.at) < rememberFor {
		return last.key, nil
	}
	key, err := r.read(name)
	if err == nil {
		r.recent[question] = read{key: key, at: now}
	}
	return key, err
}

// KeyNow implements grant.Registry.
func (r *Registry) KeyNow(_ context.Context, name types.NamespacedName) (*v1alpha1.JWTRefreshKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.read(name)
}

// SessionNow implements grant.Registry.
func (r *Registry) SessionNow(_ context.Context, name types.NamespacedName) (*v1alpha1.JWTRefreshKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.read(name); err != nil {
		return nil, err
	}
	return r.cluster.keys[name].DeepCopy(), nil
}

// read reads a refresh key, and adds it to the view.
func (r *Registry) read(name types.NamespacedName) (*v1alpha1.JWTRefreshKey, error) {
	if err := r.answers(); err != nil {
		return nil, err
	}
	r.counts.Reads++
	key := r.cluster.keys[name]
	if key == nil {
		return nil, nil
	}
	r.view.keys[name] = slim(key)
	return r.view.keys[name], nil
}

// NamespaceLabels implements grant.Registry.
func (r *Registry) NamespaceLabels(name string) (map[string]string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	labels, known := r.view.namespaces[name]
	return labels, known
}

// At implements grant.Registry.
func (r *Registry) At(path, host string) registry.Place {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.directory.At(path, host)
}

// ServiceOf implements grant.Registry.
func (r *Registry) ServiceOf(url, kid string) registry.Service {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.directory.ServiceOf(url, kid)
}

// IssuersNow implements grant.Registry. Like a real replica it does not forget issuers that are deleted.
func (r *Registry) IssuersNow(context.Context, string, string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.answers(); err != nil {
		return err
	}
	r.counts.Lists++
	for name, issuer := range r.cluster.issuers {
		r.view.issuers[name] = issuer
	}
	r.rebuild()
	return nil
}

// IssuerReread implements grant.Registry.
func (r *Registry) IssuerReread(_ context.Context, issuer *registry.Issuer, _ string) (*registry.Issuer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.answers(); err != nil {
		return nil, err
	}
	r.counts.Lists++
	if rings := r.cluster.rings[issuer.Name]; rings != nil {
		r.view.rings[issuer.Name] = rings
	}
	r.rebuild()
	if known := r.directory.Issuer(issuer.URL); known != nil {
		return known, nil
	}
	return issuer, nil
}

// write writes a refresh key if it is the same object and has the stored resourceVersion, and fills in the next one.
func (r *Registry) write(key *v1alpha1.JWTRefreshKey) error {
	if err := r.answers(); err != nil {
		return err
	}
	r.counts.Writes++
	stored := r.cluster.keys[nameOf(key)]
	if stored == nil || stored.UID != key.UID || stored.ResourceVersion != key.ResourceVersion {
		r.counts.Lost++
		return fmt.Errorf("%w: the refresh key in memory is not at version %s", registry.ErrLost, key.ResourceVersion)
	}
	// A write of status leaves the rest as it is.
	next := stored.DeepCopy()
	key.Status.DeepCopyInto(&next.Status)
	r.stamp(next)
	key.ResourceVersion = next.ResourceVersion
	r.put(next)
	return nil
}

// put stores a refresh key, and adds it to the view.
func (r *Registry) put(key *v1alpha1.JWTRefreshKey) {
	r.cluster.keys[nameOf(key)] = key
	r.view.keys[nameOf(key)] = slim(key)
}

// Advance implements grant.Registry.
func (r *Registry) Advance(_ context.Context, key *v1alpha1.JWTRefreshKey, line *v1alpha1.TokenLine, use *usage.Use) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := key.DeepCopy()
	next.Status.TokenLine = *line
	next.Status.LastUsed, next.Status.LastUsedRevision = &metav1.Time{Time: use.At}, use.Revision
	next.Status.DeviceInfo = &use.Seen
	return r.write(next)
}

// Revoke implements grant.Registry.
func (r *Registry) Revoke(ctx context.Context, name types.NamespacedName, reason v1alpha1.RevocationReason, due func(*v1alpha1.JWTRefreshKey) bool) error {
	const tries = 10
	for range tries {
		switch done, err := r.revoke(name, reason, due); {
		case done || err != nil:
			return err
		case ctx.Err() != nil:
			return fmt.Errorf("%w: %w", upstream.ErrUnavailable, ctx.Err())
		}
	}
	return fmt.Errorf("%w: the refresh key in memory changes too often", registry.ErrLost)
}

// revoke returns false if another writer was first. It calls due without the lock, since due may call the registry.
func (r *Registry) revoke(name types.NamespacedName, reason v1alpha1.RevocationReason, due func(*v1alpha1.JWTRefreshKey) bool) (done bool, err error) {
	r.mu.Lock()
	err = r.answers()
	key := r.cluster.keys[name].DeepCopy()
	r.mu.Unlock()
	if err != nil || key == nil {
		return true, err
	}
	wanted := key.Status.RevokedAt == nil && due(key)
	r.mu.Lock()
	defer r.mu.Unlock()
	unchanged := r.cluster.keys[name] != nil && r.cluster.keys[name].ResourceVersion == key.ResourceVersion
	if unchanged {
		r.view.keys[name] = slim(key)
	}
	if !wanted || !unchanged {
		return !wanted, nil
	}
	now := metav1.NewTime(r.clock.Now())
	key.Status.RevokedAt, key.Status.RevocationReason, key.Status.Previous = &now, reason, nil
	key.Status.LastHandledRotate = lifecycle.HandledRotate(key)
	return true, r.write(key)
}

// Used implements grant.Registry. It writes the use at once.
func (r *Registry) Used(use *usage.Use) {
	r.mu.Lock()
	defer r.mu.Unlock()
	stored := r.cluster.keys[use.Key]
	if stored == nil || stored.UID != use.UID || r.faults.away {
		return
	}
	next, at, seen := stored.DeepCopy(), metav1.NewTime(use.At), use.Seen
	next.Status.DeviceInfo = &seen
	if use.Superseded {
		next.Status.SupersededLastUsed = &at
	} else {
		next.Status.LastUsed = &at
		if !lifecycle.OneTime(stored) {
			next.Status.LastUsedRevision = max(next.Status.LastUsedRevision, use.Revision)
		}
	}
	r.stamp(next)
	r.put(next)
}

// Sessions implements grant.Registry.
func (r *Registry) Sessions(issuer string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range r.view.keys {
		if key.Status.Session != nil && lifecycle.IssuerName(key) == issuer {
			n++
		}
	}
	return n
}

// SessionsKnown implements grant.Registry.
func (r *Registry) SessionsKnown(namespace, issuer, subject string) (found []*v1alpha1.JWTRefreshKey, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range r.view.keys {
		session := key.Status.Session
		if session != nil && session.Subject == subject && key.Namespace == namespace && lifecycle.IssuerName(key) == issuer {
			found = append(found, key)
		}
	}
	return found, nil
}

// SessionsOf implements grant.Registry.
func (r *Registry) SessionsOf(_ context.Context, namespace, subject string) ([]v1alpha1.JWTRefreshKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.answers(); err != nil {
		return nil, err
	}
	return r.cluster.list(func(key *v1alpha1.JWTRefreshKey) bool {
		return key.Namespace == namespace && key.Labels[v1alpha1.LabelSessionOf] == subject
	}), nil
}

// CreateSession implements grant.Registry.
func (r *Registry) CreateSession(_ context.Context, key *v1alpha1.JWTRefreshKey) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.answers(); err != nil {
		return err
	}
	r.counts.Writes++
	if r.cluster.keys[nameOf(key)] != nil {
		return fmt.Errorf("%w: the name %s is taken", registry.ErrLost, key.Name)
	}
	r.stamp(key)
	created := key.DeepCopy()
	// Status is written by itself.
	created.Status = v1alpha1.JWTRefreshKeyStatus{}
	r.cluster.keys[nameOf(key)] = created
	r.follow()
	return nil
}

// BeginSession implements grant.Registry.
func (r *Registry) BeginSession(_ context.Context, key *v1alpha1.JWTRefreshKey) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.faults.begins > 0 {
		r.faults.begins--
		return upstream.Unavailable("the API server in memory fails to begin a session")
	}
	return r.write(key)
}

// EndSession implements grant.Registry.
func (r *Registry) EndSession(_ context.Context, key *v1alpha1.JWTRefreshKey) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.answers(); err != nil {
		return err
	}
	r.counts.Writes++
	stored := r.cluster.keys[nameOf(key)]
	switch {
	case stored == nil:
		return nil
	case stored.UID != key.UID || (key.ResourceVersion != "" && stored.ResourceVersion != key.ResourceVersion):
		return fmt.Errorf("%w: the session in memory is at version %s", registry.ErrLost, stored.ResourceVersion)
	}
	r.version++
	delete(r.cluster.keys, nameOf(key))
	r.follow()
	return nil
}

// ServiceAccountUID implements grant.Registry.
func (r *Registry) ServiceAccountUID(_ context.Context, name types.NamespacedName) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.answers(); err != nil {
		return "", err
	}
	return string(r.cluster.accounts[name]), nil
}
