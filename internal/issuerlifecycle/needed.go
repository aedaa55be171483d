package issuerlifecycle

import (
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// Use is until when signing keys may be needed, by the tokens in the status of all refresh keys. The zero value means that there
// are no tokens.
type Use struct {
	// signedUntil is, by kid, the latest end of a recorded current token; ownUntil counts only refresh keys that name the
	// issuer.
	signedUntil, ownUntil map[string]time.Time
	// superseded are all superseded tokens. They do not name the key that signed them; their creation time identifies it.
	superseded []v1alpha1.SupersededToken
}

// UseOf returns the use of an issuer's signing keys by these refresh keys. Revoked ones use none.
func UseOf(issuer *v1alpha1.JWTIssuer, keys []v1alpha1.JWTRefreshKey) Use {
	u := Use{signedUntil: map[string]time.Time{}, ownUntil: map[string]time.Time{}}
	for i := range keys {
		key := &keys[i]
		if key.Status.RevokedAt != nil {
			continue
		}
		u.superseded = append(u.superseded, key.Status.Previous...)
		end, kid := key.Status.ExpiresAt, key.Status.KeyID
		if end == nil {
			continue
		}
		u.signedUntil[kid] = lifecycle.Later(u.signedUntil[kid], end.Time)
		if key.Status.Issuer == issuer.Name && lifecycle.IssuerName(key) == issuer.Name {
			u.ownUntil[kid] = lifecycle.Later(u.ownUntil[kid], end.Time)
		}
	}
	return u
}

// last returns when the last refresh token that a kid may have signed is refused, clock skew included; zero if there is none.
func (u *Use) last(issuer *v1alpha1.JWTIssuer, kid string) time.Time {
	end := u.signedUntil[kid]
	from, until := signingPeriod(issuer, kid)
	for _, superseded := range u.superseded {
		if !superseded.CreatedAt.Time.Before(from) && !superseded.CreatedAt.After(until) {
			end = lifecycle.Later(end, superseded.ExpiresAt.Time)
		}
	}
	if end.IsZero() {
		return end
	}
	return end.Add(token.Skew)
}

// handOver is how long after the next signing key became active another replica may still sign with the previous one.
const handOver = 5 * time.Minute

// signingPeriod returns the time in which a key of the refresh ring may have signed: from its activation to that of
// the next key. A key without a recorded activation may have signed at any time.
func signingPeriod(issuer *v1alpha1.JWTIssuer, kid string) (from, until time.Time) {
	until = time.Unix(1<<40, 0)
	for _, key := range issuer.Status.Keys {
		if key.KID == kid && key.ActiveAt != nil {
			from = key.ActiveAt.Add(-handOver)
		}
	}
	if from.IsZero() {
		return from, until
	}
	for _, key := range issuer.Status.Keys {
		if key.Use != v1alpha1.KeyUse(keyring.Refresh) || key.KID == kid || key.ActiveAt == nil {
			continue
		}
		if next := key.ActiveAt.Add(handOver); next.After(from.Add(2*handOver)) && next.Before(until) {
			until = next
		}
	}
	return from, until
}
