package lifecycle

import "time"

// mintsAccess reports whether a write of the Secret mints an access token: not while the access ring has no key that
// may sign.
func (d *decision) mintsAccess() bool {
	return WantsAccessToken(d.Key) && !d.Issuer.AccessPending
}

// accessDiffers reports whether the access token in the Secret differs from the wanted one.
func (d *decision) accessDiffers() bool {
	switch {
	case !WantsAccessToken(d.Key):
		return d.Secret.HoldsAccess
	case d.Issuer.AccessPending:
		return d.Secret.HoldsAccess && d.accessInvalid()
	default:
		return d.Secret.AccessWithdrawn || d.accessEnded() || !d.now.Before(d.accessRenewal())
	}
}

// accessStep returns what a write of the Secret does with the access token. It keeps one only together with the current
// refresh token. One with an earlier refresh token has earlier terms, and one in a left-over Secret is that of an
// earlier key.
func (d *decision) accessStep(next bool) AccessStep {
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

// accessEnded reports whether the access token was issued before status.firstRevision.
func (d *decision) accessEnded() bool {
	return d.Secret.HoldsAccess && d.Secret.AccessRevision < d.status.FirstRevision
}

// accessInvalid reports whether no API accepts the access token any more. The end of an edited one is unknown, and counts
// as past.
func (d *decision) accessInvalid() bool {
	return d.Secret.AccessWithdrawn || d.accessEnded() || !d.now.Before(d.Secret.AccessExpiresAt)
}

// accessRenewal returns when the access token must be renewed: after two thirds of its lifetime, so that no reader of
// the Secret gets one that is about to expire.
func (d *decision) accessRenewal() time.Time {
	if d.Secret.AccessExpiresAt.IsZero() {
		return time.Time{}
	}
	if d.status.ExpiresAt != nil && !d.Secret.AccessExpiresAt.Before(d.status.ExpiresAt.Time) {
		// It ends with the refresh token: a new one could not end later.
		return d.Secret.AccessExpiresAt
	}
	return d.Secret.AccessExpiresAt.Add(-d.values.accessLifetime / 3).Truncate(time.Second)
}

// nextAccess returns when the access token must be renewed or removed.
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
