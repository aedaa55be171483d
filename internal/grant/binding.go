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

// Credentials are what a client proves itself with, beside the token that it presents.
type Credentials struct {
	// Assertion is a client assertion (RFC 7521 §4.2), which is a projected ServiceAccount token
	// for the issuer; empty for none.
	Assertion string
	// Proofs are the values of the DPoP header (RFC 9449 §4.1), of which one is accepted.
	Proofs []string
}

// proven is what a client has proven of itself; the zero value where it was not tried. What
// was tried and failed is an error, even where nothing had to be proven: nobody may believe
// that he is known when he is not.
type proven struct {
	// account is the client's ServiceAccount; nil for none.
	account *identity.ServiceAccount
	// thumbprint is that of the key that the client has (cnf.jkt); empty for none.
	thumbprint string

	proof    proofID
	proofEnd time.Time
}

// ProofAlgorithms are those that a DPoP proof may be signed with.
func ProofAlgorithms() []string { return token.ProofAlgorithms() }

// prove checks credentials by themselves: that a DPoP proof is for this endpoint and was made
// just now, and whose the assertion is. Call it once what is presented is known to be good: an
// assertion costs the API server a question. What has been proven is to be held against what is
// asked for, by proven.holds, and a proof to be spent before anything is given for it.
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

// account is the ServiceAccount whose token for the issuer the client presents as assertion.
func (s *Service) account(ctx context.Context, issuer *registry.Issuer, assertion string) (*identity.ServiceAccount, error) {
	account, err := s.assertions.ServiceAccount(ctx, issuer.URL, assertion)
	if errors.Is(err, identity.ErrRefused) {
		return nil, oauth.Refuse(oauth.InvalidClient, "The client assertion is not a ServiceAccount token that the cluster issued for this issuer.")
	}
	return account, err
}

// tokenMethod is the method of the token endpoint (RFC 6749 §3.2), which is htm of its proofs.
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

// useNonce gives the client the nonce that it has to put into its proof (RFC 9449 §8).
func (s *Service) useNonce(issuer *registry.Issuer) error {
	nonce, err := s.nonces.fresh(issuer.Rings)
	if err != nil {
		return err
	}
	refusal := oauth.Refuse(oauth.UseDPoPNonce, "The DPoP proof needs the nonce of the DPoP-Nonce header.")
	refusal.DPoPNonce = nonce
	return refusal
}

// spend uses up the proof, if there is one: a second request with it gets nothing. It comes
// last before something is given for it, so that nobody fills the memory but holders of good tokens.
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

// unbound is the binding of a key that has none.
var unbound v1alpha1.BindingSpec

// holds checks that the client has proven all that is asked of whoever presents the token: by
// the token itself, and by its key as it is now. Neither refusal is invalid_grant, on which a
// client would discard a token that it may well prove itself for the next time.
func (p *proven) satisfies(claims *token.Claims, binding *v1alpha1.BindingSpec) error {
	if binding == nil {
		binding = &unbound
	}
	for _, name := range [...]string{claims.ServiceAccount, binding.ServiceAccountName} {
		// The namespace is always the key's own: nobody else's ServiceAccount can be named.
		if name != "" && (p.account == nil || p.account.Namespace != claims.Object.Namespace || p.account.Name != name) {
			return oauth.Refuse(oauth.InvalidClient, "The refresh token is bound to a ServiceAccount; send the ServiceAccount's token for this issuer as client_assertion.")
		}
	}
	for _, thumbprint := range [...]string{claims.JWKThumbprint, binding.JWKThumbprint} {
		if thumbprint != "" && p.thumbprint != thumbprint {
			return errProof("The refresh token is bound to a client key; send a DPoP proof signed with that key.")
		}
	}
	return nil
}

// constrain makes an answer one for the holder of a key (RFC 9449 §5), and gives him the nonce
// for his next proof.
func (s *Service) constrain(answer *oauth.TokenAnswer, client *proven, issuer *registry.Issuer) (err error) {
	if client.thumbprint == "" {
		return nil
	}
	answer.TokenType = oauth.TokenTypeDPoP
	answer.DPoPNonce, err = s.nonces.fresh(issuer.Rings)
	return err
}
