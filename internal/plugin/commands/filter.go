package commands

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/outlook"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// filter selects the keys to list.
type filter struct {
	// unusedFor and expiringWithin are nil if they are not set.
	unusedFor      *time.Duration
	expiringWithin *time.Duration
	// statuses are the accepted statuses, compared without regard to case; empty for all.
	statuses []string
	// sessions selects only keys that a login created.
	sessions bool
}

// matches reports whether the filter selects a key.
func (f *filter) matches(key *v1alpha1.JWTRefreshKey, now time.Time) bool {
	if f.sessions && key.Status.Session == nil {
		return false
	}
	if f.unusedFor != nil && now.Sub(lastUse(key)) < *f.unusedFor {
		return false
	}
	if f.expiringWithin != nil && !expiresBy(key, now, now.Add(*f.expiringWithin)) {
		return false
	}
	return len(f.statuses) == 0 || slices.ContainsFunc(f.statuses, func(status string) bool { return strings.EqualFold(status, outlook.Status(key)) })
}

// check returns a usage error for a status that no key can have.
func (f *filter) check() error {
	known := outlook.Statuses()
	for _, status := range f.statuses {
		if !slices.ContainsFunc(known, func(one string) bool { return strings.EqualFold(one, status) }) {
			return cli.UsageError("--status %q is no status of a key: use %s", status, strings.Join(known, ", "))
		}
	}
	return nil
}

// lastUse returns the time of a key's last use, or of its creation if it was never used.
func lastUse(key *v1alpha1.JWTRefreshKey) time.Time {
	last := key.CreationTimestamp.Time
	if used := key.Status.LastUsed; used != nil && used.After(last) {
		last = used.Time
	}
	if used := key.Status.SupersededLastUsed; used != nil && used.After(last) {
		last = used.Time
	}
	return last
}

// expiresBy reports whether a key's current token expires between now and by. It is false for a token that
// has expired or was revoked.
func expiresBy(key *v1alpha1.JWTRefreshKey, now, by time.Time) bool {
	end := key.Status.ExpiresAt
	return end != nil && key.Status.RevokedAt == nil && !end.Time.Before(now) && !end.After(by)
}

// sort orders keys by expiry if expiringWithin is set, by last use if unusedFor is set, and otherwise by name.
func (f *filter) sort(keys []v1alpha1.JWTRefreshKey) {
	slices.SortStableFunc(keys, func(a, b v1alpha1.JWTRefreshKey) int {
		byName := cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
		switch {
		case f.expiringWithin != nil:
			return cmp.Or(a.Status.ExpiresAt.Compare(b.Status.ExpiresAt.Time), byName)
		case f.unusedFor != nil:
			return cmp.Or(lastUse(&a).Compare(lastUse(&b)), byName)
		default:
			return byName
		}
	})
}
