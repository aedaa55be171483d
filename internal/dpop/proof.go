package dpop

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/token"
)

// Errors of DPoP proofs, matched with errors.Is, in addition to token.ErrMalformed and token.ErrSignature. None
// contains any part of the proof.
var (
	// ErrAlgorithm: the alg is not one of Algorithms, or not one for the key's type.
	ErrAlgorithm = errors.New("the proof's algorithm is not accepted, or not one for its key")
	// ErrKey: the jwk is not exactly one sound public key.
	ErrKey = errors.New("the proof's jwk is not a sound public key")
	// ErrTarget: the proof is for another request.
	ErrTarget = errors.New("the proof is for another method or URL")
	// ErrTime: the proof is too old, or from the future.
	ErrTime = errors.New("the proof was not made at this time")
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
	// AccessTokenHash is the hash of the access token of the request (ath); empty for none.
	AccessTokenHash string

	method, target string
	issuedAt       time.Time
	// notBefore and expiresAt are zero if absent, as in most proofs.
	notBefore, expiresAt time.Time
}

// Parse parses and verifies a DPoP proof as strictly as token.Parse does a token: the header has only typ, alg and
// jwk, so that crit, jku and x5c have no effect, and no name occurs twice, in upper or lower case. It makes the
// checks of RFC 9449 §4.3 that need only the proof (2 to 7).
func Parse(compact string) (*Proof, error) {
	if !token.ThreeParts(compact) {
		return nil, token.ErrMalformed
	}
	signed := compact[:strings.LastIndexByte(compact, '.')]
	encodedHeader, encodedPayload, _ := strings.Cut(signed, ".")
	header, err := token.Segment(encodedHeader)
	if err != nil {
		return nil, err
	}
	jwk, isObject := header["jwk"].(map[string]any)
	if len(header) != 3 || header["typ"] != proofType || !isObject {
		return nil, token.ErrMalformed
	}
	algorithm, _ := header["alg"].(string)
	public, thumbprint, err := clientKey(algorithm, jwk)
	if err != nil {
		return nil, err
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(compact[len(signed)+1:])
	if err != nil {
		return nil, token.ErrMalformed
	}
	if err := token.VerifySignature(algorithm, public, signed, signature); err != nil {
		return nil, err
	}
	payload, err := token.Segment(encodedPayload)
	if err != nil {
		return nil, err
	}
	return readProof(payload, thumbprint)
}

// proofClaims are the claims that Parse reads. A name that differs from one of them only in case
// is refused: parsers that ignore case would mistake it for the claim.
var proofClaims = []string{"jti", "htm", "htu", "iat", "nonce", "ath", "nbf", "exp"}

func readProof(payload map[string]any, thumbprint string) (*Proof, error) {
	for name := range payload {
		if lower := strings.ToLower(name); lower != name && slices.Contains(proofClaims, lower) {
			return nil, token.ErrMalformed
		}
	}
	r := proofReader{payload: payload}
	proof := &Proof{
		Thumbprint: thumbprint,
		JTI:        r.text("jti"), method: r.text("htm"), target: r.text("htu"), issuedAt: r.instant("iat"),
	}
	if _, present := payload["nonce"]; present {
		proof.Nonce = r.text("nonce")
	}
	if _, present := payload["ath"]; present {
		proof.AccessTokenHash = r.text("ath")
	}
	if _, present := payload["nbf"]; present {
		proof.notBefore = r.instant("nbf")
	}
	if _, present := payload["exp"]; present {
		proof.expiresAt = r.instant("exp")
	}
	if r.malformed || len(proof.JTI) > longestProofID || len(proof.Nonce) > longestNonce {
		return nil, token.ErrMalformed
	}
	return proof, nil
}

// proofReader reads claims, and records whether one is malformed. Unlike the claims of tokens, those of proofs are written by
// clients: times can have fractions of a second, and errors name no claim.
type proofReader struct {
	payload   map[string]any
	malformed bool
}

func (r *proofReader) text(name string) string {
	text, ok := r.payload[name].(string)
	if !ok || text == "" {
		r.malformed = true
	}
	return text
}

// instant reads a NumericDate that can have fractions of a second (RFC 7519 §2).
func (r *proofReader) instant(name string) time.Time {
	var seconds float64
	switch number := r.payload[name].(type) {
	case int64:
		seconds = float64(number)
	case float64:
		seconds = number
	}
	if seconds > 0 && seconds <= token.MaxNumericDate {
		return time.Unix(int64(math.Floor(seconds)), 0).UTC()
	}
	r.malformed = true
	return time.Time{}
}

// MadeFor checks that the proof is for a request with the method to one of the URLs. Pass the
// configured URLs: the host in a request proves nothing (RFC 9449 §4.3, 8 and 9).
func (p *Proof) MadeFor(method string, urls []string) error {
	target, ok := normalised(p.target)
	if p.method != method || !ok {
		return ErrTarget
	}
	for _, configured := range urls {
		if known, ok := normalised(configured); ok && known == target {
			return nil
		}
	}
	return ErrTarget
}

// isFor reports whether the proof is for a request with the access token (RFC 9449 §4.3, 11).
func (p *Proof) isFor(accessToken string) bool {
	sum := sha256.Sum256([]byte(accessToken))
	return p.AccessTokenHash == base64.RawURLEncoding.EncodeToString(sum[:])
}

// MadeWithin checks that the proof is at most as old as the given duration, and not from the future,
// allowing for token.Skew at both ends. A nonce is the more precise check.
func (p *Proof) MadeWithin(past time.Duration, now time.Time) error {
	if p.issuedAt.Before(now.Add(-past-token.Skew)) || p.issuedAt.After(now.Add(token.Skew)) || p.notBefore.After(now.Add(token.Skew)) ||
		(!p.expiresAt.IsZero() && !now.Before(p.expiresAt.Add(token.Skew))) {
		return ErrTime
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
