package lifecycle

import "time"

// mintsAccess: while the access ring has no key, the refresh token goes without.
func (d *decision) mintsAccess() bool {
	return WantsAccessToken(d.Key) && !d.Issuer.AccessPending
}

// accessDiffers tells whether the access token in the Secret is not what it should be.
func (d *decision) accessDiffers() bool {
	switch {
	case !WantsAccessToken(d.Key):
		return d.Secret.HoldsAccess
	case d.Issuer.AccessPending:
		return d.Secret.HoldsAccess && d.accessDead()
	default:
		return d.Secret.AccessWithdrawn || d.accessEnded() || !d.now.Before(d.accessRenewal())
	}
}

// accessBeside is what stands beside the refresh token in a Secret that is written. One beside
// an earlier refresh token says what the key said then, and one in a Secret left over is the
// dead key's.
func (d *decision) accessBeside(next bool) AccessStep {
	s := d.Secret
	stays := !next && s.State == SecretOwn && s.TokenHash == d.status.TokenHash && s.HoldsAccess && !d.accessDiffers()
	switch {
	case stays:
		return KeepAccess
	case d.mintsAccess():
		return RenewAccess
	default:
		return NoAccess
	}
}

// accessEnded tells whether the access token was issued before the line was ended.
func (d *decision) accessEnded() bool {
	return d.Secret.HoldsAccess && d.Secret.AccessRevision < d.status.FirstRevision
}

// accessDead: no API takes the access token any more. The end of one that was edited is not known.
func (d *decision) accessDead() bool {
	return d.Secret.AccessWithdrawn || d.accessEnded() || !d.now.Before(d.Secret.AccessExpiresAt)
}

// accessRenewal is when two thirds of the life of the access token are over, so that no
// reader of the Secret finds one about to end.
func (d *decision) accessRenewal() time.Time {
	if d.Secret.AccessExpiresAt.IsZero() {
		return time.Time{}
	}
	if d.status.ExpiresAt != nil && !d.Secret.AccessExpiresAt.Before(d.status.ExpiresAt.Time) {
		// It ends with the refresh token: no later one could be made.
		return d.Secret.AccessExpiresAt
	}
	return d.Secret.AccessExpiresAt.Add(-d.values.accessLifetime / 3).Truncate(time.Second)
}

// nextAccess is when time alone makes the access token another than it should be.
func (d *decision) nextAccess() time.Time {
	switch {
	case !WantsAccessToken(d.Key):
		return time.Time{}
	case d.Issuer.AccessPending:
		return d.Secret.AccessExpiresAt
	default:
		return d.accessRenewal()
	}
}
