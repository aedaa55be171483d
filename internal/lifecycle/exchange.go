package lifecycle

import (
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// DefaultRetryGrace is how long a lost answer to a one-time exchange can be asked for again.
const DefaultRetryGrace = 30 * time.Second

// Successor is the token that follows a use of the current one, for one-time use: what spec
// says now, and never past the absolute end.
func Successor(key *v1alpha1.JWTRefreshKey, issuerURL string, now time.Time) (Mint, error) {
	values, err := effectiveOf(&Observed{Key: key, Issuer: Issuer{URL: issuerURL}})
	return values.mint(key.Status.Revision+1, now.UTC().Truncate(time.Second)), err
}

// RetryGrace is how long after a use the same token gets the same successor.
func RetryGrace(key *v1alpha1.JWTRefreshKey) time.Duration {
	if r := key.Spec.Rotation; r != nil && r.RetryGrace != nil {
		return r.RetryGrace.Duration
	}
	return DefaultRetryGrace
}
