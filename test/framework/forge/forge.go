// Package forge changes tokens and proofs by a part, for tests of what must be refused.
package forge

import (
	"encoding/base64"
	"strings"
	"testing"
)

// B64 returns the base64url encoding without padding (RFC 7515 §2).
func B64[T ~string | ~[]byte](raw T) string { return base64.RawURLEncoding.EncodeToString([]byte(raw)) }

// Replace returns text with one part replaced. It fails the test if old does not occur exactly once, so that no case tests less
// than it says. The message leaves the text out: it may be a token.
func Replace(tb testing.TB, text, old, new string) string {
	tb.Helper()
	if strings.Count(text, old) != 1 {
		tb.Fatalf("%q occurs %d times, want once", old, strings.Count(text, old))
	}
	return strings.Replace(text, old, new, 1)
}

// Part returns a compact JWS with one of its three parts changed; n is 0 to 2.
func Part(compact string, n int, change func(string) string) string {
	parts := strings.Split(compact, ".")
	parts[n] = change(parts[n])
	return strings.Join(parts, ".")
}

// TrailingBits sets a bit that the encoding does not use, so that another text decodes to the same bytes (RFC 4648 §3.5).
func TrailingBits(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, text[len(text)-1])
	return text[:len(text)-1] + alphabet[last|1:last|1+1]
}
