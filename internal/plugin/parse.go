package plugin

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
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

// parse splits and decodes a token. It returns errForm for a text that is not a compact JWS.
func parse(compact string) (*parsed, error) {
	parts := strings.Split(compact, ".")
	// The base64 decoder skips line breaks.
	if len(parts) != 3 || len(compact) > token.MaxLength || strings.ContainsAny(compact, "\r\n") {
		return nil, errForm
	}
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

// read reads a secret text from a file, or from stdin for -. As an argument, the text would be in the shell's history.
func (c *cli) read(file string) (string, error) {
	from := c.In
	if file != "-" {
		opened, err := os.Open(file) //nolint:gosec // the user names the file
		if err != nil {
			return "", err
		}
		defer opened.Close()
		from = opened
	}
	raw, err := io.ReadAll(io.LimitReader(from, maxSecret+1))
	switch {
	case err != nil:
		return "", err
	case len(raw) > maxSecret:
		return "", fmt.Errorf("%s is larger than %d KiB: it holds no token or password", file, maxSecret>>10)
	case strings.TrimSpace(string(raw)) == "":
		return "", fmt.Errorf("%s is empty", file)
	}
	return strings.TrimSpace(string(raw)), nil
}

// maxSecret is the largest size of a token or password in bytes that read accepts.
const maxSecret = 64 << 10
