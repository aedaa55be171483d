package writes

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/controllers/secrets"
)

// longestLag is how long an object waits for the caches to show the manager's last write of it. After
// that, the manager reads it from the API server.
const longestLag = 500 * time.Millisecond

// Own records the manager's own writes that the caches do not show yet. The manager reconciles the object of
// such a write when the event of the write arrives, or after longestLag. No worker waits in between.
//
// It only saves work: correctness rests on the resourceVersion under which every write is made. An entry is removed
// when the caches show the write, so objects at rest have none.
type Own struct {
	cached client.Reader
	clock  clock.PassiveClock
	// blank returns an empty object of the kind that the entries are for.
	blank func() client.Object

	mu      sync.Mutex
	pending map[types.NamespacedName]pendingWrites
}

// pendingWrites are the last writes for one object.
type pendingWrites struct {
	at time.Time
	// status is the resourceVersion of the object after the last write of its status.
	status string
	secret secretWrite
}

// secretWrite is the last write of the Secret of an object.
type secretWrite struct {
	name types.NamespacedName
	// version is the resourceVersion after the write; empty for a deletion.
	version string
	// deleted is the UID of a Secret that was deleted.
	deleted types.UID
}

// NewOwn returns an empty record of writes of objects, of which blank returns an empty one.
func NewOwn(cached client.Reader, clock clock.PassiveClock, blank func() client.Object) *Own {
	return &Own{cached: cached, clock: clock, blank: blank, pending: map[types.NamespacedName]pendingWrites{}}
}

// WroteStatus records a write of an object's status.
func (w *Own) WroteStatus(object client.Object) {
	w.note(client.ObjectKeyFromObject(object), func(p *pendingWrites) { p.status = object.GetResourceVersion() })
}

// WroteSecret records a write of an object's Secret, in place of an earlier one. The caches show a Secret only if it
// has the label that they select by; there are no events for other Secrets.
func (w *Own) WroteSecret(name types.NamespacedName, secret *corev1.Secret) {
	w.note(name, func(p *pendingWrites) {
		p.secret = secretWrite{}
		if secrets.Selected(secret) {
			p.secret = secretWrite{name: client.ObjectKeyFromObject(secret), version: secret.ResourceVersion}
		}
	})
}

// DeletedSecret records the deletion of an object's Secret.
func (w *Own) DeletedSecret(name types.NamespacedName, secret *corev1.Secret) {
	w.note(name, func(p *pendingWrites) {
		p.secret = secretWrite{}
		if secrets.Selected(secret) {
			p.secret = secretWrite{name: client.ObjectKeyFromObject(secret), deleted: secret.UID}
		}
	})
}

func (w *Own) note(name types.NamespacedName, change func(*pendingWrites)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.pending[name]
	p.at = w.clock.Now()
	change(&p)
	w.set(name, p)
}

func (w *Own) set(name types.NamespacedName, p pendingWrites) {
	if p.status == "" && p.secret == (secretWrite{}) {
		delete(w.pending, name)
		return
	}
	w.pending[name] = p
}

// Behind returns what to do while the caches do not show the last write of an object. If wait is not 0, reconcile the
// object after it. If live is true, longestLag is over: read the object from the API server.
func (w *Own) Behind(ctx context.Context, name types.NamespacedName) (wait time.Duration, live bool, err error) {
	w.mu.Lock()
	p, found := w.pending[name]
	w.mu.Unlock()
	if !found {
		return 0, false, nil
	}
	left := p
	if p.status != "" {
		shown, err := w.showsStatus(ctx, name, p.status)
		if err != nil {
			return 0, false, err
		}
		if shown {
			left.status = ""
		}
	}
	if p.secret != (secretWrite{}) {
		shown, err := w.showsSecret(ctx, p.secret)
		if err != nil {
			return 0, false, err
		}
		if shown {
			left.secret = secretWrite{}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.set(name, left)
	if left.status == "" && left.secret == (secretWrite{}) {
		return 0, false, nil
	}
	if wait := p.at.Add(longestLag).Sub(w.clock.Now()); wait > 0 {
		return wait, false, nil
	}
	return 0, true, nil
}

// SawSecret records the Secret that the API server returned for an object, nil if it does not exist. It removes an
// expected write that the caches may never show: another write followed, or the Secret lost its label.
func (w *Own) SawSecret(name types.NamespacedName, secret *corev1.Secret) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, found := w.pending[name]
	if !found {
		return
	}
	expected := p.secret.version != "" && secret != nil && secret.ResourceVersion == p.secret.version && secrets.Selected(secret)
	if gone := p.secret.deleted != "" && secret == nil; !expected && !gone {
		p.secret = secretWrite{}
		w.set(name, p)
	}
}

// Forget removes the record of an object.
func (w *Own) Forget(name types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pending, name)
}

// showsStatus reports whether the cache shows an object at the written version or later. An object that is not in the
// cache was deleted since.
func (w *Own) showsStatus(ctx context.Context, name types.NamespacedName, version string) (bool, error) {
	object := w.blank()
	if err := w.cached.Get(ctx, name, object); err != nil {
		return true, client.IgnoreNotFound(err)
	}
	return !olderVersion(object.GetResourceVersion(), version), nil
}

func (w *Own) showsSecret(ctx context.Context, write secretWrite) (bool, error) {
	secret := &corev1.Secret{}
	err := w.cached.Get(ctx, write.name, secret)
	if client.IgnoreNotFound(err) != nil {
		return false, err
	}
	if write.deleted != "" {
		return apierrors.IsNotFound(err) || secret.UID != write.deleted, nil
	}
	return err == nil && !olderVersion(secret.ResourceVersion, write.version), nil
}

// olderVersion reports whether resourceVersion a is older than b, of objects of one kind; false if either is invalid.
func olderVersion(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order < 0
}
