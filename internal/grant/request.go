package grant

import (
	"context"

	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// Request is a request for tokens, of one grant_type. Service.Token alone answers it.
type Request interface {
	// Check returns the refusal of a request that is malformed or that the issuer does not offer. It needs no other
	// state.
	Check(issuer *registry.Issuer) error
	// Answer makes all other checks and returns the tokens. A refusal is an *oauth.Error. It records in outcome what
	// it verified.
	Answer(ctx context.Context, from *Fresh, issuer *registry.Issuer, outcome *Outcome) (*oauth.TokenAnswer, error)
}

// Fresh is a Service with its registry, for one request. It exists only while the view is proven fresh, so that no
// grant answers from a stale one.
type Fresh struct {
	*Service
	registry Registry
}

// fresh returns a Fresh, and ErrUnavailable if the view may be too old to answer from.
func (s *Service) fresh() (*Fresh, error) {
	passed, err := s.gate.Pass()
	if err != nil {
		return nil, err
	}
	return &Fresh{Service: s, registry: passed}, nil
}

// Token answers a request for tokens of any grant_type from a fresh view.
func (s *Service) Token(ctx context.Context, issuer *registry.Issuer, request Request, outcome *Outcome) (*oauth.TokenAnswer, error) {
	if err := request.Check(issuer); err != nil {
		return nil, err
	}
	from, err := s.fresh()
	if err != nil {
		return nil, err
	}
	return request.Answer(ctx, from, issuer, outcome)
}
