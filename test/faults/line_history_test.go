package faults

import (
	"fmt"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// lineHistory is what the watch showed of the token line of a refresh key.
type lineHistory struct {
	revision int64
	// first is the highest status.firstRevision seen. ended is the lowest firstRevision that is allowed
	// after the revocations seen.
	first, ended int64
	entries      map[int64]v1alpha1.JWTRefreshKeyStatus // first status seen of each revision
}

// record checks that a token line only advances, that no revision is issued twice, and that after a
// revocation is lifted all earlier tokens are below the first revision.
func (w *invariantWatcher) record(key *v1alpha1.JWTRefreshKey) {
	status := &key.Status
	if status.Revision == 0 && status.RevokedAt == nil && status.FirstRevision == 0 {
		return
	}
	w.mu.Lock()
	history := w.histories[string(key.UID)]
	if history == nil {
		history = &lineHistory{entries: map[int64]v1alpha1.JWTRefreshKeyStatus{}}
		w.histories[string(key.UID)] = history
	}
	faults := history.violations(status)
	history.revision, history.first = max(history.revision, status.Revision), max(history.first, status.FirstRevision)
	if status.RevokedAt != nil {
		history.ended = max(status.Revision, 1) + 1
	}
	if _, known := history.entries[status.Revision]; !known {
		history.entries[status.Revision] = *status.DeepCopy()
	}
	w.mu.Unlock()
	for _, fault := range faults {
		w.report(key.Namespace, "key %s: %s", key.Name, fault)
	}
}

// violations returns what a status contradicts in the history.
func (l *lineHistory) violations(status *v1alpha1.JWTRefreshKeyStatus) (faults []string) {
	if status.Revision < l.revision {
		faults = append(faults, fmt.Sprintf("the revision decreased from %d to %d", l.revision, status.Revision))
	}
	if known, ok := l.entries[status.Revision]; ok && known.JTI != status.JTI {
		faults = append(faults, fmt.Sprintf("revision %d was issued twice: %s and %s", status.Revision, known.JTI, status.JTI))
	}
	if status.FirstRevision < l.first {
		faults = append(faults, fmt.Sprintf("the first revision decreased from %d to %d", l.first, status.FirstRevision))
	}
	if status.RevokedAt == nil && status.FirstRevision < l.ended {
		faults = append(faults, fmt.Sprintf("revision %d follows a revocation: got first revision %d, want at least %d", status.Revision, status.FirstRevision, l.ended))
	}
	for _, earlier := range status.Previous {
		if earlier.Revision < status.FirstRevision {
			faults = append(faults, fmt.Sprintf("revision %d is in previous, below the first revision %d", earlier.Revision, status.FirstRevision))
		}
		if known, ok := l.entries[earlier.Revision]; ok && known.JTI != earlier.JTI {
			faults = append(faults, fmt.Sprintf("revision %d in previous: got jti %s, want %s", earlier.Revision, earlier.JTI, known.JTI))
		}
	}
	return faults
}

// revisions returns how many revisions of a key the watch showed.
func (w *invariantWatcher) revisions(key *v1alpha1.JWTRefreshKey) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if history := w.histories[string(key.UID)]; history != nil {
		return len(history.entries)
	}
	return 0
}

// tooEarly lists the revisions of a key that were issued before the renewal was due.
func (w *invariantWatcher) tooEarly(key *v1alpha1.JWTRefreshKey) (early []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	history := w.histories[string(key.UID)]
	if history == nil {
		return nil
	}
	for revision, status := range history.entries {
		before, ok := history.entries[revision-1]
		if ok && before.RenewalTime != nil && status.CreatedAt.Before(before.RenewalTime) {
			early = append(early, fmt.Sprintf("revision %d was issued at %s, due at %s", revision, status.CreatedAt, before.RenewalTime))
		}
	}
	return early
}
