// Package policy decides whether an issuer grants the tokens that a refresh key requests.
//
// It is pure. Compile runs once for an issuer. The controller calls Check before it signs,
// and the token service at every exchange: admission alone is not sufficient, and a
// tightened policy takes effect on existing refresh keys.
package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// DefaultMaxLifetime is the longest lifetime of a refresh token if a rule does not set one, or if the
// issuer has no policy.
const DefaultMaxLifetime = 2160 * time.Hour

// Access token lifetimes of an issuer that sets none.
const (
	DefaultAccessLifetime    = 15 * time.Minute
	DefaultMaxAccessLifetime = time.Hour
)

// AccessLifetime returns the lifetime of the access tokens of an issuer, for refresh keys that set none.
func AccessLifetime(spec *v1alpha1.JWTIssuerSpec) time.Duration {
	if at := spec.AccessToken; at != nil && at.Lifetime != nil {
		return at.Lifetime.Duration
	}
	return DefaultAccessLifetime
}

// Request is a request of a refresh key, with all defaults.
type Request struct {
	// Namespace is the key's namespace, and NamespaceLabels are its labels.
	Namespace       string
	NamespaceLabels map[string]string
	// DefaultSubject is the Subject of a refresh key that sets none; it is always granted.
	DefaultSubject string
	Subject        string
	// ProvenSubject is the subject that a login proved; empty without a login. A ServiceAccount's is always
	// granted; a user's is granted if the rule names no subjects, or names that one.
	ProvenSubject  string
	Audience       string
	Lifetime       time.Duration
	AccessLifetime time.Duration
	Scopes         []string
	// Claims are the names of the requested claims.
	Claims []string
}

// DeniedError contains what is not granted, and the rule that came closest.
type DeniedError struct {
	// Rule is the number of the rule that came closest, from 1; 0 if no rule can grant the request.
	Rule    int
	Missing []string
}

func (d *DeniedError) Error() string {
	missing := strings.Join(d.Missing, "; ")
	if d.Rule == 0 {
		return missing
	}
	return fmt.Sprintf("no policy rule grants all of it; rule %d comes closest and lacks: %s", d.Rule, missing)
}

// Policy is the compiled policy of one issuer. It is immutable.
type Policy struct {
	// rules grant requests; without rules, nothing is granted.
	rules []rule
	// isDefault: the only rule is the documented default.
	isDefault         bool
	maxAccessLifetime time.Duration
	longestLifetime   time.Duration
	// clients are the ids of the issuer's clients, which are the audiences of their id_tokens.
	clients []string
}

type rule struct {
	namespaces  labels.Selector
	audiences   []glob
	maxLifetime time.Duration
	scopes      []glob
	claims      []string
	subjects    []glob
}

// Compile returns the compiled policy of an issuer. An issuer without one has the documented default; a policy
// without rules grants nothing. The error names the invalid rule.
func Compile(spec *v1alpha1.JWTIssuerSpec) (*Policy, error) {
	p := &Policy{maxAccessLifetime: DefaultMaxAccessLifetime}
	if at := spec.AccessToken; at != nil && at.MaxLifetime != nil {
		p.maxAccessLifetime = at.MaxLifetime.Duration
	}
	if spec.Login != nil {
		for i := range spec.Login.Clients {
			p.clients = append(p.clients, spec.Login.Clients[i].ID)
		}
	}
	if spec.Policy == nil {
		p.isDefault, p.rules = true, []rule{{namespaces: labels.Everything(), maxLifetime: DefaultMaxLifetime}}
	} else {
		for i := range spec.Policy.Rules {
			r, err := compileRule(&spec.Policy.Rules[i])
			if err != nil {
				return nil, fmt.Errorf("policy rule %d: %w", i+1, err)
			}
			p.rules = append(p.rules, r)
		}
	}
	for _, r := range p.rules {
		p.longestLifetime = max(p.longestLifetime, r.maxLifetime)
	}
	return p, nil
}

// GrantsNothing reports whether the policy has no rules.
func (p *Policy) GrantsNothing() bool { return len(p.rules) == 0 }

// LongestLifetime returns the longest lifetime of a refresh token that any rule grants. Without rules it returns
// the default, because a later policy may grant earlier tokens again.
func (p *Policy) LongestLifetime() time.Duration {
	if p.GrantsNothing() {
		return DefaultMaxLifetime
	}
	return p.longestLifetime
}

func compileRule(spec *v1alpha1.PolicyRule) (rule, error) {
	r := rule{maxLifetime: DefaultMaxLifetime, claims: spec.Claims}
	if spec.MaxLifetime != nil {
		r.maxLifetime = spec.MaxLifetime.Duration
	}
	var err error
	if r.namespaces, err = compileSelector(spec.Namespaces); err != nil {
		return rule{}, err
	}
	if r.audiences, err = compileGlobs("audiences", spec.Audiences); err != nil {
		return rule{}, err
	}
	if r.scopes, err = compileGlobs("scopes", spec.Scopes); err != nil {
		return rule{}, err
	}
	if r.subjects, err = compileGlobs("subjects", spec.Subjects); err != nil {
		return rule{}, err
	}
	return r, nil
}

func compileSelector(spec *v1alpha1.NamespaceSelector) (labels.Selector, error) {
	selector := labels.Everything()
	if spec == nil {
		return selector, nil
	}
	operators := map[string]selection.Operator{
		"In": selection.In, "NotIn": selection.NotIn, "Exists": selection.Exists, "DoesNotExist": selection.DoesNotExist,
	}
	add := func(key string, op selection.Operator, values []string) error {
		requirement, err := labels.NewRequirement(key, op, values)
		if err != nil {
			return fmt.Errorf("namespaces: %w", err)
		}
		selector = selector.Add(*requirement)
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(spec.MatchLabels)) {
		if err := add(key, selection.Equals, []string{string(spec.MatchLabels[key])}); err != nil {
			return nil, err
		}
	}
	for _, e := range spec.MatchExpressions {
		if err := add(e.Key, operators[string(e.Operator)], e.Values); err != nil {
			return nil, err
		}
	}
	return selector, nil
}

