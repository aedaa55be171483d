package main

import (
	"context"

	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// claims is the storage of the example, with id_tokens that have the claims of the scopes, and groups.
type claims struct {
	*storage.Storage
	groups, afterLogout string
}

// GetClientByClientID implements op.Storage.
func (c *claims) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	found, err := c.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return client{found, c.afterLogout}, nil
}

// SetUserinfoFromRequest implements op.CanSetUserinfoFromRequest.
func (c *claims) SetUserinfoFromRequest(ctx context.Context, info *oidc.UserInfo, request op.IDTokenRequest, scopes []string) error {
	if c.groups != "" {
		info.AppendClaims("groups", []string{c.groups})
	}
	return c.Storage.SetUserinfoFromRequest(ctx, info, request, scopes)
}

// client is a client whose id_tokens have the claims of the scopes, also beside an access token.
type client struct {
	op.Client
	afterLogout string
}

// IDTokenUserinfoClaimsAssertion implements op.Client.
func (client) IDTokenUserinfoClaimsAssertion() bool { return true }

// PostLogoutRedirectURIs implements op.Client.
func (c client) PostLogoutRedirectURIs() []string { return []string{c.afterLogout} }
