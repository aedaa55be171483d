package commands

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/refreshkeys/refreshkeys/internal/token"
)

// parsed holds the parts of a token, of which nothing is verified.
type parsed struct {
	compact string
	header  map[string]any
	payload json.RawMessage
	claims  *token.Claims
	// headerErr and claimsErr say what is wrong, without any text of the token.
	headerErr, claimsErr error
}

var errForm = fmt.Errorf("the token must be three base64url parts separated by dots, at most %d KiB", token.MaxLength>>10)

// parse splits and decodes a token. It returns errForm for a text that is not a compact JWS. It reads more than token.Segment,
// so that users see also what the token service refuses.
func parse(compact string) (*parsed, error) {
	if !token.ThreeParts(compact) {
		return nil, errForm
	}
	parts := strings.Split(compact, ".")
	raw := make([][]byte, len(parts))
	for i, part := range parts {
		decoded, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || len(decoded) == 0 {
			return nil, errForm
		}
		raw[i] = decoded
	}
	p := &parsed{compact: compact, payload: raw[1]}
	if err := json.Unmarshal(raw[0], &p.header); err != nil {
		p.headerErr = errors.New("the header is not a JSON object")
	}
	if !json.Valid(raw[1]) {
		p.payload, p.claimsErr = nil, errors.New("the payload is not JSON")
		return p, nil
	}
	p.claims, p.claimsErr = token.ParsePayload(raw[1])
	return p, nil
}

// readClaims returns the claims of a token, unverified.
func readClaims(compact string) (*token.Claims, error) {
	p, err := parse(compact)
	if err != nil {
		return nil, err
	}
	return p.claims, p.claimsErr
}

func (p *parsed) text(name string) string {
	text, _ := p.header[name].(string)
	return text
}
