package grant

import (
	"context"
	"errors"
	"fmt"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/binding"
	"github.com/refreshkeys/refreshkeys/internal/dpop"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/line"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// claimTries is the maximum number of attempts to follow a token when other writers change the refresh key. Each
// attempt reads the refresh key again; usually the other writer used the same token, which decides.
const claimTries = 8

// useOnce uses a one-time token and returns the refresh token of the answer. A successor is recorded before it is
// handed out. Parallel uses at this replica share one decision and one answer.
func (s *Fresh) useOnce(ctx context.Context, e *exchange) (string, error) {
	mine := *e
	next, err := s.claims.Do(ctx, e.claims.Object.UID+"/"+e.claims.JTI, func(ctx context.Context) (string, error) {
		return s.claim(ctx, &mine)
	})
	// A revocation may have been answered while this call waited for another one.
	if known := s.registry.Key(keyName(e.claims)); known != nil && refusedForGood(known, e.claims) {
		return "", errGrant()
	}
	if err == nil && next == "" {
		next = e.presented
	}
	return next, err
}

// claim answers by the decision table of lifecycle.DecideOneTime. The view is sufficient to follow a token, since
// the compare-and-swap fails if it is outdated; the table says when to read the refresh key from the API server
// first. The result is empty if the client keeps its token.
func (s *Fresh) claim(ctx context.Context, e *exchange) (string, error) {
	lost := false
	for reads := range claimTries {
		live := reads > 0
		if live {
			var err error
			if e.key, err = s.readAgain(ctx, e.claims, lost); err != nil {
				return "", err
			}
		}
		if e.key == nil || !lifecycle.Lives(e.key, e.claims.Object.UID, s.clock.Now()) {
			return "", errGrant()
		}
		// The table covers one-time tokens only; for a superseded token of another mode it would end the line.
		if !lifecycle.OneTime(e.key) {
			return "", upstream.Unavailable("the replica's view of spec.rotation.mode was outdated")
		}
		// This is checked before a reuse is detected, so that a thief without the proof does not end the line.
		if err := e.proven.Satisfies(e.claims, e.key.Spec.Binding); err != nil {
			return "", err
		}
		answer, err := s.decideOnce(e, e.key, live)
		if err != nil {
			return "", err
		}
		if answer == lifecycle.OneTimeRead {
			continue
		}
		next, err := s.answerOnce(ctx, e, answer)
		if lost = errors.Is(err, registry.ErrLost); !lost {
			return next, err
		}
	}
	return "", upstream.Unavailable("the refresh key changes too often")
}

// readAgain reads the refresh key of a one-time token from the API server. After a lost write it reads the current
// version. Otherwise a cached read for the same token is sufficient; such reads are limited per second, since the
// holder of a refused token can cause any number of them.
func (s *Fresh) readAgain(ctx context.Context, claims *token.Claims, lost bool) (*v1alpha1.JWTRefreshKey, error) {
	if lost {
		return s.registry.KeyNow(ctx, keyName(claims))
	}
	return s.registry.KeyLive(ctx, keyName(claims), claims.JTI)
}

// answerOnce executes an answer of the table.
func (s *Fresh) answerOnce(ctx context.Context, e *exchange, answer lifecycle.OneTimeAnswer) (string, error) {
	switch answer {
	case lifecycle.OneTimeFollow:
		return s.advance(ctx, e)
	case lifecycle.OneTimeAgain:
		s.usedUnfollowed(e)
		return "", nil
	case lifecycle.OneTimeCurrent:
		s.usedUnfollowed(e)
		return s.remade(e)
	case lifecycle.OneTimeRollOver:
		s.usedUnfollowed(e)
		return s.rollOver(e), nil
	case lifecycle.OneTimeReused:
		return "", s.reuse(ctx, e)
	case lifecycle.OneTimeUnrecorded:
		return "", upstream.Unavailable("the first token is not on record yet")
	case lifecycle.OneTimeWaits:
		return "", upstream.Unavailable("the token cannot be superseded before the retryGrace of an earlier token ends")
	case lifecycle.OneTimeUnknown:
		return "", upstream.Unavailable("the record does not say when the token was superseded")
	default:
		return "", errGrant()
	}
}

// decideOnce evaluates the table for a token and a refresh key. live means that the refresh key was just read from
// the API server.
func (s *Fresh) decideOnce(e *exchange, key *v1alpha1.JWTRefreshKey, live bool) (lifecycle.OneTimeAnswer, error) {
	use := &lifecycle.OneTimeUse{
		Key: key, JTI: e.claims.JTI, Revision: e.claims.Object.Revision,
		Live: live, ViewAge: s.registry.KeysProven(e.claims.Object.Namespace), Now: s.clock.Now(),
	}
	var err error
	moved := false
	switch bound := e.claims.JWKThumbprint; {
	case use.Revision == key.Status.Revision && use.JTI == key.Status.JTI:
		// If spec allows no token, the attempt to make one returns that error.
		outdated, unmade := lifecycle.Outdated(key, e.issuer.URL, line.Held(e.claims))
		use.TermsDiffer = outdated || unmade != nil
	case bound != "" && bound == e.proven.Thumbprint && use.Revision < key.Status.Revision:
		// If the current token cannot be read, its binding is unknown, and the line must not end.
		var current *token.Claims
		if current, err = line.Recorded(key); err != nil {
			return lifecycle.OneTimeUnknown, fmt.Errorf("%w: %w", upstream.ErrUnavailable, err)
		}
		// A refresh key that was enrolled again at another issuer has no token to hand out at this one.
		moved = current.Issuer != e.issuer.URL
		use.HolderProven = current.JWKThumbprint == bound && !moved
	}
	answer := lifecycle.DecideOneTime(use)
	if answer == lifecycle.OneTimeReused && moved {
		// A client that proves its key is not a thief.
		return lifecycle.OneTimeRefused, err
	}
	return answer, err
}

// usedUnfollowed records a use without an advance. It does not change lastUsedRevision, which names the token of a
// one-time key that was followed last.
func (s *Fresh) usedUnfollowed(e *exchange) {
	use := *e.use
	use.Revision, use.Superseded = 0, false
	s.registry.Used(&use)
}

// advance makes the successor, records its hash, and then returns it. Superseded tokens that are still in their
// retryGrace stay in status.
func (s *Fresh) advance(ctx context.Context, e *exchange) (string, error) {
	now := s.clock.Now()
	mint, err := lifecycle.Successor(e.key, e.issuer.URL, now)
	if err != nil {
		return "", err
	}
	if err := s.authorise(e, line.Claims(e.key, mint.Terms), mint.ExpiresAt.Sub(mint.CreatedAt)); err != nil {
		return "", err
	}
	signer, err := e.issuer.Rings.Signer(keyring.Refresh)
	if err != nil {
		return "", upstream.Unavailable("the issuer has no active refresh signing key")
	}
	compact, made, err := line.Mint(e.key, &mint, s.newID(), signer)
	if err != nil {
		return "", err
	}
	previous, _ := lifecycle.KeptInGrace(e.key, now)
	next := made.Line(previous)
	return compact, s.registry.Advance(ctx, e.key, &next, e.use)
}

// remade returns the current token again, which an earlier answer contained: that answer may have been lost, or
// sent to another holder. An expired current token is not returned, since it may have a shorter lifetime than the
// presented one.
func (s *Fresh) remade(e *exchange) (string, error) {
	current, signer, err := e.onRecord()
	if err != nil || !s.clock.Now().Before(current.ExpiresAt) {
		return "", err
	}
	return line.Remake(e.key, signer)
}

// reuse revokes the line of a token that is used a second time: one of its two holders is not legitimate, and the
// service cannot tell which (RFC 9700 §4.14.2). If the refresh key at the API server shows no reuse, it returns
// registry.ErrLost, and the token is decided on again.
func (s *Fresh) reuse(ctx context.Context, e *exchange) error {
	otherwise := false
	err := s.registry.Revoke(ctx, keyName(e.claims), v1alpha1.RevokedReuseDetected, func(key *v1alpha1.JWTRefreshKey) bool {
		reused := false
		if lifecycle.Lives(key, e.claims.Object.UID, s.clock.Now()) && lifecycle.OneTime(key) {
			answer, err := s.decideOnce(e, key, true)
			reused = err == nil && answer == lifecycle.OneTimeReused
		}
		otherwise = !reused
		return reused
	})
	switch {
	case err != nil:
		return err
	case otherwise:
		return registry.ErrLost
	default:
		return errGrant()
	}
}

// proven returns a client that proved the key of a thumbprint.
func proven(thumbprint string) binding.Proven {
	return binding.Proven{Proven: dpop.Proven{Thumbprint: thumbprint}}
}

// oneTimeExchangeable reports whether a one-time token can be exchanged, apart from its binding.
func (s *Fresh) oneTimeExchangeable(ctx context.Context, issuer *registry.Issuer, claims *token.Claims, key *v1alpha1.JWTRefreshKey) (bool, error) {
	e := &exchange{issuer: issuer, claims: claims, proven: proven(claims.JWKThumbprint)}
	for _, live := range [...]bool{false, true} {
		if live {
			var err error
			if key, err = s.registry.KeyLive(ctx, keyName(claims), claims.JTI); err != nil {
				return false, err
			}
		}
		if key == nil || !lifecycle.Lives(key, claims.Object.UID, s.clock.Now()) {
			return false, nil
		}
		if !lifecycle.OneTime(key) {
			return lifecycle.StandingOf(key, presented(claims), s.clock.Now()).Accepted(), nil
		}
		switch answer, err := s.decideOnce(e, key, live); {
		case err != nil:
			return false, err
		case answer == lifecycle.OneTimeUnknown:
			return false, upstream.Unavailable("the record does not say when the token was superseded")
		case answer != lifecycle.OneTimeRead:
			return answer.Good(), nil
		}
	}
	return false, upstream.Unavailable("the refresh key was just read, and the decision requires another read")
}
