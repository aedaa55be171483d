// Package policy answers one question: may this key have this from this issuer?
//
// It is pure. An issuer's rules are compiled once and asked often, by the controller
// before it signs and by the token service at every exchange: admission alone is not
// trusted, and a tightened policy takes effect on living keys.
package policy

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// DefaultMaxLifetime is the longest refresh token of a rule that does not say, and of an
// issuer without rules.
const DefaultMaxLifetime = 2160 * time.Hour

// Access token lifetimes of an issuer that does not say.
const (
	DefaultAccessLifetime    = 15 * time.Minute
	DefaultMaxAccessLifetime = time.Hour
)

// Request is what a key asks for, with all defaults filled in.
type Request struct {
	// NamespaceLabels are the labels of the key's namespace.
	NamespaceLabels map[string]string
	// DefaultSubject is what Subject is when the key does not say; it is always granted.
	DefaultSubject string
	Subject        string
	// ProvenSubject is who signed in, empty where nobody did. Whoever is a ServiceAccount may say
	// so; a person may where the rule names no subjects, or names that one.
	ProvenSubject  string
	Audience       string
	Lifetime       time.Duration
	AccessLifetime time.Duration
	Scopes         []string
	// Claims are the names of the claims asked for.
	Claims []string
}

// DeniedError says what is not granted, and which rule came closest.
type DeniedError struct {
	// Rule is the number of the rule that came closest, from 1; 0 where no rule could have helped.
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
	rules             []rule
	maxAccessLifetime time.Duration
	longestLifetime   time.Duration
}

type rule struct {
	namespaces  labels.Selector
	audiences   []*regexp.Regexp
	maxLifetime time.Duration
	scopes      []*regexp.Regexp
	claims      []string
	subjects    []*regexp.Regexp
}

// Compile reads the policy of an issuer. The error names the rule that cannot be read.
func Compile(spec *v1alpha1.JWTIssuerSpec) (*Policy, error) {
	p := &Policy{maxAccessLifetime: DefaultMaxAccessLifetime}
	if at := spec.AccessToken; at != nil && at.MaxLifetime != nil {
		p.maxAccessLifetime = at.MaxLifetime.Duration
	}
	if spec.Policy == nil || len(spec.Policy.Rules) == 0 {
		p.rules = []rule{{namespaces: labels.Everything(), maxLifetime: DefaultMaxLifetime}}
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

// LongestLifetime is the longest refresh token that any rule grants.
func (p *Policy) LongestLifetime() time.Duration { return p.longestLifetime }

func compileRule(spec *v1alpha1.PolicyRule) (rule, error) {
	selector, err := compileSelector(spec.Namespaces)
	if err != nil {
		return rule{}, err
	}
	r := rule{
		namespaces:  selector,
		audiences:   compileGlobs(spec.Audiences),
		maxLifetime: DefaultMaxLifetime,
		scopes:      compileGlobs(spec.Scopes),
		claims:      spec.Claims,
		subjects:    compileGlobs(spec.Subjects),
	}
	if spec.MaxLifetime != nil {
		r.maxLifetime = spec.MaxLifetime.Duration
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

// compileGlobs turns globs into expressions: `*` stands for anything but `/` and `:`, so
// that it neither leaves a path segment nor a host for its port, and `**` for anything.
func compileGlobs(globs []string) []*regexp.Regexp {
	compiled := make([]*regexp.Regexp, 0, len(globs))
	for _, glob := range globs {
		var expr strings.Builder
		expr.WriteString(`\A`)
		for rest := glob; rest != ""; {
			star := strings.IndexByte(rest, '*')
			if star < 0 {
				expr.WriteString(regexp.QuoteMeta(rest))
				break
			}
			expr.WriteString(regexp.QuoteMeta(rest[:star]))
			if strings.HasPrefix(rest[star:], "**") {
				expr.WriteString(`(?s:.*)`)
				rest = rest[star+2:]
			} else {
				expr.WriteString(`[^/:]*`)
				rest = rest[star+1:]
			}
		}
		expr.WriteString(`\z`)
		compiled = append(compiled, regexp.MustCompile(expr.String()))
	}
	return compiled
}

// Check grants by returning nil; otherwise the error is a *DeniedError.
func (p *Policy) Check(r Request) error {
	if missing := p.neverGranted(r); len(missing) > 0 {
		return &DeniedError{Missing: missing}
	}
	var closest *DeniedError
	for i := range p.rules {
		missing := p.rules[i].missing(r)
		if len(missing) == 0 {
			return nil
		}
		if closest == nil || len(missing) < len(closest.Missing) {
			closest = &DeniedError{Rule: i + 1, Missing: missing}
		}
	}
	return closest
}

// Reserved tells whether a subject is the name of a key, or of somebody of the cluster, which
// no rule grants.
func Reserved(subject string) bool {
	return strings.HasPrefix(subject, "refreshkey:") || strings.HasPrefix(subject, "system:")
}

// Longest is the longest lifetime that is granted for what is asked for, whatever lifetime that
// is; zero where the rest of it is not granted.
func (p *Policy) Longest(r Request) (longest time.Duration) {
	r.Lifetime = 0
	if len(p.neverGranted(r)) > 0 {
		return 0
	}
	for i := range p.rules {
		if len(p.rules[i].missing(r)) == 0 {
			longest = max(longest, p.rules[i].maxLifetime)
		}
	}
	return longest
}

func (p *Policy) neverGranted(r Request) (missing []string) {
	if r.Subject != r.DefaultSubject && r.Subject != r.ProvenSubject && Reserved(r.Subject) {
		missing = append(missing, fmt.Sprintf("subject %q is never granted, since it is the name of another identity", r.Subject))
	}
	if r.AccessLifetime > p.maxAccessLifetime {
		missing = append(missing, fmt.Sprintf("accessToken.lifetime %s is more than the issuer's maxLifetime %s", r.AccessLifetime, p.maxAccessLifetime))
	}
	return missing
}

func (r *rule) missing(req Request) (missing []string) {
	if !r.namespaces.Matches(labels.Set(req.NamespaceLabels)) {
		missing = append(missing, "the namespace's labels")
	}
	if len(r.audiences) > 0 && !anyMatches(r.audiences, req.Audience) {
		missing = append(missing, fmt.Sprintf("audience %q", req.Audience))
	}
	if req.Lifetime > r.maxLifetime {
		missing = append(missing, fmt.Sprintf("lifetime %s (at most %s)", req.Lifetime, r.maxLifetime))
	}
	if !r.grantsSubject(req) {
		missing = append(missing, fmt.Sprintf("subject %q", req.Subject))
	}
	for _, scope := range req.Scopes {
		if !anyMatches(r.scopes, scope) {
			missing = append(missing, fmt.Sprintf("scope %q", scope))
		}
	}
	for _, claim := range req.Claims {
		if !slices.Contains(r.claims, claim) {
			missing = append(missing, fmt.Sprintf("claim %q", claim))
		}
	}
	return missing
}

func (r *rule) grantsSubject(req Request) bool {
	switch {
	case req.Subject == req.DefaultSubject:
		return true
	case req.Subject == req.ProvenSubject && (Reserved(req.Subject) || len(r.subjects) == 0):
		return true
	default:
		return anyMatches(r.subjects, req.Subject)
	}
}

func anyMatches(globs []*regexp.Regexp, s string) bool {
	return slices.ContainsFunc(globs, func(glob *regexp.Regexp) bool { return glob.MatchString(s) })
}
