package token

import (
	"encoding/base64"
	"strings"

	"github.com/refreshkeys/refreshkeys/internal/canonical"
)

// ThreeParts reports whether a text can be a compact serialisation (RFC 7515 §7.1): at most MaxLength bytes in three
// parts of the alphabet of base64url.
func ThreeParts(compact string) bool {
	return len(compact) <= MaxLength && strings.Count(compact, ".") == 2 && !strings.ContainsFunc(compact, outsideAlphabet)
}

func outsideAlphabet(r rune) bool {
	switch {
	case 'A' <= r && r <= 'Z', 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '-', r == '_', r == '.':
		return false
	default:
		return true
	}
}

// Segment returns the JSON object in a part of a compact serialisation, and ErrMalformed if it is none, or if two of
// its names differ only in case.
func Segment(encoded string) (map[string]any, error) {
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
