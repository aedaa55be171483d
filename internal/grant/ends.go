package grant

import (
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// handOut puts a refresh token into an answer, with its ends. Where the client keeps the one that it presented,
// the answer carries that: some clients take an answer without a refresh token for the loss of theirs.
func (e *exchange) handOut(answer *oauth.TokenAnswer, compact string, now time.Time) error {
	claims := e.claims
	if compact == "" {
		compact = e.presented
	}
	if compact != e.presented {
		var err error
		if claims, err = token.Made(compact); err != nil {
			return err
		}
	}
	answer.RefreshToken = compact
	e.tellEnds(answer, claims, now)
	return nil
}

// tellEnds says in an answer how long its refresh token, of the claims, can be used, and when all ends that the
// client was authorised for. The exchange is a use, from which an idle key's time counts.
func (e *exchange) tellEnds(answer *oauth.TokenAnswer, refresh *token.Claims, now time.Time) {
	end, all := refresh.ExpiresAt, e.authorizationEnd()
	if rotation := e.key.Spec.Rotation; rotation != nil && rotation.Mode == v1alpha1.RotationNever {
		// Nothing follows this token.
		all = earliest(all, end)
	}
	end = earliest(all, end)
	if idle := e.key.Spec.IdleTimeout; idle != nil {
		end = earliest(now.Add(idle.Duration), end)
	}
	answer.RefreshTokenExpiresIn = secondsUntil(end, now)
	answer.RefreshTokenTimeout = answer.RefreshTokenExpiresIn
	if !all.IsZero() {
		answer.AuthorizationExpiresIn = secondsUntil(all, now)
	}
}

// authorizationEnd is when a key ends, whatever token of it is used; zero where no end is set. A session ends
// with the time that its issuer gives sessions, too.
func (e *exchange) authorizationEnd() (end time.Time) {
	if at := e.key.Spec.ExpiresAt; at != nil {
		end = at.Truncate(time.Second)
	}
	if session := e.key.Status.Session; session != nil {
		end = earliest(end, session.StartedAt.Add(e.issuer.Login.SessionLifetime))
	}
	return end
}

// earliest is the earlier of two ends, of which a zero one never comes.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// secondsUntil is at least 1: clients take 0 for an end that never comes.
func secondsUntil(end, now time.Time) int64 {
	return max(int64(end.Sub(now)/time.Second), 1)
}
