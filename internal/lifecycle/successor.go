package lifecycle

import (
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

const (
	// DefaultRetryGrace is how long a superseded one-time token is exchanged for its successor.
	DefaultRetryGrace = 30 * time.Second
	// maxRetryGrace is the bound of the schema.
	maxRetryGrace = 10 * time.Minute
)

// Successor returns the token that follows a use of the current one, for one-time use. It has the terms of the current
// spec, and ends at the absolute end at the latest.
func Successor(key *v1alpha1.JWTRefreshKey, issuerURL string, now time.Time) (Mint, error) {
	values, err := effectiveOf(&Observed{Key: key, Issuer: Issuer{URL: issuerURL}})
	return values.mint(key.Status.Revision+1, now.UTC().Truncate(time.Second)), err
}

// Outdated reports whether spec asks for another token than the held one, which the issuer at that URL signed.
func Outdated(key *v1alpha1.JWTRefreshKey, issuerURL string, held *Held) (bool, error) {
	o := &Observed{Key: key, Issuer: Issuer{URL: issuerURL}, Held: held}
	values, err := effectiveOf(o)
	d := decision{Observed: o, values: values}
	return len(d.specChanges()) > 0, err
}

// RetryGrace returns how long a client that presents a superseded one-time token gets its successor; zero if each
// second use ends the line.
func RetryGrace(key *v1alpha1.JWTRefreshKey) time.Duration {
	if r := key.Spec.Rotation; r != nil && r.RetryGrace != nil {
		return min(max(r.RetryGrace.Duration, 0), maxRetryGrace)
	}
	return DefaultRetryGrace
}
