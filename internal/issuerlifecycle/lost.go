package issuerlifecycle

import (
	"maps"
	"slices"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// lostKeys returns the kids in status that are missing from the Secret although they are neither withdrawn nor
// retired, if tokens that they signed may still be valid.
func (o *Observed) lostKeys(now time.Time) (lost []string) {
	needed := false
	for _, key := range o.Issuer.Status.Keys {
		if key.Use == v1alpha1.KeyUse(keyring.Seal) {
			// Its loss ends the sign-ins under way, and no token.
			continue
		}
		if _, there := o.Rings.Lookup(keyring.Use(key.Use), key.KID); there || !Belongs(o.Issuer, &key, now) || o.neverSigned(&key, now) {
			continue
		}
		lost = append(lost, key.KID)
		needed = needed || o.Use.last(o.Issuer, key.KID).After(now) || o.Rings != nil
	}
	if !needed {
		lost = nil
	}
	return append(lost, o.unrecorded(now)...)
}

// hadKeys reports whether an issuer without a Secret had signing keys before, which verifiers may have cached: status,
// valid tokens or the withdraw annotation name them.
func (o *Observed) hadKeys() bool {
	return len(o.Issuer.Status.Keys) > 0 || len(o.Use.ownUntil) > 0 || len(v1alpha1.WithdrawnKIDs(o.Issuer)) > 0
}

// unrecorded returns the kids that signed valid tokens and that are missing from an issuer without a record, which is
// the case after the issuer was deleted and created again.
func (o *Observed) unrecorded(now time.Time) (lost []string) {
	if len(o.Issuer.Status.Keys) > 0 {
		return nil
	}
	for _, kid := range slices.Sorted(maps.Keys(o.Use.ownUntil)) {
		_, there := o.Rings.Lookup(keyring.Refresh, kid)
		if !there && !isWithdrawn(o.Issuer, kid) && o.Use.ownUntil[kid].After(now) {
			lost = append(lost, kid)
		}
	}
	return lost
}

// Belongs reports whether a signing key in status must still be in its ring: it is neither withdrawn nor retired.
func Belongs(issuer *v1alpha1.JWTIssuer, key *v1alpha1.SigningKeyStatus, now time.Time) bool {
	retired := key.State == v1alpha1.KeyState(keyring.Retiring) && key.RetireAt != nil && !now.Before(key.RetireAt.Time)
	return !retired && !isWithdrawn(issuer, key.KID)
}

// neverSigned reports whether a key in status is pending and signed no token. A change of the algorithm replaces a
// pending key, and after a crash status may still show the earlier one; its loss ends no token.
func (o *Observed) neverSigned(key *v1alpha1.SigningKeyStatus, now time.Time) bool {
	return key.State == v1alpha1.KeyState(keyring.Pending) && !o.Use.signedUntil[key.KID].After(now)
}

func isWithdrawn(issuer *v1alpha1.JWTIssuer, kid string) bool {
	return slices.Contains(v1alpha1.WithdrawnKIDs(issuer), kid)
}
