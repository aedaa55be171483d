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
)

const (
	// alteredRetry is how often the operator repeats a change that admission undid.
	alteredRetry = time.Hour
	// unseenRetry is how often the operator reads a Secret for which it gets no events.
	unseenRetry = conflictRetry
	// unseenRate is how many such Secrets are read per second: where there are very many, each is read
	// less often.
	unseenRate = 20
)

// isSelected tells whether a Secret has the label by which the caches select. The operator gets no events for a Secret without it.
func isSelected(secret *corev1.Secret) bool {
	return secret.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy
}

// alterations remembers the Secrets that the API server did not store as the operator wrote them, since an
// admission webhook or policy changes them. The operator writes such a Secret again only when another part of it
// must change, when another client changed it, and once in alteredRetry.
type alterations struct {
	pulse clock.PassiveClock

	mu    sync.Mutex
	known map[types.NamespacedName]alteration
}

// alteration is one Secret as it was stored, and what was written.
type alteration struct {
	uid     types.UID
	version string
	wanted  [sha256.Size]byte
	at      time.Time
}

func newAlterations(pulse clock.PassiveClock) *alterations {
	return &alterations{pulse: pulse, known: map[types.NamespacedName]alteration{}}
}

// note remembers how a Secret was stored, and tells whether none of this object was altered before.
func (a *alterations) note(name types.NamespacedName, stored *corev1.Secret, wanted [sha256.Size]byte) (first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, known := a.known[name]
	a.known[name] = alteration{uid: stored.UID, version: stored.ResourceVersion, wanted: wanted, at: a.pulse.Now()}
	return !known
}

// keeps tells whether a Secret is as admission left it when the same was written, a short time ago.
func (a *alterations) keeps(name types.NamespacedName, secret *corev1.Secret, wanted func() [sha256.Size]byte) bool {
	a.mu.Lock()
	known, found := a.known[name]
	a.mu.Unlock()
	return found && known.uid == secret.UID && known.version == secret.ResourceVersion &&
		a.pulse.Since(known.at) < alteredRetry && known.wanted == wanted()
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
