package policy

import (
	"maps"
	"slices"
	"strings"
)

// ForToken returns the request to grant a token with this content, by the refresh key that r describes. scope holds the
// scopes, separated by spaces (RFC 6749 §3.3); of claims, the names count.
func ForToken[V any](r Request, subject, audience, scope string, claims map[string]V) Request {
	r.Subject, r.Audience = subject, audience
	r.Scopes, r.Claims = strings.Fields(scope), slices.Sorted(maps.Keys(claims))
	return r
}
