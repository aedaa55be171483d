package v1alpha1

import (
	"fmt"
	"strings"
)

// The limits of the content of a token, as in the schema.
const (
	// MaxAudienceLength is the longest spec.audience, in characters.
	MaxAudienceLength = 512
	// MaxSubjectLength is the longest spec.subject, in characters.
	MaxSubjectLength = 255
	// MaxScopes is the largest number of scopes.
	MaxScopes = 64
	// MaxScopeLength is the longest scope, in characters.
	MaxScopeLength = 128
)

// ScopeOpenID is the scope that asks for an id_token (OpenID Connect Core §3.1.2.1). It gives no right at an API: only the token
// service reads it, so that no policy has to grant it.
const ScopeOpenID = "openid"

// ValidScope reports whether scope is one scope (RFC 6749 §3.3: %x21 / %x23-5B / %x5D-7E). The operator and the token
// service use it; test/cel compares it with the schema.
func ValidScope(scope string) bool {
	return printable(scope, MaxScopeLength) && !strings.ContainsAny(scope, `"\`)
}

// ValidAudience reports whether audience has 1 to 512 printable ASCII characters and no spaces.
func ValidAudience(audience string) bool { return printable(audience, MaxAudienceLength) }

// ValidSubject reports whether subject has 1 to 255 printable ASCII characters and no spaces.
func ValidSubject(subject string) bool { return printable(subject, MaxSubjectLength) }

// ValidateTerms returns an error that names the invalid field (audience, subject or scopes) and says what to do, in
// the words of the schema. An empty subject is the default subject.
func ValidateTerms(spec *JWTRefreshKeySpec) error {
	switch {
	case !ValidAudience(spec.Audience):
		return fmt.Errorf("audience: an audience is 1 to %d printable ASCII characters without spaces: write it as the API expects it in `aud`, such as https://orders.example.com", MaxAudienceLength)
	case spec.Subject != "" && !ValidSubject(spec.Subject):
		return fmt.Errorf("subject: a subject is 1 to %d printable ASCII characters without spaces: remove other characters", MaxSubjectLength)
	case len(spec.Scopes) > MaxScopes:
		return fmt.Errorf("scopes: at most %d, not %d: remove some", MaxScopes, len(spec.Scopes))
	}
	for i, scope := range spec.Scopes {
		if !ValidScope(scope) {
			return fmt.Errorf("scopes[%d]: a scope is 1 to %d printable ASCII characters without spaces, double quotes and backslashes (RFC 6749 §3.3): write each scope as an item of its own", i, MaxScopeLength)
		}
	}
	return nil
}

// printable reports whether a text has 1 to most printable ASCII characters and no spaces.
func printable(text string, most int) bool {
	return text != "" && len(text) <= most && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}
