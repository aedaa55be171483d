package outlook

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// State is the state of a token on record.
type State string

// The states of a token on record.
const (
	// Current: the token is accepted, and no later one follows it.
	Current State = "current"
	// Superseded: a later token follows, and this one is still accepted.
	Superseded State = "superseded"
	// Revoked: the key is revoked.
	Revoked State = "revoked"
	// Ended: the token has expired.
	Ended State = "ended"
)

// Revision is a token on record.
type Revision struct {
	Number         int64
	State          State
	JTI, TokenHash string
	// CreatedAt and ExpiresAt are nil if they are not on record.
	CreatedAt, ExpiresAt *metav1.Time
}

// Revisions returns the current token of a key and the superseded ones, newest first.
func Revisions(key *v1alpha1.JWTRefreshKey, now time.Time) []Revision {
	status := &key.Status
	if status.Revision == 0 {
		return nil
	}
	state, end := Current, lifecycle.Timeline(key).TokenEnd
	switch {
	case status.RevokedAt != nil || key.Spec.Revoked:
		state = Revoked
	case !end.IsZero() && end.Before(now):
		state = Ended
	}
	all := []Revision{{status.Revision, state, status.JTI, status.TokenHash, status.CreatedAt, status.ExpiresAt}}
	for _, token := range slices.Backward(status.Previous) {
		all = append(all, Revision{token.Revision, Superseded, token.JTI, token.TokenHash, &token.CreatedAt, &token.ExpiresAt})
	}
	return all
}