// Check returns nil if the policy grants the request; otherwise a *DeniedError.
func (p *Policy) Check(r Request) error {
	if missing := p.neverGranted(&r); len(missing) > 0 {
		return &DeniedError{Missing: missing}
	}
	for i := range p.rules {
		if p.rules[i].grants(&r) {
			return nil
		}
	}
	closest := &DeniedError{}
	for i := range p.rules {
		if missing := p.rules[i].missing(&r); i == 0 || len(missing) < len(closest.Missing) {
			closest = &DeniedError{Rule: i + 1, Missing: missing}
		}
	}
	return closest
}

// Granting returns the number of the first rule that grants the request, from 1; 0 if none does, and for an issuer without
// a policy.
func (p *Policy) Granting(r Request) int {
	if p.isDefault || len(p.neverGranted(&r)) > 0 {
		return 0
	}
	return 1 + slices.IndexFunc(p.rules, func(one rule) bool { return one.grants(&r) })
}

// Reserved reports whether a subject is the default subject of a refresh key or an identity of the cluster,
// which no rule grants.
func Reserved(subject string) bool {
	return strings.HasPrefix(subject, "refreshkey:") || strings.HasPrefix(subject, "system:")
}

// Longest returns the longest lifetime that is granted for the request, regardless of the requested lifetime;
// zero if the rest of the request is not granted.
func (p *Policy) Longest(r Request) (longest time.Duration) {
	r.Lifetime = 0
	if len(p.neverGranted(&r)) > 0 {
		return 0
	}
	for i := range p.rules {
		if p.rules[i].grants(&r) {
			longest = max(longest, p.rules[i].maxLifetime)
		}
	}
	return longest
}

func (p *Policy) neverGranted(r *Request) (missing []string) {
	if p.GrantsNothing() {
		missing = append(missing, "spec.policy has no rules, so that nothing is granted; add a rule, or remove policy for the default")
	}
	if r.Subject != r.DefaultSubject && r.Subject != r.ProvenSubject && Reserved(r.Subject) {
		missing = append(missing, fmt.Sprintf("subject %q is never granted, since it is the name of another identity", r.Subject))
	}
	if slices.Contains(p.clients, r.Audience) {
		missing = append(missing, fmt.Sprintf("audience %q is never granted, since it is the id of a client, which its id_tokens name", r.Audience))
	}
	if r.AccessLifetime > p.maxAccessLifetime {
		missing = append(missing, fmt.Sprintf("accessToken.lifetime %s is more than the issuer's maxLifetime %s", r.AccessLifetime, p.maxAccessLifetime))
	}
	return missing
}

// lack is a part of a request that a rule does not grant. It becomes text only if no rule grants the whole request.
type lack struct {
	what string
	// name is the audience, subject, scope or claim.
	name string
	// lifetime and most are set for a lifetime.
	lifetime, most time.Duration
}

const (
	lackedLabels   = "the namespace's labels"
	lackedLifetime = "lifetime"
)

func (l lack) String() string {
	switch l.what {
	case lackedLifetime:
		return fmt.Sprintf("lifetime %s (at most %s)", l.lifetime, l.most)
	case lackedLabels:
		return l.what
	default:
		return fmt.Sprintf("%s %q", l.what, l.name)
	}
}

func (r *rule) grants(req *Request) bool {
	granted := true
	r.lacks(req, func(lack) bool {
		granted = false
		return false
	})
	return granted
}

func (r *rule) missing(req *Request) (missing []string) {
	r.lacks(req, func(l lack) bool {
		missing = append(missing, l.String())
		return true
	})
	return missing
}

// lacks yields the parts of the request that the rule does not grant, until the caller stops.
func (r *rule) lacks(req *Request, tell func(lack) (further bool)) {
	if !r.namespaces.Matches(labels.Set(req.NamespaceLabels)) && !tell(lack{what: lackedLabels}) {
		return
	}
	if len(r.audiences) > 0 && !anyMatches(r.audiences, req.Audience, req) && !tell(lack{what: "audience", name: req.Audience}) {
		return
	}
	if req.Lifetime > r.maxLifetime && !tell(lack{what: lackedLifetime, lifetime: req.Lifetime, most: r.maxLifetime}) {
		return
	}
	if !r.grantsSubject(req) && !tell(lack{what: "subject", name: req.Subject}) {
		return
	}
	for _, scope := range req.Scopes {
		if scope != v1alpha1.ScopeOpenID && !anyMatches(r.scopes, scope, req) && !tell(lack{what: "scope", name: scope}) {
			return
		}
	}
	for _, claim := range req.Claims {
		if !slices.Contains(r.claims, claim) && !tell(lack{what: "claim", name: claim}) {
			return
		}
	}
}

func (r *rule) grantsSubject(req *Request) bool {
	switch {
	case req.Subject == req.DefaultSubject:
		return true
	case req.Subject == req.ProvenSubject && (Reserved(req.Subject) || len(r.subjects) == 0):
		return true
	default:
		return anyMatches(r.subjects, req.Subject, req)
	}
}

func anyMatches(globs []glob, text string, r *Request) bool {
	for i := range globs {
		if globs[i].matches(text, r) {
			return true
		}
	}
	return false
}
