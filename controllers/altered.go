package controllers

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

const (
	// alteredRetry is how often the operator repeats a change that admission undid.
	alteredRetry = time.Hour
	// unseenRetry is how often the operator reads a Secret for which it gets no events.
	unseenRetry = conflictRetry
	// unseenRate is how many such Secrets are read per second: where there are very many, each is read
	// less often.
	unseenRate = 20
	// changedTokenRetry is the shortest time between two writes of a Secret of which admission changes a token: the event
	// of each write wakes the key, and must not bring about the next write.
	changedTokenRetry = 10 * time.Second
)

// isSelected tells whether a Secret has the label by which the caches select. The operator gets no events for a Secret without it.
func isSelected(secret *corev1.Secret) bool {
	return secret.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy
}

// alterations remembers the Secrets that the API server did not store as the operator wrote them, since an
// admission webhook or policy changes them. The operator writes such a Secret again only when another part of it
// must change, when another client changed it, and once in alteredRetry.
type alterations struct {
	monotonic clock.PassiveClock

	mu    sync.Mutex
	known map[types.NamespacedName]alteration
}

// alteration is one Secret as it was stored, and what was written.
type alteration struct {
	uid     types.UID
	version string
	wanted  [sha256.Size]byte
	at      time.Time
	written secretWritten
	// refused is why the Secret is of no use as it was stored; nil where it is.
	refused error
}

// secretWritten is what a write of a Secret was to store, as far as it is compared with what was stored.
type secretWritten struct {
	// refresh and access are the hashes of the tokens; empty where there is none.
	refresh, access string
	annotations     map[string]string
}

// writtenIn reads what is about to be written: the answer of the API server takes its place in the same object.
func writtenIn(secret *corev1.Secret) secretWritten {
	written := secretWritten{refresh: heldHash(secret), annotations: maps.Clone(secret.Annotations)}
	if access := secret.Data[v1alpha1.SecretAccessToken]; len(access) > 0 {
		written.access = token.Hash(string(access))
	}
	return written
}

// changed names the token that is not stored as it was written; empty where both are.
func (w *secretWritten) changed(stored *corev1.Secret) string {
	switch now := writtenIn(stored); {
	case now.refresh != w.refresh:
		return "token"
	case now.access != w.access:
		return "access token"
	default:
		return ""
	}
}

// empty: the Secret was to hold no token.
func (w *secretWritten) empty() bool { return w.refresh == "" && w.access == "" }

func newAlterations(monotonic clock.PassiveClock) *alterations {
	return &alterations{monotonic: monotonic, known: map[types.NamespacedName]alteration{}}
}

// note remembers how a Secret was stored, and tells whether none of this object was altered before.
func (a *alterations) note(name types.NamespacedName, stored *corev1.Secret, wanted [sha256.Size]byte, written secretWritten) (first bool) {
	return a.remember(name, stored, alteration{wanted: wanted, written: written})
}

// refuse remembers that a Secret was stored with another token than was written, and why that is of no use.
func (a *alterations) refuse(name types.NamespacedName, stored *corev1.Secret, written secretWritten, refused error) {
	a.remember(name, stored, alteration{written: written, refused: refused})
}

func (a *alterations) remember(name types.NamespacedName, stored *corev1.Secret, known alteration) (first bool) {
	known.uid, known.version, known.at = stored.UID, stored.ResourceVersion, a.monotonic.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	_, before := a.known[name]
	a.known[name] = known
	return !before
}

// of is what is known of a Secret that is as admission left it.
func (a *alterations) of(name types.NamespacedName, secret *corev1.Secret) (alteration, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known, found := a.known[name]
	return known, found && known.uid == secret.UID && known.version == secret.ResourceVersion
}

// keeps tells whether a Secret is as admission left it when the same was written, a short time ago.
func (a *alterations) keeps(name types.NamespacedName, secret *corev1.Secret, wanted func() [sha256.Size]byte) bool {
	_, keeps := a.kept(name, secret, wanted)
	return keeps
}

// kept returns what was written of a Secret that keeps says true of.
func (a *alterations) kept(name types.NamespacedName, secret *corev1.Secret, wanted func() [sha256.Size]byte) (secretWritten, bool) {
	known, found := a.of(name, secret)
	return known.written, found && known.refused == nil && a.monotonic.Since(known.at) < alteredRetry && known.wanted == wanted()
}

// refusal is why a Secret is not written again yet, with tokens or without: admission changed the tokens of the last
// such write, and the Secret is as it was stored then.
func (a *alterations) refusal(name types.NamespacedName, secret *corev1.Secret, empty bool) error {
	known, found := a.of(name, secret)
	if !found || known.refused == nil || known.written.empty() != empty || a.monotonic.Since(known.at) >= changedTokenRetry {
		return nil
	}
	return known.refused
}

func (a *alterations) forget(name types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.known, name)
}

// lookEvery is how often the operator reads a Secret for which it gets no events.
func (a *alterations) lookEvery() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return max(unseenRetry, time.Duration(len(a.known))*time.Second/unseenRate)
}

// fingerprint tells one wantedSecret from another.
func (w *wantedSecret) fingerprint() [sha256.Size]byte {
	// Maps are printed in the order of their keys.
	return sha256.Sum256(fmt.Append(nil, w.labels, w.annotations, w.data, len(w.owners), w.ownerUID()))
}

func (w *wantedSecret) ownerUID() types.UID {
	if len(w.owners) == 0 {
		return ""
	}
	return w.owners[0].UID
}

// differences names the parts of a digested Secret that differ from the wanted ones, so that users find what changes it.
func (w *wantedSecret) differences(secret *corev1.Secret) string {
	var different []string
	for _, part := range []struct {
		what       string
		have, want map[string]string
	}{{"label", secret.Labels, w.labels}, {"annotation", secret.Annotations, w.annotations}} {
		for _, name := range slices.Sorted(maps.Keys(part.want)) {
			if got, found := part.have[name]; !found || got != part.want[name] {
				different = append(different, part.what+" "+name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.data)) {
		if sum := sha256.Sum256([]byte(w.data[name])); secret.StringData[name] != string(sum[:]) {
			different = append(different, "entry "+name)
		}
	}
	if !w.ownedRight(secret) {
		different = append(different, "owner reference")
	}
	if len(different) == 0 {
		return "an entry of its own"
	}
	return strings.Join(different, ", ")
}
