package main

import (
	"context"
	"time"

	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// rules is the storage of the example, with id_tokens that have the claims of the scopes, and groups.
type rules struct {
	*storage.Storage
	groups, denied string
	lifetime       time.Duration
	afterLogout    []string
}

// GetClientByClientID implements op.Storage.
func (s *rules) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	found, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return client{found, s}, nil
}

// SetUserinfoFromRequest implements op.CanSetUserinfoFromRequest.
func (s *rules) SetUserinfoFromRequest(ctx context.Context, info *oidc.UserInfo, request op.IDTokenRequest, scopes []string) error {
	if s.groups != "" {
		info.AppendClaims("groups", []string{s.groups})
	}
	return s.Storage.SetUserinfoFromRequest(ctx, info, request, scopes)
}

// SaveAuthCode implements op.Storage. It refuses the user that may use no client, who has signed in at the provider.
func (s *rules) SaveAuthCode(ctx context.Context, id, code string) error {
	request, err := s.AuthRequestByID(ctx, id)
	if err != nil {
		return err
	}
	if s.denied != "" && request.GetSubject() == s.denied {
		return oidc.ErrAccessDenied()
	}
	return s.Storage.SaveAuthCode(ctx, id, code)
}

// client is a client whose id_tokens have the claims of the scopes, also beside an access token.
type client struct {
	op.Client
	rules *rules
}

// IDTokenUserinfoClaimsAssertion implements op.Client.
func (client) IDTokenUserinfoClaimsAssertion() bool { return true }

// IDTokenLifetime implements op.Client.
func (c client) IDTokenLifetime() time.Duration { return c.rules.lifetime }

// PostLogoutRedirectURIs implements op.Client.
func (c client) PostLogoutRedirectURIs() []string { return c.rules.afterLogout }
