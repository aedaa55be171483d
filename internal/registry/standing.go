// Package registry is the token service's view of keys and issuers, and its memory of use:
// whether a token that is correctly signed is one that its key still stands for.
package registry

import (
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// Standing is what a key says of one of its tokens.
type Standing int

// What a key can say of a token.
const (
	// Refused: the key does not stand for the token, and never will again.
	Refused Standing = iota
	// Current: it is the key's current token.
	Current
	// Superseded: a later token has followed it, and it is still accepted.
	Superseded
	// Unrecorded: the key has no line yet, and the token is a first one. It is accepted, since it
	// is put into the Secret just before it is recorded.
	Unrecorded
)

// Accepted tells whether a token of this standing is exchanged.
func (s Standing) Accepted() bool { return s != Refused }

// Token is what a correctly signed token says of itself.
type Token struct {
	UID      string
	JTI      string
	Revision int64
}

// Lives tells whether a key is the one of that UID, and neither deleted, revoked nor at its
// end. A revocation that is seen in spec or in status, whichever comes first, ends it.
func Lives(key *v1alpha1.JWTRefreshKey, uid string, now time.Time) bool {
	return key.DeletionTimestamp == nil && string(key.UID) == uid && !key.Spec.Revoked && key.Status.RevokedAt == nil &&
		(key.Spec.ExpiresAt == nil || now.Before(key.Spec.ExpiresAt.Time))
}

// StandingOf tells what a living key says of a correctly signed token. State is keyed by jti
// and never by the token's text, since signatures can be rewritten.
func StandingOf(key *v1alpha1.JWTRefreshKey, token Token, now time.Time) Standing {
	status := &key.Status
	switch {
	case !Lives(key, token.UID, now), BelowFirst(key, token.Revision):
		return Refused
	case status.Revision == 0:
		if token.Revision == 1 {
			return Unrecorded
		}
		return Refused
	case token.JTI == status.JTI && token.Revision == status.Revision:
		return Current
	}
	for _, superseded := range status.Previous {
		if superseded.JTI == token.JTI && superseded.Revision == token.Revision {
			return Superseded
		}
	}
	return Refused
}

// BelowFirst tells whether a token of the revision was issued before the line of its key was ended, by a
// revocation, a logout, a reuse or a rotate-now. It is refused for good, and its use has no effect. A
// token without a revision, as access tokens of earlier releases, is below any first revision.
func BelowFirst(key *v1alpha1.JWTRefreshKey, revision int64) bool {
	return revision < key.Status.FirstRevision
}

// Honours tells whether an access token is active that was issued from the key's refresh token of this revision:
// the refresh token is still accepted, or was superseded in the ordinary way. The first token is accepted before it is
// on record. A revision that is not known yet may be on record by now.
func Honours(key *v1alpha1.JWTRefreshKey, uid string, revision int64, now time.Time) bool {
	return Lives(key, uid, now) && !BelowFirst(key, revision) && revision <= max(key.Status.Revision, 1)
}
