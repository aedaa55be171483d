package lifecycle

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/canonical"
	"github.com/refreshkeys/refreshkeys/internal/policy"
)

// Defaults of a JWTRefreshKey. They live here and not in the schema, so that an object
// reads back as it was written.
const (
	DefaultIssuer   = "default"
	DefaultLifetime = 720 * time.Hour
	// QuietMargin is what overlap.quiet exceeds the access token's lifetime by: a client that
	// comes once in an access token's life must be seen, even when it comes late.
	QuietMargin = 5 * time.Minute
)

// Terms are what a token says of its key, beside its times and its identity. A change of
// any of them makes a new revision.
type Terms struct {
	Issuer   string
	Audience string
	Subject  string
	// Scope is the scopes in order, separated by spaces (RFC 6749 §3.3).
	Scope string
	// Claims are the added claims by name, each as canonical JSON.
	Claims map[string]string
	// JWKThumbprint and ServiceAccount are the binding.
	JWKThumbprint  string
	ServiceAccount string
}

// changedFrom names the fields of spec in which t differs from the terms of a token.
func (t Terms) changedFrom(held Terms) []string {
	var changed []string
	note := func(field string, differs bool) {
		if differs {
			changed = append(changed, field)
		}
	}
	note("issuer", t.Issuer != held.Issuer)
	note("audience", t.Audience != held.Audience)
	note("subject", t.Subject != held.Subject)
	note("scopes", t.Scope != held.Scope)
	note("claims", !maps.Equal(t.Claims, held.Claims))
	note("binding", t.JWKThumbprint != held.JWKThumbprint || t.ServiceAccount != held.ServiceAccount)
	return changed
}

// IssuerName is the name of the issuer in force.
func IssuerName(key *v1alpha1.JWTRefreshKey) string {
	if ref := key.Spec.IssuerRef; ref != nil && ref.Name != "" {
		return ref.Name
	}
	return DefaultIssuer
}

// DefaultSubject is `sub` of a key that does not say, and the client_id of every key.
func DefaultSubject(namespace, name string) string {
	return "refreshkey:" + namespace + ":" + name
}

// SecretName is the name of the key's Secret, empty in mode None.
func SecretName(key *v1alpha1.JWTRefreshKey) string {
	secret := key.Spec.Secret
	switch {
	case secret != nil && secret.Mode == v1alpha1.SecretNone:
		return ""
	case secret != nil && secret.Name != "":
		return secret.Name
	default:
		return key.Name
	}
}

// WantsAccessToken tells whether the Secret is to hold an access token as well.
func WantsAccessToken(key *v1alpha1.JWTRefreshKey) bool {
	return key.Spec.Secret != nil && key.Spec.Secret.AccessToken
}

// effective are the values in force for a key, defaults filled in.
type effective struct {
	terms          Terms
	defaultSubject string
	mode           v1alpha1.RotationMode
	lifetime       time.Duration
	renewBefore    time.Duration
	quiet          time.Duration
	// overlapMax is negative where a superseded token is kept to its own end.
	overlapMax     time.Duration
	accessLifetime time.Duration
	// end is the absolute end; zero for none.
	end time.Time
}

func effectiveOf(o *Observed) (effective, error) {
	spec := &o.Key.Spec
	e := effective{
		defaultSubject: DefaultSubject(o.Key.Namespace, o.Key.Name),
		mode:           v1alpha1.RotationScheduled,
		lifetime:       DefaultLifetime,
		overlapMax:     -1,
		accessLifetime: o.Issuer.AccessLifetime,
	}
	if e.accessLifetime == 0 {
		e.accessLifetime = policy.DefaultAccessLifetime
	}
	if spec.Lifetime != nil {
		e.lifetime = spec.Lifetime.Truncate(time.Second)
	}
	if spec.AccessToken != nil && spec.AccessToken.Lifetime != nil {
		e.accessLifetime = spec.AccessToken.Lifetime.Duration
	}
	// Status tells time in whole seconds: a renewal in between would differ from it for ever.
	e.renewBefore = (e.lifetime / 3).Truncate(time.Second)
	if spec.ExpiresAt != nil {
		// A token's end is a whole second, and must not look earlier than this one.
		e.end = spec.ExpiresAt.UTC().Truncate(time.Second)
	}
	e.quiet = e.accessLifetime + QuietMargin
	if r := spec.Rotation; r != nil {
		if r.Mode != "" {
			e.mode = r.Mode
		}
		if r.RenewBefore != nil {
			e.renewBefore = r.RenewBefore.Truncate(time.Second)
		}
		if r.Overlap != nil && r.Overlap.Quiet != nil {
			e.quiet = max(e.quiet, r.Overlap.Quiet.Duration)
		}
		if r.Overlap != nil && r.Overlap.Max != nil {
			e.overlapMax = r.Overlap.Max.Duration
		}
	}
	terms, err := termsOf(o, e.defaultSubject)
	e.terms = terms
	return e, err
}

func termsOf(o *Observed, defaultSubject string) (Terms, error) {
	spec := &o.Key.Spec
	t := Terms{
		Issuer:   o.Issuer.URL,
		Audience: spec.Audience,
		Subject:  defaultSubject,
		Scope:    strings.Join(spec.Scopes, " "),
	}
	if spec.Subject != "" {
		t.Subject = spec.Subject
	}
	if spec.Binding != nil {
		t.JWKThumbprint = spec.Binding.JWKThumbprint
		t.ServiceAccount = spec.Binding.ServiceAccountName
	}
	for name, value := range spec.Claims {
		canonical, err := canonical.JSON(value.Raw)
		if err != nil {
			return t, fmt.Errorf("claims[%s]: %w", name, err)
		}
		if t.Claims == nil {
			t.Claims = make(map[string]string, len(spec.Claims))
		}
		t.Claims[name] = string(canonical)
	}
	return t, nil
}

// request asks the issuer's policy for a token.
func (e *effective) request(o *Observed, terms *Terms, lifetime time.Duration) policy.Request {
	return policy.Request{
		Namespace:       o.Key.Namespace,
		NamespaceLabels: o.Namespace.Labels,
		DefaultSubject:  e.defaultSubject,
		ProvenSubject:   ProvenSubject(o.Key, o.Issuer.SessionNamespace),
		Subject:         terms.Subject,
		Audience:        terms.Audience,
		Lifetime:        lifetime,
		AccessLifetime:  e.accessLifetime,
		Scopes:          strings.Fields(terms.Scope),
		Claims:          slices.Sorted(maps.Keys(terms.Claims)),
	}
}

// mint is a token of a revision, made at the given time, that says what spec wants.
func (e *effective) mint(revision int64, at time.Time) Mint {
	return Mint{Terms: e.terms, Revision: revision, CreatedAt: at, ExpiresAt: e.tokenEnd(at)}
}

// tokenEnd is the end of a token made at the given time: no token outlives its key.
func (e *effective) tokenEnd(createdAt time.Time) time.Time {
	end := createdAt.Add(e.lifetime)
	if !e.end.IsZero() && e.end.Before(end) {
		return e.end
	}
	return end
}
