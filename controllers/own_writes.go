package controllers

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
)

// longestLag is how long an object waits for the caches to show the manager's own last write of it. After
// that it is read from the API server.
const longestLag = 500 * time.Millisecond

// ownWrites remembers what this manager wrote and the caches do not show yet. An object whose last write is
// not shown is not decided on: the event of that write wakes it, or longestLag ends. Nothing waits meanwhile.
//
// It saves work, and nothing depends on it: every write is made under the resourceVersion that it was decided
// on. An entry is removed when the caches show the write, so objects at rest have none.
type ownWrites struct {
	cached    client.Reader
	monotonic clock.PassiveClock
	// blank makes an object of the kind that the entries are for.
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

func newOwnWrites(cached client.Reader, monotonic clock.PassiveClock, blank func() client.Object) *ownWrites {
	return &ownWrites{cached: cached, monotonic: monotonic, blank: blank, pending: map[types.NamespacedName]pendingWrites{}}
}

// wroteStatus notes a write of an object's status.
func (w *ownWrites) wroteStatus(object client.Object) {
	w.note(client.ObjectKeyFromObject(object), func(p *pendingWrites) { p.status = object.GetResourceVersion() })
}

// wroteSecret notes a write of an object's Secret, and the end of what was expected of it before. The caches
// show a Secret only if it has the label that they select by; there are no events for other Secrets.
func (w *ownWrites) wroteSecret(name types.NamespacedName, secret *corev1.Secret) {
	w.note(name, func(p *pendingWrites) {
		p.secret = secretWrite{}
		if isSelected(secret) {
			p.secret = secretWrite{name: client.ObjectKeyFromObject(secret), version: secret.ResourceVersion}
		}
	})
}

// deletedSecret notes the deletion of an object's Secret.
func (w *ownWrites) deletedSecret(name types.NamespacedName, secret *corev1.Secret) {
	w.note(name, func(p *pendingWrites) {
		p.secret = secretWrite{}
		if isSelected(secret) {
			p.secret = secretWrite{name: client.ObjectKeyFromObject(secret), deleted: secret.UID}
		}
	})
}

func (w *ownWrites) note(name types.NamespacedName, change func(*pendingWrites)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.pending[name]
	p.at = w.monotonic.Now()
	change(&p)
	w.set(name, p)
}

func (w *ownWrites) set(name types.NamespacedName, p pendingWrites) {
	if p.status == "" && p.secret == (secretWrite{}) {
		delete(w.pending, name)
		return
	}
	w.pending[name] = p
}

// behind tells what to do while the caches do not show the last write of an object. If wait is not 0, the object must
// be looked at again after it. If live is true, the wait has taken too long: read the object from the API server.
func (w *ownWrites) behind(ctx context.Context, name types.NamespacedName) (wait time.Duration, live bool, err error) {
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
	if wait := p.at.Add(longestLag).Sub(w.monotonic.Now()); wait > 0 {
		return wait, false, nil
	}
	return 0, true, nil
}

// sawSecret notes what the API server has under the name of an object's Secret, nil for nothing. A write that
// another has followed, or of a Secret that was relabelled since, is one that the caches may never show.
func (w *ownWrites) sawSecret(name types.NamespacedName, secret *corev1.Secret) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, found := w.pending[name]
	if !found {
		return
	}
	expected := p.secret.version != "" && secret != nil && secret.ResourceVersion == p.secret.version && isSelected(secret)
	if gone := p.secret.deleted != "" && secret == nil; !expected && !gone {
		p.secret = secretWrite{}
		w.set(name, p)
	}
}

func (w *ownWrites) forget(name types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pending, name)
}

// showsStatus tells whether the cache shows an object as it was written, or later. One that is not there was
// deleted since.
func (w *ownWrites) showsStatus(ctx context.Context, name types.NamespacedName, version string) (bool, error) {
	object := w.blank()
	if err := w.cached.Get(ctx, name, object); err != nil {
		return true, client.IgnoreNotFound(err)
	}
	return !olderVersion(object.GetResourceVersion(), version), nil
}

func (w *ownWrites) showsSecret(ctx context.Context, write secretWrite) (bool, error) {
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

// olderVersion compares resourceVersions of one kind. One that cannot be read is not older.
func olderVersion(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order < 0
}
