package lifecycle

import (
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

const (
	// DefaultRetryGrace is how long after it was followed a one-time token is exchanged for its successor.
	DefaultRetryGrace = 30 * time.Second
	// maxRetryGrace is its bound, as the schema says it.
	maxRetryGrace = 10 * time.Minute
)

// Successor is the token that follows a use of the current one, for one-time use: what spec
// says now, and never past the absolute end.
func Successor(key *v1alpha1.JWTRefreshKey, issuerURL string, now time.Time) (Mint, error) {
	values, err := effectiveOf(&Observed{Key: key, Issuer: Issuer{URL: issuerURL}})
	return values.mint(key.Status.Revision+1, now.UTC().Truncate(time.Second)), err
}

// Outdated tells whether spec asks for another token than the held one, which the issuer at that URL made.
func Outdated(key *v1alpha1.JWTRefreshKey, issuerURL string, held *Held) (bool, error) {
	o := &Observed{Key: key, Issuer: Issuer{URL: issuerURL}, Held: held}
	values, err := effectiveOf(o)
	d := decision{Observed: o, values: values}
	return len(d.specChanges()) > 0, err
}

// RetryGrace returns for how long after a one-time token was followed a client that presents it gets its successor;
// zero if each use makes a new token and each second use ends the line.
func RetryGrace(key *v1alpha1.JWTRefreshKey) time.Duration {
	if r := key.Spec.Rotation; r != nil && r.RetryGrace != nil {
		return min(max(r.RetryGrace.Duration, 0), maxRetryGrace)
	}
	return DefaultRetryGrace
}
