// Package dpop checks proofs of possession (DPoP, RFC 9449) at the token endpoint and at the service's own resources:
// what a proof says, that it is for this endpoint and current, and that it is used once at each replica. It makes the
// nonces that clients put into their proofs. The signatures of proofs are verified by package token.
package dpop

import (
	"errors"
	"strings"
	"time"

	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

// method is the method of the token endpoint (RFC 6749 §3.2), and the htm of its proofs.
const method = "POST"

// Proven is a client key, proven by one proof. The zero value is a client without a proof.
type Proven struct {
	// Thumbprint is the JWK thumbprint of the client key (cnf.jkt); empty for none.
	Thumbprint string

	proof proofID
	end   time.Time
}

// Proofs checks the proofs of a replica's clients.
type Proofs struct {
	clock   clock.PassiveClock
	nonces  *nonces
	replays *replays
}

// New returns a Proofs.
func New(clock clock.PassiveClock) (*Proofs, error) {
	nonces, err := newNonces(clock)
	return &Proofs{clock: clock, nonces: nonces, replays: newReplays(clock, rememberedProofs)}, err
}

// Resource is a request to a protected resource with an access token (RFC 9449 §7).
type Resource struct {
	// Method is that of the request, and URLs are the configured ones of the resource.
	Method string
	URLs   []string
	// Token is the access token of the request.
	Token string
}

// Prove verifies the values of the DPoP header (RFC 9449 §4.3). The proof must be for one of the URLs of the endpoint of
// the issuer and have a nonce that was derived from its rings. Without a value it returns the zero Proven. The refusal
// is invalid_dpop_proof, or use_dpop_nonce with a nonce; another error means that the nonce cannot be checked now.
func (p *Proofs) Prove(endpoints []string, rings *keyring.Rings, header []string) (Proven, error) {
	proof, err := parseOne(header)
	if proof == nil {
		return Proven{}, err
	}
	if proof.MadeFor(method, endpoints) != nil {
		return Proven{}, forAnother(endpoints)
	}
	return p.current(proof, rings)
}

// ProveAt is Prove for a request to a resource. The proof must also be for the access token of the request (`ath`).
func (p *Proofs) ProveAt(resource *Resource, rings *keyring.Rings, header []string) (Proven, error) {
	proof, err := parseOne(header)
	if proof == nil {
		return Proven{}, err
	}
	if proof.MadeFor(resource.Method, resource.URLs) != nil {
		return Proven{}, forAnother(resource.URLs)
	}
	if !proof.isFor(resource.Token) {
		return Proven{}, refuse("The DPoP proof is for another access token; ath must be the SHA-256 hash of the token of the request.")
	}
	return p.current(proof, rings)
}

// parseOne parses the proof of a DPoP header; nil if there is no header.
func parseOne(header []string) (*Proof, error) {
	switch len(header) {
	case 0:
		return nil, nil
	case 1:
	default:
		return nil, refuse("The request has more than one DPoP header.")
	}
	proof, err := Parse(header[0])
	if err != nil {
		return nil, refuse("The DPoP proof is malformed, or its key, algorithm or signature is not accepted.")
	}
	return proof, nil
}

// current checks the time and the nonce of a proof.
func (p *Proofs) current(proof *Proof, rings *keyring.Rings) (Proven, error) {
	if proof.MadeWithin(nonceFor, p.clock.Now()) != nil {
		return Proven{}, refuse("The iat of the DPoP proof is too far from the current time; check the client's clock.")
	}
	end, good, err := p.nonces.end(rings, proof.Nonce)
	if err != nil {
		return Proven{}, err
	}
	if !good {
		return Proven{}, p.useNonce(rings)
	}
	return Proven{Thumbprint: proof.Thumbprint, proof: identifyProof(proof.Thumbprint, proof.JTI), end: end}, nil
}

// forAnother refuses a proof that is not for the request. It names the configured URLs of the endpoint that was asked.
func forAnother(urls []string) *oauth.Error {
	return refuse("The DPoP proof is for another method or URL; htu must be " + strings.Join(urls, " or ") + ".")
}

func refuse(description string) *oauth.Error {
	return oauth.Refuse(oauth.InvalidDPoPProof, description)
}

// useNonce returns the error with the nonce that the client must put into its proof (RFC 9449 §8).
func (p *Proofs) useNonce(rings *keyring.Rings) error {
	nonce, err := p.nonces.fresh(rings)
	if err != nil {
		return err
	}
	refusal := oauth.Refuse(oauth.UseDPoPNonce, "The DPoP proof needs the nonce of the DPoP-Nonce header.")
	refusal.DPoPNonce = nonce
	return refusal
}

// Consume records the proof, if there is one, and refuses it if it was used before at this replica. It is the last
// check before a grant, so that only holders of valid tokens fill the memory. A full memory is ErrUnavailable.
func (p *Proofs) Consume(client *Proven) error {
	if client.Thumbprint == "" {
		return nil
	}
	err := p.replays.use(client.proof, client.end)
	if errors.Is(err, errReplayed) {
		return refuse("The DPoP proof was used before; make a new proof for each request.")
	}
	return err
}

// Satisfies checks that the client has proven the key of each given thumbprint; an empty one requires no key. The
// refusal is never invalid_grant, since the client must keep its token: it may send the proof with its next request.
func (c *Proven) Satisfies(thumbprints ...string) error {
	for _, thumbprint := range thumbprints {
		if thumbprint != "" && c.Thumbprint != thumbprint {
			return refuse("The token is bound to a client key; send a DPoP proof signed with that key.")
		}
	}
	return nil
}

// Constrain sets the token type of an answer to DPoP (RFC 9449 §5) if the client proved a key, and adds the nonce for
// its next proof.
func (p *Proofs) Constrain(answer *oauth.TokenAnswer, client *Proven, rings *keyring.Rings) (err error) {
	if client.Thumbprint == "" {
		return nil
	}
	answer.TokenType = oauth.TokenTypeDPoP
	answer.DPoPNonce, err = p.NextNonce(client, rings)
	return err
}

// NextNonce returns the nonce for the next proof of a client that proved a key; empty for another client.
func (p *Proofs) NextNonce(client *Proven, rings *keyring.Rings) (string, error) {
	if client.Thumbprint == "" {
		return "", nil
	}
	return p.nonces.fresh(rings)
}
