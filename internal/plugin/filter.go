package plugin

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// filter says which keys are listed.
type filter struct {
	// unusedFor and expiringWithin are nil where they do not matter.
	unusedFor      *time.Duration
	expiringWithin *time.Duration
	// statuses are those of which a key must have one, in any case of letters; none for all.
	statuses []string
	// sessions leaves out keys that no login made.
	sessions bool
}

// matches tells whether a key is listed.
func (f *filter) matches(key *v1alpha1.JWTRefreshKey, now time.Time) bool {
	if f.sessions && key.Status.Session == nil {
		return false
	}
	if f.unusedFor != nil && now.Sub(lastSeen(key)) < *f.unusedFor {
		return false
	}
	if f.expiringWithin != nil && !expiresBy(key, now, now.Add(*f.expiringWithin)) {
		return false
	}
	return len(f.statuses) == 0 || slices.ContainsFunc(f.statuses, func(status string) bool { return strings.EqualFold(status, statusOf(key)) })
}

// lastSeen is when a key was last used, or made where it never was.
func lastSeen(key *v1alpha1.JWTRefreshKey) time.Time {
	last := key.CreationTimestamp.Time
	if used := key.Status.LastUsed; used != nil && used.After(last) {
		last = used.Time
	}
	if used := key.Status.SupersededLastUsed; used != nil && used.After(last) {
		last = used.Time
	}
	return last
}

// expiresBy tells whether the token that a key has now ends by then. One that is over or revoked does not
// end any more.
func expiresBy(key *v1alpha1.JWTRefreshKey, now, by time.Time) bool {
	end := key.Status.ExpiresAt
	return end != nil && key.Status.RevokedAt == nil && !end.Time.Before(now) && !end.After(by)
}

// sort puts first what was asked about: what ends soonest, or was unused for longest; and else by name.
func (f *filter) sort(keys []v1alpha1.JWTRefreshKey) {
	slices.SortStableFunc(keys, func(a, b v1alpha1.JWTRefreshKey) int {
		byName := cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
		switch {
		case f.expiringWithin != nil:
			return cmp.Or(a.Status.ExpiresAt.Compare(b.Status.ExpiresAt.Time), byName)
		case f.unusedFor != nil:
			return cmp.Or(lastSeen(&a).Compare(lastSeen(&b)), byName)
		default:
			return byName
		}
	})
}
