// Package binding authenticates the client of a request: the ServiceAccount of its assertion (RFC 7523 §2.2) and the
// key of its DPoP proof (RFC 9449). It checks that a client has proven what its token is bound to.
package binding

import (
	"context"
	"errors"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/dpop"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// Reviewer authenticates ServiceAccounts at the API server.
type Reviewer interface {
	// ServiceAccount returns the ServiceAccount of a projected token for the issuer, and identity.ErrRefused for
	// any other token.
	ServiceAccount(ctx context.Context, issuer, token string) (*identity.ServiceAccount, error)
}

// Credentials authenticate a client, in addition to the token that it presents.
type Credentials struct {
	// Assertion is a client assertion (RFC 7521 §4.2), a projected ServiceAccount token for the issuer; empty for
	// none.
	Assertion string
	// Proofs are the values of the DPoP header (RFC 9449 §4.1); only one value is accepted.
	Proofs []string
}

// Proven is what a client has proven; zero if it sent no credentials. Credentials that fail are an error even if
// none are required, so that a client never wrongly counts as authenticated.
type Proven struct {
	dpop.Proven
	// Account is the client's ServiceAccount; nil for none.
	Account *identity.ServiceAccount
}

// Clients authenticates the clients of a replica.
type Clients struct {
	*dpop.Proofs
	assertions Reviewer
}

// New returns a Clients. assertions authenticates client assertions.
func New(proofs *dpop.Proofs, assertions Reviewer) *Clients {
	return &Clients{Proofs: proofs, assertions: assertions}
}

// Prove verifies credentials: a DPoP proof must be for the issuer's token endpoint and current, and the assertion must
// authenticate. Call it after the presented token is verified, since an assertion costs a request to the API server.
// The caller then checks the result with Satisfies, and calls Consume before it grants anything.
func (c *Clients) Prove(ctx context.Context, issuer *registry.Issuer, credentials *Credentials) (Proven, error) {
	var client Proven
	var err error
	if len(credentials.Proofs) > 0 {
		if client.Proven, err = c.Proofs.Prove(issuer.TokenEndpoints, issuer.Rings, credentials.Proofs); err != nil {
			return Proven{}, err
		}
	}
	if credentials.Assertion != "" {
		if client.Account, err = c.Account(ctx, issuer, credentials.Assertion); err != nil {
			return Proven{}, err
		}
	}
	return client, nil
}

// Account returns the ServiceAccount of a client assertion, and invalid_client if it is not one for the issuer.
func (c *Clients) Account(ctx context.Context, issuer *registry.Issuer, assertion string) (*identity.ServiceAccount, error) {
	account, err := c.assertions.ServiceAccount(ctx, issuer.URL, assertion)
	if errors.Is(err, identity.ErrRefused) {
		return nil, oauth.Refuse(oauth.InvalidClient, "The client assertion is not a ServiceAccount token that the cluster issued for this issuer.")
	}
	return account, err
}

// unbound is the binding of a refresh key without one.
var unbound v1alpha1.BindingSpec

// Satisfies checks that the client has proven the binding in the token and the current binding of its refresh key.
// The refusal is never invalid_grant, since the client must keep its token: it may send the proof with its next
// request.
func (p *Proven) Satisfies(claims *token.Claims, binding *v1alpha1.BindingSpec) error {
	if binding == nil {
		binding = &unbound
	}
	for _, name := range [...]string{claims.ServiceAccount, binding.ServiceAccountName} {
		// The ServiceAccount must be in the namespace of the refresh key, so another tenant's cannot be named.
		if name != "" && (p.Account == nil || p.Account.Namespace != claims.Object.Namespace || p.Account.Name != name) {
			return oauth.Refuse(oauth.InvalidClient, "The refresh token is bound to a ServiceAccount; send the ServiceAccount's token for this issuer as client assertion.")
		}
	}
	return p.Proven.Satisfies(claims.JWKThumbprint, binding.JWKThumbprint)
}
