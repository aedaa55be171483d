package grant

import (
	"context"
	"errors"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// Credentials authenticate a client, in addition to the token that it presents.
type Credentials struct {
	// Assertion is a client assertion (RFC 7521 §4.2), a projected ServiceAccount token for the issuer; empty for
	// none.
	Assertion string
	// Proofs are the values of the DPoP header (RFC 9449 §4.1); only one value is accepted.
	Proofs []string
}

// proven is what a client has proven; zero if it sent no credentials. Credentials that fail are an error even if
// none are required, so that a client never wrongly counts as authenticated.
type proven struct {
	// account is the client's ServiceAccount; nil for none.
	account *identity.ServiceAccount
	// thumbprint is the JWK thumbprint of the client key (cnf.jkt); empty for none.
	thumbprint string

	proof    proofID
	proofEnd time.Time
}

// ProofAlgorithms returns the accepted signing algorithms of DPoP proofs.
func ProofAlgorithms() []string { return token.ProofAlgorithms() }

// prove verifies credentials: a DPoP proof must be for this endpoint and current, and the assertion must
// authenticate. Call it after the presented token is verified, since an assertion costs a request to the API
// server. The caller then checks the result with proven.satisfies, and calls consumeProof before it grants
// anything.
func (s *Service) prove(ctx context.Context, issuer *registry.Issuer, credentials *Credentials) (proven, error) {
	var client proven
	var err error
	if len(credentials.Proofs) > 0 {
		if client, err = s.proveKey(issuer, credentials.Proofs); err != nil {
			return proven{}, err
		}
	}
	if credentials.Assertion != "" {
		if client.account, err = s.account(ctx, issuer, credentials.Assertion); err != nil {
			return proven{}, err
		}
	}
	return client, nil
}

// account returns the ServiceAccount of a client assertion.
func (s *Service) account(ctx context.Context, issuer *registry.Issuer, assertion string) (*identity.ServiceAccount, error) {
	account, err := s.assertions.ServiceAccount(ctx, issuer.URL, assertion)
	if errors.Is(err, identity.ErrRefused) {
		return nil, oauth.Refuse(oauth.InvalidClient, "The client assertion is not a ServiceAccount token that the cluster issued for this issuer.")
	}
	return account, err
}

// tokenMethod is the method of the token endpoint (RFC 6749 §3.2), and the htm of its proofs.
const tokenMethod = "POST"

func (s *Service) proveKey(issuer *registry.Issuer, proofs []string) (proven, error) {
	if len(proofs) != 1 {
		return proven{}, errProof("The request has more than one DPoP header.")
	}
	proof, err := token.ParseProof(proofs[0])
	if err != nil {
		return proven{}, errProof("The DPoP proof is malformed, or its key, algorithm or signature is not accepted.")
	}
	if proof.MadeFor(tokenMethod, issuer.TokenEndpoints) != nil {
		return proven{}, errProof("The DPoP proof is for another method or URL; htu must be the token_endpoint of the metadata.")
	}
	if proof.MadeWithin(nonceFor, s.clock.Now()) != nil {
		return proven{}, errProof("The iat of the DPoP proof is too far from the current time; check the client's clock.")
	}
	end, good, err := s.nonces.end(issuer.Rings, proof.Nonce)
	if err != nil {
		return proven{}, err
	}
	if !good {
		return proven{}, s.useNonce(issuer)
	}
	return proven{thumbprint: proof.Thumbprint, proof: identifyProof(proof.Thumbprint, proof.JTI), proofEnd: end}, nil
}

func errProof(description string) *oauth.Error {
	return oauth.Refuse(oauth.InvalidDPoPProof, description)
}

// useNonce returns the error with the nonce that the client must put into its proof (RFC 9449 §8).
func (s *Service) useNonce(issuer *registry.Issuer) error {
	nonce, err := s.nonces.fresh(issuer.Rings)
	if err != nil {
		return err
	}
	refusal := oauth.Refuse(oauth.UseDPoPNonce, "The DPoP proof needs the nonce of the DPoP-Nonce header.")
	refusal.DPoPNonce = nonce
	return refusal
}

// consumeProof records the proof, if there is one, and refuses it if it was used before. It is the last check
// before a grant, so that only holders of valid tokens fill the memory.
func (s *Service) consumeProof(client *proven) error {
	if client.thumbprint == "" {
		return nil
	}
	err := s.replays.use(client.proof, client.proofEnd)
	if errors.Is(err, errReplayed) {
		return errProof("The DPoP proof was used before; make a new proof for each request.")
	}
	return err
}

// unbound is the binding of a refresh key without one.
var unbound v1alpha1.BindingSpec

// satisfies checks that the client has proven the binding in the token and the current binding of its refresh key.
// The refusal is never invalid_grant, since the client must keep its token: it may send the proof with its next
// request.
func (p *proven) satisfies(claims *token.Claims, binding *v1alpha1.BindingSpec) error {
	if binding == nil {
		binding = &unbound
	}
	for _, name := range [...]string{claims.ServiceAccount, binding.ServiceAccountName} {
		// The ServiceAccount must be in the namespace of the refresh key, so another tenant's cannot be named.
		if name != "" && (p.account == nil || p.account.Namespace != claims.Object.Namespace || p.account.Name != name) {
			return oauth.Refuse(oauth.InvalidClient, "The refresh token is bound to a ServiceAccount; send the ServiceAccount's token for this issuer as client assertion.")
		}
	}
	for _, thumbprint := range [...]string{claims.JWKThumbprint, binding.JWKThumbprint} {
		if thumbprint != "" && p.thumbprint != thumbprint {
			return errProof("The refresh token is bound to a client key; send a DPoP proof signed with that key.")
		}
	}
	return nil
}

// constrain sets the token type of an answer to DPoP (RFC 9449 §5) if the client proved a key, and adds the nonce
// for its next proof.
func (s *Service) constrain(answer *oauth.TokenAnswer, client *proven, issuer *registry.Issuer) (err error) {
	if client.thumbprint == "" {
		return nil
	}
	answer.TokenType = oauth.TokenTypeDPoP
	answer.DPoPNonce, err = s.nonces.fresh(issuer.Rings)
	return err
}
