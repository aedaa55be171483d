package token

import (
	"encoding/base64"
	"errors"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/canonical"
)

// Errors of DPoP proofs, matched with errors.Is beside ErrMalformed and ErrSignature. None
// holds any part of the proof.
var (
	// ErrProofAlgorithm says that the alg is not one of ProofAlgorithms, or not one for the key's type.
	ErrProofAlgorithm = errors.New("the proof's algorithm is not accepted, or not one for its key")
	// ErrProofKey says that the jwk is not one sound public key and nothing else.
	ErrProofKey = errors.New("the proof's jwk is not a sound public key")
	// ErrProofTarget says that the proof is for another request.
	ErrProofTarget = errors.New("the proof is for another method or URL")
	// ErrProofTime says that the proof was not made just now.
	ErrProofTime = errors.New("the proof was not made at this time")
)

// proofType is the typ of a DPoP proof's header (RFC 9449 §4.2).
const proofType = "dpop+jwt"

const (
	// longestProofID is much longer than the 96 bits at random, or the UUID, that RFC 9449 §4.2 asks for.
	longestProofID = 256
	// longestNonce is longer than any that we give.
	longestNonce = 256
)

// Proof is a DPoP proof (RFC 9449) whose signature is good: somebody who has the private key
// has said this. For whom, when and whether for the first time is to be asked of it yet.
type Proof struct {
	// Thumbprint is that of the key (RFC 7638, SHA-256, base64url), as in cnf.jkt.
	Thumbprint string
	JTI        string
	// Nonce is the server's that the client was given; empty for none.
	Nonce string

	method, target string
	issuedAt       time.Time
	// notBefore and expiresAt are zero where the proof does not say, as most do not.
	notBefore, expiresAt time.Time
}

// ParseProof reads a DPoP proof as strictly as Parse reads a token: a header of typ, alg and
// jwk and nothing else, so that crit, jku and x5c are never followed; no name twice, in any
// case of letters. It does what RFC 9449 §4.3 wants of a proof by itself (2 to 7 there).
func ParseProof(compact string) (*Proof, error) {
	if len(compact) > MaxLength || strings.Count(compact, ".") != 2 || strings.ContainsFunc(compact, outsideAlphabet) {
		return nil, ErrMalformed
	}
	signed := compact[:strings.LastIndexByte(compact, '.')]
	encodedHeader, encodedPayload, _ := strings.Cut(signed, ".")
	header, err := segment(encodedHeader)
	if err != nil {
		return nil, err
	}
	jwk, isObject := header["jwk"].(map[string]any)
	if len(header) != 3 || header["typ"] != proofType || !isObject {
		return nil, ErrMalformed
	}
	algorithm, _ := header["alg"].(string)
	public, thumbprint, err := proofKey(algorithm, jwk)
	if err != nil {
		return nil, err
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(compact[len(signed)+1:])
	if err != nil {
		return nil, ErrMalformed
	}
	if proofAlgorithms[algorithm].method.Verify(signed, signature, public) != nil {
		return nil, ErrSignature
	}
	payload, err := segment(encodedPayload)
	if err != nil {
		return nil, err
	}
	return readProof(payload, thumbprint)
}

// segment is the object that a part of a compact serialisation holds.
func segment(encoded string) (map[string]any, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, ErrMalformed
	}
	value, err := canonical.Decode(raw)
	object, ok := value.(map[string]any)
	if err != nil || !ok {
		return nil, ErrMalformed
	}
	folded := make(map[string]bool, len(object))
	for name := range object {
		lower := strings.ToLower(name)
		if folded[lower] {
			return nil, ErrMalformed
		}
		folded[lower] = true
	}
	return object, nil
}

// proofClaims are those that are read. A name that is one of them but for the case of its
// letters is refused: readers that fold case would take it for the claim.
var proofClaims = []string{"jti", "htm", "htu", "iat", "nonce", "nbf", "exp"}

func readProof(payload map[string]any, thumbprint string) (*Proof, error) {
	for name := range payload {
		if lower := strings.ToLower(name); lower != name && slices.Contains(proofClaims, lower) {
			return nil, ErrMalformed
		}
	}
	r := reader{payload: payload}
	proof := &Proof{
		Thumbprint: thumbprint,
		JTI:        r.text("jti"), method: r.text("htm"), target: r.text("htu"), issuedAt: r.instant("iat"),
	}
	if _, present := payload["nonce"]; present {
		proof.Nonce = r.text("nonce")
	}
	if _, present := payload["nbf"]; present {
		proof.notBefore = r.instant("nbf")
	}
	if _, present := payload["exp"]; present {
		proof.expiresAt = r.instant("exp")
	}
	if r.err != nil || len(proof.JTI) > longestProofID || len(proof.Nonce) > longestNonce {
		return nil, ErrMalformed
	}
	return proof, nil
}

// instant reads a NumericDate of others, who may tell fractions of a second (RFC 7519 §2).
func (r *reader) instant(name string) time.Time {
	fraction, ok := r.payload[name].(float64)
	if !ok {
		return r.time(name)
	}
	if fraction <= 0 || fraction > maxNumericDate || math.IsNaN(fraction) {
		r.fail(name, "is not a time")
		return time.Time{}
	}
	return time.Unix(int64(math.Floor(fraction)), 0).UTC()
}

// MadeFor checks that the proof is for a request of the method to one of the URLs, which are
// the configured ones: what a request says of its own host proves nothing (RFC 9449 §4.3, 8 and 9).
func (p *Proof) MadeFor(method string, urls []string) error {
	target, ok := normalised(p.target)
	if p.method != method || !ok {
		return ErrProofTarget
	}
	for _, configured := range urls {
		if known, ok := normalised(configured); ok && known == target {
			return nil
		}
	}
	return ErrProofTarget
}

// MadeWithin checks that the proof was made at this time, or before it by no more than so
// long, allowing for Skew at both ends. It is the coarse check; a nonce is the fine one.
func (p *Proof) MadeWithin(past time.Duration, now time.Time) error {
	if p.issuedAt.Before(now.Add(-past-Skew)) || p.issuedAt.After(now.Add(Skew)) || p.notBefore.After(now.Add(Skew)) ||
		(!p.expiresAt.IsZero() && !now.Before(p.expiresAt.Add(Skew))) {
		return ErrProofTime
	}
	return nil
}

// target is a URL without query and fragment, in the one form that RFC 3986 §6.2.2 and §6.2.3
// give it: RFC 9449 §4.3 compares so.
type target struct{ scheme, host, path string }

func normalised(raw string) (target, bool) {
	parsed, err := url.Parse(raw)
	if err != nil || parsed.Host == "" || parsed.User != nil || parsed.Opaque != "" {
		return target{}, false
	}
	// url.Parse has the scheme in lower case already.
	t := target{scheme: parsed.Scheme, host: strings.ToLower(parsed.Host), path: parsed.EscapedPath()}
	t.host = strings.TrimSuffix(t.host, ":")
	switch t.scheme {
	case "https":
		t.host = strings.TrimSuffix(t.host, ":443")
	case "http":
		t.host = strings.TrimSuffix(t.host, ":80")
	default:
		return target{}, false
	}
	if t.path == "" {
		t.path = "/"
	}
	return t, true
}
