package writes

import (
	"crypto/sha256"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/secrets"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

const (
	// alteredRetry is how often the operator repeats a change that admission reverted.
	alteredRetry = time.Hour
	// unseenRetry is how often the operator reads a Secret for which it gets no events.
	unseenRetry = 30 * time.Second
	// unseenRate is how many such Secrets the operator reads per second at most. With more of them, it reads each
	// less often.
	unseenRate = 20
	// changedTokenRetry is the shortest time between two writes of a Secret if admission changes a token in it. The
	// event of each write enqueues the key, and must not cause the next write.
	changedTokenRetry = 10 * time.Second
)

// Alterations records the Secrets that an admission webhook or policy changes when the operator writes them. The
// operator writes such a Secret again only when another part of it must change, when another client changed it, and
// once in alteredRetry.
type Alterations struct {
	clock clock.PassiveClock

	mu    sync.Mutex
	known map[types.NamespacedName]alteration
}

// alteration is one Secret as the API server stored it, and what the operator wrote.
type alteration struct {
	uid     types.UID
	version string
	wanted  [sha256.Size]byte
	at      time.Time
	written Content
	// refused is why the stored Secret is unusable; nil if it is usable.
	refused error
}

// Content is the part of a written Secret that is compared with what the API server stored.
type Content struct {
	// refresh and access are the hashes of the tokens; empty without a token.
	refresh, access string
	// Annotations are those of the Secret.
	Annotations map[string]string
}

// ContentOf returns what a write of the Secret would store. Call it before the write: the client decodes the answer
// of the API server into the same object.
func ContentOf(secret *corev1.Secret) Content {
	written := Content{refresh: secrets.HeldHash(secret), Annotations: maps.Clone(secret.Annotations)}
	if access := secret.Data[v1alpha1.SecretAccessToken]; len(access) > 0 {
		written.access = token.Hash(string(access))
	}
	return written
}

// Changed returns the name of the token that was not stored as written; empty if both were.
func (w *Content) Changed(stored *corev1.Secret) string {
	switch now := ContentOf(stored); {
	case now.refresh != w.refresh:
		return "token"
	case now.access != w.access:
		return "access token"
	default:
		return ""
	}
}

// empty reports whether the Secret was written without tokens.
func (w *Content) empty() bool { return w.refresh == "" && w.access == "" }

// NewAlterations returns an empty record.
func NewAlterations(clock clock.PassiveClock) *Alterations {
	return &Alterations{clock: clock, known: map[types.NamespacedName]alteration{}}
}

// Note records how a Secret was stored. first is true if there was no record for this object.
func (a *Alterations) Note(name types.NamespacedName, stored *corev1.Secret, wanted [sha256.Size]byte, written Content) (first bool) {
	return a.remember(name, stored, alteration{wanted: wanted, written: written})
}

// Refuse records that a Secret was stored with another token than was written, and the error to report.
func (a *Alterations) Refuse(name types.NamespacedName, stored *corev1.Secret, written Content, refused error) {
	a.remember(name, stored, alteration{written: written, refused: refused})
}

func (a *Alterations) remember(name types.NamespacedName, stored *corev1.Secret, known alteration) (first bool) {
	known.uid, known.version, known.at = stored.UID, stored.ResourceVersion, a.clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	_, before := a.known[name]
	a.known[name] = known
	return !before
}

// of returns the record of a Secret that has not changed since it was stored.
func (a *Alterations) of(name types.NamespacedName, secret *corev1.Secret) (alteration, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known, found := a.known[name]
	return known, found && known.uid == secret.UID && known.version == secret.ResourceVersion
}

// IsKept reports whether a Secret is as admission stored it when the same content was written, less than alteredRetry ago.
func (a *Alterations) IsKept(name types.NamespacedName, secret *corev1.Secret, wanted func() [sha256.Size]byte) bool {
	_, kept := a.Kept(name, secret, wanted)
	return kept
}

// Kept returns what was written to a Secret for which IsKept is true.
func (a *Alterations) Kept(name types.NamespacedName, secret *corev1.Secret, wanted func() [sha256.Size]byte) (Content, bool) {
	known, found := a.of(name, secret)
	return known.written, found && known.refused == nil && a.clock.Since(known.at) < alteredRetry && known.wanted == wanted()
}

// Refusal returns why the Secret must not be written again yet, with or without tokens (empty). Then admission changed
// the tokens of the last such write, and the Secret has not changed since. It returns nil after changedTokenRetry.
func (a *Alterations) Refusal(name types.NamespacedName, secret *corev1.Secret, empty bool) error {
	known, found := a.of(name, secret)
	if !found || known.refused == nil || known.written.empty() != empty || a.clock.Since(known.at) >= changedTokenRetry {
		return nil
	}
	return known.refused
}

// Forget removes the record of an object.
func (a *Alterations) Forget(name types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.known, name)
}

// LookEvery returns how often the operator reads a Secret for which it gets no events.
func (a *Alterations) LookEvery() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return max(unseenRetry, time.Duration(len(a.known))*time.Second/unseenRate)
}
