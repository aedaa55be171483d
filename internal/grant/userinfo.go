package grant

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// UserInfo returns the claims of the person of an access token (OpenID Connect Core §5.3.2): the subject, and the claims that the login
// gave. The token must be of a session by sign-in that goes on, with the scope openid; for which API it is does not matter.
func (s *Service) UserInfo(ctx context.Context, issuer *registry.Issuer, request *AccessRequest, outcome *Outcome) (*oauth.UserInfoAnswer, error) {
	m, err := s.present(ctx, issuer, request, (*registry.Issuer).UserInfoURLs, func(claims *token.Claims, _ *registry.Issuer) error {
		if !slices.Contains(strings.Fields(claims.Scope), v1alpha1.ScopeOpenID) {
			return oauth.Refuse(oauth.InsufficientScope, "The access token lacks the scope openid.")
		}
		return nil
	}, "userinfo", outcome)
	if err != nil {
		return nil, err
	}
	claims := map[string]json.RawMessage{}
	for name, value := range m.claims.Extra {
		claims[name] = json.RawMessage(value)
	}
	subject, err := json.Marshal(m.claims.Subject)
	claims["sub"] = subject
	return &oauth.UserInfoAnswer{Claims: claims, DPoPNonce: m.nonce}, err
}
