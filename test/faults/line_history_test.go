package faults

import (
	"fmt"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// ledger is what the watch told of a key's line.
type lineHistory struct {
	revision int64
	// first is the highest first revision that was on record, and ended the lowest that may be good again
	// after a revocation that was.
	first, ended int64
	entries      map[int64]v1alpha1.JWTRefreshKeyStatus // by revision, as first seen
}

// record keeps the ledger of a key: a line only ever advances, no revision is given out twice, and what was
// issued before a revocation stays below the first revision when the key lives again.
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

func (l *lineHistory) violations(status *v1alpha1.JWTRefreshKeyStatus) (faults []string) {
	if status.Revision < l.revision {
		faults = append(faults, fmt.Sprintf("the line went back from revision %d to %d", l.revision, status.Revision))
	}
	if known, ok := l.entries[status.Revision]; ok && known.JTI != status.JTI {
		faults = append(faults, fmt.Sprintf("revision %d was given out twice: %s and %s", status.Revision, known.JTI, status.JTI))
	}
	if status.FirstRevision < l.first {
		faults = append(faults, fmt.Sprintf("the first revision went back from %d to %d", l.first, status.FirstRevision))
	}
	if status.RevokedAt == nil && status.FirstRevision < l.ended {
		faults = append(faults, fmt.Sprintf("revision %d lives after a revocation, and the first revision is %d, not %d", status.Revision, status.FirstRevision, l.ended))
	}
	for _, earlier := range status.Previous {
		if earlier.Revision < status.FirstRevision {
			faults = append(faults, fmt.Sprintf("revision %d is in previous, below the first revision %d", earlier.Revision, status.FirstRevision))
		}
		if known, ok := l.entries[earlier.Revision]; ok && known.JTI != earlier.JTI {
			faults = append(faults, fmt.Sprintf("revision %d in previous is %s and was %s", earlier.Revision, earlier.JTI, known.JTI))
		}
	}
	return faults
}

// revisions is how many revisions of a key the watch showed.
func (w *invariantWatcher) revisions(key *v1alpha1.JWTRefreshKey) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if history := w.histories[string(key.UID)]; history != nil {
		return len(history.entries)
	}
	return 0
}

// tooEarly names the revisions of a key that were made before the one before was due.
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
			early = append(early, fmt.Sprintf("revision %d at %s, due at %s", revision, status.CreatedAt, before.RenewalTime))
		}
	}
	return early
}
