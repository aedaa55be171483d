package grant

import (
	"context"
	"errors"
	"fmt"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/line"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// claimTries is how often a claim is tried that others forestall: each time the key is read
// again, and mostly the other was the same token's, which settles it.
const claimTries = 8

// useOnce uses a one-time token: it claims the line for its successor, which is put on record
// before anybody gets it. Of parallel uses at this replica one claims, and all get its answer.
func (s *Service) useOnce(ctx context.Context, e *exchange) (string, error) {
	mine := *e
	successor, err := s.claims.Do(ctx, e.claims.Object.UID+"/"+e.claims.JTI, func(ctx context.Context) (string, error) {
		return s.claim(ctx, &mine)
	})
	// A revocation may have been answered while the claim of another was waited for.
	if known := s.registry.Key(keyName(e.claims)); known != nil && over(known, e.claims) {
		return "", errGrant()
	}
	return successor, err
}

// claim goes on with the key as it reads it. What is known is good enough to claim on, since
// the claim fails where it is out of date; it is not good enough to refuse on.
func (s *Service) claim(ctx context.Context, e *exchange) (string, error) {
	for reads := range claimTries {
		if reads > 0 {
			var err error
			if e.key, err = s.registry.KeyNow(ctx, keyName(e.claims)); err != nil {
				return "", err
			}
		}
		if e.key == nil || !registry.Lives(e.key, e.claims.Object.UID, s.clock.Now()) {
			return "", errGrant()
		}
		// Before a reuse is seen in it: a thief without the proof does not end the line.
		if err := e.proven.holds(e.claims, e.key.Spec.Binding); err != nil {
			return "", err
		}
		switch place := s.placeOf(e.key, e.claims); {
		case place == current:
			successor, err := s.advance(ctx, e)
			if !errors.Is(err, registry.ErrLost) {
				return successor, err
			}
		case place == justUsed:
			return remade(e)
		case place == supersededUnused:
			return rollOver(e), nil
		case reads == 0:
		case place == unrecorded:
			return "", fmt.Errorf("%w: the first token is not on record yet", registry.ErrUnavailable)
		case place == used:
			return "", s.reuse(ctx, e.claims)
		default:
			return "", errGrant()
		}
	}
	return "", fmt.Errorf("%w: the key changes too often", registry.ErrUnavailable)
}

// place is where a one-time token stands in its line.
type place int

const (
	// retired: it was never used, and others have followed it.
	retired place = iota
	// unrecorded: it is the first token of a key whose line has not begun.
	unrecorded
	// current: it has not been used.
	current
	// justUsed: the current token is its successor, unused, and the time for a lost answer runs.
	justUsed
	// supersededUnused: an enrolment followed it before it was used, and it is in overlap.
	supersededUnused
	// used: it was used, and that is over.
	used
)

func (s *Service) placeOf(key *v1alpha1.JWTRefreshKey, claims *token.Claims) place {
	status := &key.Status
	standing := registry.StandingOf(key, presented(claims), s.clock.Now())
	wasUsed := status.LastUsed != nil && claims.Object.Revision <= status.LastUsedRevision
	switch {
	case standing == registry.Unrecorded:
		return unrecorded
	case standing == registry.Current:
		return current
	case standing == registry.Superseded && !wasUsed:
		return supersededUnused
	case standing == registry.Superseded && status.LastUsedRevision == claims.Object.Revision && status.Revision == claims.Object.Revision+1 && s.inGrace(key):
		return justUsed
	case wasUsed:
		return used
	default:
		return retired
	}
}

// inGrace: the grace begins with the first use, and no retry makes it longer.
func (s *Service) inGrace(key *v1alpha1.JWTRefreshKey) bool {
	createdAt := key.Status.CreatedAt
	return createdAt != nil && s.clock.Now().Before(createdAt.Add(lifecycle.RetryGrace(key)))
}

// advance puts the successor on record. It is made before, since the record holds its hash,
// and handed out only after.
func (s *Service) advance(ctx context.Context, e *exchange) (string, error) {
	mint, err := lifecycle.Successor(e.key, e.issuer.URL, s.clock.Now())
	if err != nil {
		return "", err
	}
	if err := s.authorise(e, line.Claims(e.key, mint.Terms), mint.ExpiresAt.Sub(mint.CreatedAt)); err != nil {
		return "", err
	}
	signer, err := e.issuer.Rings.Signer(keyring.Refresh)
	if err != nil {
		return "", unavailable("no refresh key of the issuer signs now")
	}
	compact, made, err := line.Mint(e.key, &mint, s.newID(), signer)
	if err != nil {
		return "", err
	}
	next := made.Line([]v1alpha1.SupersededToken{lifecycle.Superseded(&e.key.Status.TokenLine)})
	return compact, s.registry.Advance(ctx, e.key, &next, e.use)
}

// remade is the successor that another answer held already, which may have been lost.
func remade(e *exchange) (string, error) {
	_, signer, err := e.onRecord()
	if err != nil {
		return "", err
	}
	return line.Remake(e.key, signer)
}

// reuse revokes the line of a token that is used a second time: of the two who hold it one
// should not, and nobody can tell which (RFC 9700 §4.14.2).
func (s *Service) reuse(ctx context.Context, claims *token.Claims) error {
	err := s.registry.Revoke(ctx, keyName(claims), v1alpha1.RevokedReuseDetected, func(key *v1alpha1.JWTRefreshKey) bool {
		return registry.Lives(key, claims.Object.UID, s.clock.Now()) && s.placeOf(key, claims) == used
	})
	if err != nil {
		return err
	}
	return errGrant()
}
