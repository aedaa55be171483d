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

// Errors of DPoP proofs, matched with errors.Is, in addition to ErrMalformed and ErrSignature. None
// contains any part of the proof.
var (
	// ErrProofAlgorithm: the alg is not one of ProofAlgorithms, or not one for the key's type.
	ErrProofAlgorithm = errors.New("the proof's algorithm is not accepted, or not one for its key")
	// ErrProofKey: the jwk is not exactly one sound public key.
	ErrProofKey = errors.New("the proof's jwk is not a sound public key")
	// ErrProofTarget: the proof is for another request.
	ErrProofTarget = errors.New("the proof is for another method or URL")
	// ErrProofTime: the proof is too old, or from the future.
	ErrProofTime = errors.New("the proof was not made at this time")
)

// proofType is the typ of a DPoP proof's header (RFC 9449 §4.2).
const proofType = "dpop+jwt"

const (
	// longestProofID is much longer than the 96 random bits, or the UUID, that RFC 9449 §4.2 requires.
	longestProofID = 256
	// longestNonce is longer than any nonce of the token service.
	longestNonce = 256
)

// Proof is a DPoP proof (RFC 9449) with a valid signature of the private key's holder. The caller must still
// check its target, its time, and whether it was used before.
type Proof struct {
	// Thumbprint is the thumbprint of the client key (RFC 7638, SHA-256, base64url), as in cnf.jkt.
	Thumbprint string
	JTI        string
	// Nonce is the server's nonce; empty for none.
	Nonce string

	method, target string
	issuedAt       time.Time
	// notBefore and expiresAt are zero if absent, as in most proofs.
	notBefore, expiresAt time.Time
}

// ParseProof parses and verifies a DPoP proof as strictly as Parse does a token: the header has only typ, alg and
// jwk, so that crit, jku and x5c have no effect, and no name occurs twice, in upper or lower case. It makes the
// checks of RFC 9449 §4.3 that need only the proof (2 to 7).
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

// segment returns the JSON object in a part of a compact serialisation.
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

// proofClaims are the claims that ParseProof reads. A name that differs from one of them only in case
// is refused: parsers that ignore case would mistake it for the claim.
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

// instant reads a NumericDate that can have fractions of a second (RFC 7519 §2).
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

// MadeFor checks that the proof is for a request with the method to one of the URLs. Pass the
// configured URLs: the host in a request proves nothing (RFC 9449 §4.3, 8 and 9).
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

// MadeWithin checks that the proof is at most as old as the given duration, and not from the future,
// allowing for Skew at both ends. A nonce is the more precise check.
func (p *Proof) MadeWithin(past time.Duration, now time.Time) error {
	if p.issuedAt.Before(now.Add(-past-Skew)) || p.issuedAt.After(now.Add(Skew)) || p.notBefore.After(now.Add(Skew)) ||
		(!p.expiresAt.IsZero() && !now.Before(p.expiresAt.Add(Skew))) {
		return ErrProofTime
	}
	return nil
}

// target returns a URL without query and fragment, normalised as in RFC 3986 §6.2.2 and §6.2.3, for the
// comparison of RFC 9449 §4.3.
type target struct{ scheme, host, path string }

func normalised(raw string) (target, bool) {
	parsed, err := url.Parse(raw)
	if err != nil || parsed.Host == "" || parsed.User != nil || parsed.Opaque != "" {
		return target{}, false
	}
	// url.Parse returns the scheme in lower case.
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
