package identity

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// Person is the person that an id_token identifies.
type Person struct {
	// Subject has the prefix of the provider's entry.
	Subject string
	// Claims are the claims of issued tokens that the entry maps from the provider's.
	Claims map[string]apiextensionsv1.JSON
}

// notIDToken reports whether a token is not an id_token. A provider signs other tokens with the same keys for the
// same clients: access tokens (RFC 9068), logout tokens, security events. Their typ distinguishes them (RFC 8725
// §3.11); that of an id_token is empty or JWT.
func notIDToken(compact string) bool {
	encoded, _, _ := strings.Cut(compact, ".")
	var header struct {
		Type string `json:"typ"`
	}
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || json.Unmarshal(raw, &header) != nil {
		return true
	}
	return header.Type != "" && !strings.EqualFold(header.Type, "JWT")
}

// ClaimedIssuer returns the unverified `iss` of a JWT; empty if the JWT is malformed. It may only choose the
// provider that verifies the JWT.
func ClaimedIssuer(compact string) string {
	parts := strings.Split(compact, ".")
	if !WellFormed(compact) || len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return ""
	}
	return claims.Issuer
}

// providerSkew is how far a provider's clock may be ahead.
const providerSkew = time.Minute

// personOf checks a verified id_token against the provider's entry and returns the person, or ErrRefused.
func personOf(entry *v1alpha1.OIDCProvider, verified *oidc.IDToken, now time.Time) (*Person, error) {
	var claims map[string]json.RawMessage
	if err := verified.Claims(&claims); err != nil || verified.IssuedAt.IsZero() || verified.Expiry.IsZero() || hasCaseVariant(claims) {
		return nil, ErrRefused
	}
	if verified.IssuedAt.After(now.Add(providerSkew)) {
		return nil, ErrRefused
	}
	if !forUs(entry, verified.Audience, claims) {
		return nil, ErrRefused
	}
	for _, allowed := range entry.Allowed {
		if !slices.ContainsFunc(valuesOf(claims[allowed.Claim]), func(value string) bool { return slices.Contains(allowed.Values, value) }) {
			return nil, ErrRefused
		}
	}
	name := entry.SubjectClaim
	if name == "" {
		name = "sub"
	}
	var subject string
	if err := json.Unmarshal(claims[name], &subject); err != nil || subject == "" {
		return nil, ErrRefused
	}
	if (name == addressClaim || asksForAddress(entry)) && !addressVerified(claims["email_verified"]) {
		return nil, ErrRefused
	}
	person := &Person{Subject: entry.SubjectPrefix + subject}
	for ours, theirs := range entry.Claims {
		value := claims[string(theirs)]
		if len(valuesOf(value)) == 0 {
			return nil, ErrRefused
		}
		if person.Claims == nil {
			person.Claims = map[string]apiextensionsv1.JSON{}
		}
		person.Claims[ours] = apiextensionsv1.JSON{Raw: value}
	}
	return person, nil
}

// addressClaim is a claim that a user can set to another user's address. It counts only with email_verified; a
// provider may omit that claim instead of sending false, as zitadel/oidc does.
const addressClaim = "email"

// addressVerified reports whether email_verified is true. Some providers send the text "true"; no other text
// counts.
func addressVerified(said json.RawMessage) bool {
	return string(said) == "true" || string(said) == `"true"`
}

// asksForAddress reports whether the entry admits users by their address, or maps it to a claim.
func asksForAddress(entry *v1alpha1.OIDCProvider) bool {
	for _, theirs := range entry.Claims {
		if theirs == addressClaim {
			return true
		}
	}
	return slices.ContainsFunc(entry.Allowed, func(allowed v1alpha1.AllowedValues) bool { return allowed.Claim == addressClaim })
}

// hasCaseVariant reports whether a name equals that of a checked claim except for its case. encoding/json, which
// go-oidc uses, treats both as the same name, and the last one counts.
func hasCaseVariant(claims map[string]json.RawMessage) bool {
	for name := range claims {
		for _, checked := range [...]string{"iss", "sub", "aud", "exp", "iat", "nbf"} {
			if name != checked && strings.EqualFold(name, checked) {
				return true
			}
		}
	}
	return false
}

// forUs reports whether a token is for one of the entry's audiences. A token with more than one audience must also
// have been issued to one of them (OpenID Connect Core §3.1.3.7, 3 to 5).
func forUs(entry *v1alpha1.OIDCProvider, audiences []string, claims map[string]json.RawMessage) bool {
	named := slices.ContainsFunc(audiences, func(audience string) bool { return slices.Contains(entry.Audiences, audience) })
	raw, given := claims["azp"]
	if !given {
		return named && len(audiences) == 1
	}
	var party string
	return named && json.Unmarshal(raw, &party) == nil && slices.Contains(entry.Audiences, party)
}

// valuesOf returns the values of a claim as texts; nil if the claim is empty or of another type.
func valuesOf(raw json.RawMessage) []string {
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return nil
	}
	switch value := value.(type) {
	case string:
		if value == "" {
			return nil
		}
		return []string{value}
	case bool, float64:
		return []string{string(raw)}
	case []any:
		var texts []string
		for _, item := range value {
			text, ok := item.(string)
			if !ok {
				return nil
			}
			texts = append(texts, text)
		}
		return texts
	default:
		return nil
	}
}
