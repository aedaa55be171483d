package lifecycle

import (
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// Standing is the state of a token in the status of its refresh key.
type Standing int

// The standings of a token.
const (
	// StandingRefused: the refresh key does not accept the token, and never will again.
	StandingRefused Standing = iota
	// StandingCurrent: the token is the current one.
	StandingCurrent
	// StandingSuperseded: a later token exists, and this one is still accepted.
	StandingSuperseded
	// StandingUnrecorded: the refresh key has no token in status, and this is a first one. It is accepted, since it is
	// written to the Secret before status.
	StandingUnrecorded
)

// Accepted reports whether a token of this standing is exchanged.
func (s Standing) Accepted() bool { return s != StandingRefused }

// Presented identifies a correctly signed token by its claims.
type Presented struct {
	UID      string
	JTI      string
	Revision int64
}

// Lives reports whether a refresh key has that UID and is not deleted, revoked (in spec or in status) or expired.
func Lives(key *v1alpha1.JWTRefreshKey, uid string, now time.Time) bool {
	return key.DeletionTimestamp == nil && string(key.UID) == uid && !key.Spec.Revoked && key.Status.RevokedAt == nil &&
		(key.Spec.ExpiresAt == nil || now.Before(key.Spec.ExpiresAt.Time))
}

// StandingOf returns the standing of a correctly signed token. Tokens are compared by jti and never by their text,
// since signatures can be rewritten.
func StandingOf(key *v1alpha1.JWTRefreshKey, token Presented, now time.Time) Standing {
	status := &key.Status
	switch {
	case !Lives(key, token.UID, now), BelowFirst(key, token.Revision):
		return StandingRefused
	case status.Revision == 0:
		if token.Revision == 1 {
			return StandingUnrecorded
		}
		return StandingRefused
	case token.JTI == status.JTI && token.Revision == status.Revision:
		return StandingCurrent
	}
	for _, superseded := range status.Previous {
		if superseded.JTI == token.JTI && superseded.Revision == token.Revision {
			return StandingSuperseded
		}
	}
	return StandingRefused
}

// BelowFirst reports whether a token of the revision was issued before its line ended, by a revocation, a logout,
// a reuse or a rotate-now. Such a token is refused permanently, and its use has no effect. Access tokens of earlier
// releases have no revision, and count as below any first revision.
func BelowFirst(key *v1alpha1.JWTRefreshKey, revision int64) bool {
	return revision < key.Status.FirstRevision
}

// Honours reports whether an access token is active that was issued from the refresh token of this revision. That
// token must still be accepted, or have been superseded or retired by a rotation. The first token is accepted
// before it is in status. A revision above the known one is not honoured; the API server may know it.
func Honours(key *v1alpha1.JWTRefreshKey, uid string, revision int64, now time.Time) bool {
	return Lives(key, uid, now) && !BelowFirst(key, revision) && revision <= max(key.Status.Revision, 1)
}
