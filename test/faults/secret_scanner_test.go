package faults

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// secretScanner finds secrets in every form in which they could appear: as they are, in base64 and hex, in
// parts, printed as numbers, and in a hex dump.
type secretScanner struct {
	// byPrefix holds the patterns by their first bytes, so that one pass over a text finds all of them.
	byPrefix map[string][]pattern
}

type pattern struct{ what, text string }

// prefixLength is the number of bytes by which a pattern is looked up.
const prefixLength = 16

func newSecretScanner() *secretScanner { return &secretScanner{byPrefix: map[string][]pattern{}} }

func (s *secretScanner) addPattern(what, text string) {
	if len(text) >= prefixLength {
		s.byPrefix[text[:prefixLength]] = append(s.byPrefix[text[:prefixLength]], pattern{what, text})
	}
}

// addEncodings adds a text and its encodings.
func (s *secretScanner) addEncodings(what, text string) {
	s.addPattern(what, text)
	s.addPattern(what+" in hex", hex.EncodeToString([]byte(text)))
	for shift := range 3 {
		// Only whole groups of three bytes have the same encoding in every context.
		inside := text[min(len(text), (3-shift)%3):]
		inside = inside[:len(inside)/3*3]
		s.addPattern(what+" in base64", base64.StdEncoding.EncodeToString([]byte(inside)))
		s.addPattern(what+" in base64url", base64.RawURLEncoding.EncodeToString([]byte(inside)))
	}
}

// addToken adds a token, its payload and its signature. The header is the same in all tokens.
func (s *secretScanner) addToken(compact string) {
	parts := strings.Split(compact, ".")
	s.addEncodings("a token", compact)
	s.addEncodings("the payload of a token", parts[1])
	s.addEncodings("the signature of a token", parts[2])
	// A message may be cut off.
	s.addPattern("half a signature", parts[2][:len(parts[2])/2])
	s.addPattern("half a signature", parts[2][len(parts[2])/2:])
}

// addPrivateKey adds the secret parts of a private key in PKCS #8 PEM.
func (s *secretScanner) addPrivateKey(t *testing.T, content []byte) {
	t.Helper()
	block, _ := pem.Decode(content)
	if block == nil {
		return
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return
	}
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") {
			s.addEncodings("a line of the PEM of a private key", line)
		}
	}
	s.addBytes("a private key in DER", block.Bytes)
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		scalar, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		s.addBytes("the scalar of a private key", scalar)
	case ed25519.PrivateKey:
		s.addBytes("the seed of a private key", key.Seed())
	case *rsa.PrivateKey:
		s.addBytes("the exponent of a private key", key.D.Bytes())
		for _, prime := range key.Primes {
			s.addBytes("a prime of a private key", prime.Bytes())
			s.addPattern("a prime of a private key as a number", prime.String())
		}
	default:
		t.Fatalf("unexpected type of private key: %T", key)
	}
}

// addBytes adds bytes in the forms in which Go prints bytes.
func (s *secretScanner) addBytes(what string, raw []byte) {
	s.addEncodings(what, string(raw))
	s.addPattern(what+" in upper-case hex", strings.ToUpper(hex.EncodeToString(raw)))
	s.addPattern(what+" as a list of numbers", strings.Trim(fmt.Sprint(raw), "[]"))
	s.addPattern(what+" as a list of numbers", strings.Join(strings.Fields(strings.Trim(fmt.Sprint(raw), "[]")), ","))
}

// find returns which kinds of secrets a text contains, each kind once.
func (s *secretScanner) find(text string) (found []string) {
	seen := map[string]bool{}
	look := func(text string) {
		for i := 0; i+prefixLength <= len(text); i++ {
			for _, p := range s.byPrefix[text[i:i+prefixLength]] {
				if !seen[p.what] && strings.HasPrefix(text[i:], p.text) {
					seen[p.what] = true
					found = append(found, fmt.Sprintf("%s after %q", p.what, text[max(0, i-120):i]))
				}
			}
		}
	}
	look(text)
	look(decodeDumps(text))
	return found
}

// dumpLine matches a line of hex.Dump, as it is or in a JSON string.
var dumpLine = regexp.MustCompile(`[0-9a-f]{8}  (?:[0-9a-f]{2} {1,2}){1,16} *\|(.{1,48}?)\|(?:\n|\\n|$)`)

// decodeDumps returns the content of all hex dumps in a text.
func decodeDumps(text string) string {
	var all strings.Builder
	for _, line := range dumpLine.FindAllStringSubmatch(text, -1) {
		all.WriteString(line[1])
	}
	return all.String()
}

// TestSecretScannerFindsEveryForm checks that the scanner finds a token in every form, and nothing else.
func TestSecretScannerFindsEveryForm(t *testing.T) {
	const compact = "eyJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL29yZGVycy5leGFtcGxlLmNvbSJ9.c2lnbmF0dXJlLXNpZ25hdHVyZS1zaWduYXR1cmUtc2lnbmF0dXJlLXNpZ25hdHVy"
	s := newSecretScanner()
	s.addToken(compact)
	quoted, err := json.Marshal(hex.Dump([]byte("\x0a\x02k8s\x00" + compact + "\x1a\x00")))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"as it is":           "token=" + compact + "&x",
		"its signature":      "sig " + strings.Split(compact, ".")[2],
		"in base64":          `{"token":"` + base64.StdEncoding.EncodeToString([]byte(compact)) + `"}`,
		"after one byte":     base64.StdEncoding.EncodeToString([]byte(":" + compact)),
		"after two bytes":    base64.StdEncoding.EncodeToString([]byte("::" + compact + "::")),
		"in hex":             hex.EncodeToString([]byte(compact)),
		"in a dump":          hex.Dump([]byte("\x0a\x02k8s\x00" + compact + "\x1a\x00")),
		"in a dump, as JSON": `{"msg":"Request Body","body":` + string(quoted) + `}`,
		"cut short":          compact[:len(compact)-30],
	} {
		if len(s.find(text)) == 0 {
			t.Errorf("%s: the token was not found in %s", name, text)
		}
	}
	if found := s.find("eyJhbGciOiJFUzI1NiJ9 and what else is in a log {\"body\":\"" + strings.Repeat("c2lnbmF0dXJl", 3)); len(found) > 0 {
		t.Errorf("got %s in a text without secrets, want nothing", found)
	}
}
