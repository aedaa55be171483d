package grant

import (
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// handOut adds a refresh token and its ends to an answer. If the client keeps its token, the answer contains that
// token: without a refresh token in the answer, some clients discard their own.
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
	e.setEnds(answer, claims, now)
	return nil
}

// setEnds adds to an answer how long its refresh token can be used, and when the client's whole authorization
// ends. The exchange is a use, so idleTimeout counts from now.
func (e *exchange) setEnds(answer *oauth.TokenAnswer, refresh *token.Claims, now time.Time) {
	times := lifecycle.Timeline(e.key)
	end, all := refresh.ExpiresAt, e.authorizationEnd(times)
	if rotation := e.key.Spec.Rotation; rotation != nil && rotation.Mode == v1alpha1.RotationNever {
		// Nothing follows this token.
		all = earliest(all, end)
	}
	end = earliest(earliest(all, end), times.SupersededEnd(refresh.JTI))
	end = earliest(times.IdleAfter(now), end)
	answer.RefreshTokenExpiresIn = secondsUntil(end, now)
	answer.RefreshTokenTimeout = answer.RefreshTokenExpiresIn
	if !all.IsZero() {
		answer.AuthorizationExpiresIn = secondsUntil(all, now)
	}
}

// authorizationEnd returns when a refresh key ends, with any of its tokens; zero if no end is set. A session also
// ends when the issuer's sessionLifetime is reached.
func (e *exchange) authorizationEnd(times lifecycle.Times) time.Time {
	end := times.LastSecond()
	if session := e.key.Status.Session; session != nil {
		end = earliest(end, session.StartedAt.Add(e.issuer.Login.SessionLifetime))
	}
	return end
}

// earliest returns the earlier of two ends; a zero time stands for no end.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// secondsUntil returns the whole seconds from now to end, at least 1, since clients read 0 as no end.
func secondsUntil(end, now time.Time) int64 {
	return max(int64(end.Sub(now)/time.Second), 1)
}
