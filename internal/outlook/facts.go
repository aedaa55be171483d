package outlook

import (
	"cmp"
	"strings"
	"unicode"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/span"
)

// Fact is a named value about a key.
type Fact struct{ Name, Value string }

// Settings returns what a key's tokens say and how they are issued, with the values in force. Values that are not set are
// left out.
func Settings(key *v1alpha1.JWTRefreshKey) []Fact {
	var facts []Fact
	for _, fact := range []Fact{
		{"Audience", key.Spec.Audience},
		{"Issuer", lifecycle.IssuerName(key)},
		{"Subject", Subject(key)},
		{"Scopes", strings.Join(key.Spec.Scopes, " ")},
		{"Rotation", rotation(key)},
		{"Bound to", bound(key.Spec.Binding)},
		{"Secret", cmp.Or(lifecycle.SecretName(key), "none")},
	} {
		if fact.Value != "" {
			facts = append(facts, fact)
		}
	}
	return facts
}

// Subject returns `sub` of the next token of a key.
func Subject(key *v1alpha1.JWTRefreshKey) string {
	return cmp.Or(key.Spec.Subject, lifecycle.DefaultSubject(key.Namespace, key.Name))
}

// RevocationNote returns what a person wrote at the revocation of a key, as one printable line; empty for nothing.
func RevocationNote(key *v1alpha1.JWTRefreshKey) string {
	line := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, key.Annotations[v1alpha1.AnnotationRevocationNote])
	return strings.TrimSpace(line)
}

func rotation(key *v1alpha1.JWTRefreshKey) string {
	parts := []string{string(lifecycle.Mode(key))}
	if e := key.Status.Effective; e != nil {
		if e.Lifetime != nil {
			parts = append(parts, "token lifetime "+span.Short(e.Lifetime.Duration))
		}
		if e.RenewBefore != nil {
			parts = append(parts, "renewed "+span.Short(e.RenewBefore.Duration)+" before expiry")
		}
		if e.AccessTokenLifetime != nil {
			parts = append(parts, "access token lifetime "+span.Short(e.AccessTokenLifetime.Duration))
		}
	}
	return strings.Join(parts, ", ")
}

func bound(binding *v1alpha1.BindingSpec) string {
	if binding == nil {
		return ""
	}
	var to []string
	if binding.ServiceAccountName != "" {
		to = append(to, "ServiceAccount "+binding.ServiceAccountName)
	}
	if binding.JWKThumbprint != "" {
		to = append(to, "DPoP key "+binding.JWKThumbprint)
	}
	return strings.Join(to, " and ")
}
