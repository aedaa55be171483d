package lifecycle

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/canonical"
	"github.com/refreshkeys/refreshkeys/internal/policy"
)

// Defaults of a JWTRefreshKey. They are not in the schema, so that the API server stores an object as it was written.
const (
	DefaultIssuer   = "default"
	DefaultLifetime = 720 * time.Hour
	// QuietMargin is how much longer overlap.quiet is than the lifetime of an access token. So it includes a use by a
	// client that refreshes once per access token, even if late.
	QuietMargin = 5 * time.Minute
)

// Terms are the content of a token, except its times and its identity. A change of any of them causes a new revision.
type Terms struct {
	Issuer   string
	Audience string
	Subject  string
	// Scope is the list of scopes, separated by spaces (RFC 6749 §3.3).
	Scope string
	// Claims are the added claims by name, each as canonical JSON.
	Claims map[string]string
	// JWKThumbprint and ServiceAccount are the binding.
	JWKThumbprint  string
	ServiceAccount string
}

// changedFrom returns the fields of spec in which t differs from the terms of a token.
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

// IssuerName returns the name of the key's issuer, with the default.
func IssuerName(key *v1alpha1.JWTRefreshKey) string {
	if ref := key.Spec.IssuerRef; ref != nil && ref.Name != "" {
		return ref.Name
	}
	return DefaultIssuer
}

// DefaultSubject returns the default of `sub`, which is also the client_id of every key.
func DefaultSubject(namespace, name string) string {
	return "refreshkey:" + namespace + ":" + name
}

// SecretName returns the name of the key's Secret; empty in mode None.
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

// WantsAccessToken reports whether the Secret must also hold an access token.
func WantsAccessToken(key *v1alpha1.JWTRefreshKey) bool {
	return key.Spec.Secret != nil && key.Spec.Secret.AccessToken
}

// effective are the values of a key, including defaults.
type effective struct {
	terms          Terms
	defaultSubject string
	mode           v1alpha1.RotationMode
	lifetime       time.Duration
	renewBefore    time.Duration
	quiet          time.Duration
	// overlapMax is negative if a superseded token is kept until its own end.
	overlapMax     time.Duration
	accessLifetime time.Duration
	// end is the absolute end; zero for none.
	end time.Time
}

func effectiveOf(o *Observed) (effective, error) {
	spec := &o.Key.Spec
	e := effective{
		defaultSubject: DefaultSubject(o.Key.Namespace, o.Key.Name),
		mode:           Mode(o.Key),
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
	// Times in status are whole seconds: a renewal between two seconds would always differ.
	e.renewBefore = (e.lifetime / 3).Truncate(time.Second)
	if spec.ExpiresAt != nil {
		// The end of a token is a whole second, and must not be earlier than this one.
		e.end = spec.ExpiresAt.UTC().Truncate(time.Second)
	}
	e.quiet = e.accessLifetime + QuietMargin
	if r := spec.Rotation; r != nil {
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

// request returns the request to the issuer's policy for a token.
func (e *effective) request(o *Observed, terms *Terms, lifetime time.Duration) policy.Request {
	return policy.ForToken(policy.Request{
		Namespace:       o.Key.Namespace,
		NamespaceLabels: o.Namespace.Labels,
		DefaultSubject:  e.defaultSubject,
		ProvenSubject:   ProvenSubject(o.Key, o.Issuer.SessionNamespace),
		Lifetime:        lifetime,
		AccessLifetime:  e.accessLifetime,
	}, terms.Subject, terms.Audience, terms.Scope, terms.Claims)
}

// mint returns the content of a token of a revision, created at the given time, with the terms of spec.
func (e *effective) mint(revision int64, at time.Time) Mint {
	return Mint{Terms: e.terms, Revision: revision, CreatedAt: at, ExpiresAt: e.tokenEnd(at)}
}

// tokenEnd returns the end of a token created at the given time: no token outlives its key.
func (e *effective) tokenEnd(createdAt time.Time) time.Time {
	end := createdAt.Add(e.lifetime)
	if !e.end.IsZero() && e.end.Before(end) {
		return e.end
	}
	return end
}
