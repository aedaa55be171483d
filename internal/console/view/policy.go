package view

import (
	"errors"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/policy"
)

// PolicyOf returns what the policy of an issuer says to a key in a namespace with labels.
func PolicyOf(key *v1alpha1.JWTRefreshKey, issuer *v1alpha1.JWTIssuer, namespaceLabels map[string]string) wire.PolicyAnswer {
	answer := wire.PolicyAnswer{Issuer: issuer.Name, NoPolicy: issuer.Spec.Policy == nil}
	compiled, err := policy.Compile(&issuer.Spec)
	if err != nil {
		answer.Missing = []string{"the policy of the issuer cannot be read: " + err.Error()}
		return answer
	}
	request, err := lifecycle.RequestOf(key, issuer, namespaceLabels)
	if err != nil {
		answer.Missing = []string{err.Error()}
		return answer
	}
	answer.Rule, answer.LongestSeconds = compiled.Granting(request), int64(compiled.Longest(request).Seconds())
	var denied *policy.DeniedError
	if err := compiled.Check(request); errors.As(err, &denied) {
		answer.Missing = denied.Missing
		if !answer.NoPolicy {
			answer.Rule = denied.Rule
		}
		return answer
	}
	answer.Granted = true
	return answer
}

// Suggestions returns the scopes that a rule of an issuer names without a glob; none without a rule.
func Suggestions(issuer *v1alpha1.JWTIssuer, rule int) []string {
	if issuer.Spec.Policy == nil || rule < 1 || rule > len(issuer.Spec.Policy.Rules) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(issuer.Spec.Policy.Rules[rule-1].Scopes), func(scope string) bool { return strings.ContainsAny(scope, "*{") })
}

// Rules returns the rules of an issuer's policy, for people.
func Rules(issuer *v1alpha1.JWTIssuer) []wire.Rule {
	if issuer.Spec.Policy == nil {
		return nil
	}
	var rules []wire.Rule
	for i := range issuer.Spec.Policy.Rules {
		rule := &issuer.Spec.Policy.Rules[i]
		longest := policy.DefaultMaxLifetime
		if rule.MaxLifetime != nil {
			longest = rule.MaxLifetime.Duration
		}
		rules = append(rules, wire.Rule{
			Number: i + 1, Namespaces: selector(rule.Namespaces), Audiences: rule.Audiences, Scopes: rule.Scopes, Claims: rule.Claims,
			Subjects: rule.Subjects, MaxLifetimeSeconds: int64(longest.Seconds()),
		})
	}
	return rules
}

// selector returns a selector as kubectl writes it: team=shop,tier in (gold,silver). It is "all" if it selects all namespaces.
func selector(namespaces *v1alpha1.NamespaceSelector) string {
	if namespaces == nil {
		return "all"
	}
	standard := metav1.LabelSelector{MatchLabels: map[string]string{}}
	for name, value := range namespaces.MatchLabels {
		standard.MatchLabels[name] = string(value)
	}
	for _, e := range namespaces.MatchExpressions {
		standard.MatchExpressions = append(standard.MatchExpressions, metav1.LabelSelectorRequirement{Key: e.Key, Operator: e.Operator, Values: e.Values})
	}
	if text := metav1.FormatLabelSelector(&standard); text != "<none>" && text != "<error>" {
		return text
	}
	return "all"
}

// TrialKey returns the key that a trial is about.
func TrialKey(trial *wire.Trial) *v1alpha1.JWTRefreshKey {
	key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: trial.Namespace, Name: trial.Name}}
	key.Spec = v1alpha1.JWTRefreshKeySpec{Audience: trial.Audience, Subject: trial.Subject, Scopes: trial.Scopes, Claims: namedClaims(trial.Claims)}
	if trial.LifetimeSeconds > 0 {
		key.Spec.Lifetime = seconds(trial.LifetimeSeconds)
	}
	return key
}
