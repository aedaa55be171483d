package view

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/test/framework/sample"
)

func TestCauses(t *testing.T) {
	said := func(causes ...metav1.StatusCause) metav1.Status {
		return metav1.Status{Message: "invalid", Details: &metav1.StatusDetails{Causes: causes}}
	}
	const rule = "lifetime must be between 1m and 87600h"
	for _, c := range []struct {
		name   string
		status metav1.Status
		want   []wire.Cause
	}{
		{"a rule explains what the schema says", said(
			metav1.StatusCause{Field: "spec.lifetime", Message: `Invalid value: "1 day": spec.lifetime in body should match '^x$'`},
			metav1.StatusCause{Field: "spec.lifetime", Message: `Invalid value: "1 day": ` + rule},
		), []wire.Cause{{Field: "spec.lifetime", Message: rule}}},
		{"the schema alone", said(metav1.StatusCause{Field: "spec.lifetime", Message: `Invalid value: "": spec.lifetime in body should match '^x$'`}),
			[]wire.Cause{{Field: "spec.lifetime", Message: "should match '^x$'"}}},
		{"a note that rules were left out", said(
			metav1.StatusCause{Field: "spec.audience", Message: "Required value"}, metav1.StatusCause{Field: "<nil>", Message: "Invalid value: null: " + unchecked},
		), []wire.Cause{{Field: "spec.audience", Message: "Required value"}}},
		{"an admission policy names the field in its message", said(metav1.StatusCause{
			Message: "ValidatingAdmissionPolicy 'p' with binding 'p' denied request: spec.claims: the name 'iss' is registered: rename it",
		}), []wire.Cause{{Field: "spec.claims", Message: "the name 'iss' is registered: rename it"}}},
		{"an admission policy with the field as a word of its sentence", said(metav1.StatusCause{
			Message: "ValidatingAdmissionPolicy 'p' with binding 'p' denied request: spec.expiresAt is in the past: set a later one",
		}), []wire.Cause{{Field: "spec.expiresAt", Message: "spec.expiresAt is in the past: set a later one"}}},
		{"the name", said(metav1.StatusCause{Field: "metadata.name", Message: `Invalid value: "A": use lower case`}), []wire.Cause{{Field: "metadata.name", Message: "use lower case"}}},
		{"strict decoding", metav1.Status{Message: `strict decoding error: unknown field "spec.x"`},
			[]wire.Cause{{Message: `strict decoding error: unknown field "spec.x"`}}},
	} {
		if diff := cmp.Diff(c.want, Causes(&c.status)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestIsRefusal(t *testing.T) {
	for _, c := range []struct {
		reason  metav1.StatusReason
		message string
		want    bool
	}{
		{metav1.StatusReasonInvalid, "", true},
		{metav1.StatusReasonBadRequest, "", true},
		{metav1.StatusReasonForbidden, "jwtrefreshkeys is forbidden: User cannot create", false},
		{metav1.StatusReasonForbidden, "exceeded quota", false},
		{metav1.StatusReasonForbidden, "ValidatingAdmissionPolicy 'p' with binding 'p' denied request: no", true},
		{metav1.StatusReasonConflict, "", false},
	} {
		if got := IsRefusal(&metav1.Status{Reason: c.reason, Message: c.message}); got != c.want {
			t.Errorf("%s %s: %t", c.reason, c.message, got)
		}
	}
}

func TestPolicyOf(t *testing.T) {
	issuer := func(rules ...v1alpha1.PolicyRule) *v1alpha1.JWTIssuer {
		i := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: "people"}, Spec: v1alpha1.JWTIssuerSpec{URL: "https://tokens.example.com", Policy: &v1alpha1.PolicySpec{Rules: rules}}}
		return i
	}
	absent := issuer()
	absent.Spec.Policy = nil
	shop := v1alpha1.PolicyRule{Namespaces: &v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"team": "shop"}}}
	scoped := v1alpha1.PolicyRule{Scopes: []string{"orders:read", "orders:*", "{namespace}:all"}, MaxLifetime: sample.Lasting(sample.Day)}
	day := &wire.Trial{Namespace: "shop", Audience: "x", LifetimeSeconds: 3600}
	for _, c := range []struct {
		name   string
		issuer *v1alpha1.JWTIssuer
		trial  *wire.Trial
		labels map[string]string
		want   wire.PolicyAnswer
	}{
		{"no policy", absent, day, nil, wire.PolicyAnswer{Granted: true, NoPolicy: true, Issuer: "people", LongestSeconds: 2160 * 3600}},
		{"no policy, a scope", absent, &wire.Trial{Namespace: "shop", Audience: "x", Scopes: []string{"a"}}, nil,
			wire.PolicyAnswer{NoPolicy: true, Issuer: "people", Missing: []string{`scope "a"`}}},
		{"the second rule grants", issuer(shop, scoped), day, nil, wire.PolicyAnswer{Granted: true, Rule: 2, Issuer: "people", LongestSeconds: 24 * 3600}},
		{"the first rule grants", issuer(shop, scoped), day, map[string]string{"team": "shop"}, wire.PolicyAnswer{Granted: true, Rule: 1, Issuer: "people", LongestSeconds: 2160 * 3600}},
		{"too long", issuer(scoped), &wire.Trial{Namespace: "shop", Audience: "x"}, nil,
			wire.PolicyAnswer{Rule: 1, Issuer: "people", Missing: []string{"lifetime 720h0m0s (at most 24h0m0s)"}, LongestSeconds: 24 * 3600}},
		{"a claim", issuer(scoped), &wire.Trial{Namespace: "shop", Audience: "x", LifetimeSeconds: 60, Claims: []string{"tier"}}, nil,
			wire.PolicyAnswer{Rule: 1, Issuer: "people", Missing: []string{`claim "tier"`}}},
		{"no rules", issuer(), day, nil,
			wire.PolicyAnswer{Issuer: "people", Missing: []string{"spec.policy has no rules, so that nothing is granted; add a rule, or remove policy for the default"}}},
	} {
		if diff := cmp.Diff(c.want, PolicyOf(TrialKey(c.trial), c.issuer, c.labels)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	if diff := cmp.Diff([]string{"orders:read"}, Suggestions(issuer(scoped), 1)); diff != "" {
		t.Error(diff)
	}
	if none := Suggestions(absent, 1); none != nil {
		t.Errorf("no policy suggests %v", none)
	}
}

func TestRules(t *testing.T) {
	issuer := &v1alpha1.JWTIssuer{Spec: v1alpha1.JWTIssuerSpec{Policy: &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{
		{Namespaces: &v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"team": "shop"}, MatchExpressions: []v1alpha1.NamespaceRequirement{
			{Key: "tier", Operator: metav1.LabelSelectorOpIn, Values: []string{"gold", "silver"}}, {Key: "old", Operator: metav1.LabelSelectorOpDoesNotExist},
		}}},
		{Namespaces: &v1alpha1.NamespaceSelector{}, Audiences: []string{"https://**"}, MaxLifetime: sample.Lasting(sample.Day)},
	}}}}
	want := []wire.Rule{
		{Number: 1, Namespaces: "!old,team=shop,tier in (gold,silver)", MaxLifetimeSeconds: 2160 * 3600},
		{Number: 2, Namespaces: "all", Audiences: []string{"https://**"}, MaxLifetimeSeconds: 24 * 3600},
	}
	if diff := cmp.Diff(want, Rules(issuer)); diff != "" {
		t.Error(diff)
	}
}

func TestManifest(t *testing.T) {
	for _, c := range []struct{ name, written, want string }{
		{"all that a person writes", `{"apiVersion":"x","kind":"Pod","metadata":{"name":"orders","namespace":"other","labels":{"a":"b"},"annotations":{"c":"d"},"creationTimestamp":null,"ownerReferences":[]},"spec":{"audience":"x","claims":{"n":3}},"status":{"revision":1}}`,
			"apiVersion: jwt.refreshkeys.dev/v1alpha1\nkind: JWTRefreshKey\nmetadata:\n  annotations:\n    c: d\n  labels:\n    a: b\n  name: orders\n  namespace: shop\nspec:\n  audience: x\n  claims:\n    \"n\": 3\n"},
		{"nothing", `{}`, "apiVersion: jwt.refreshkeys.dev/v1alpha1\nkind: JWTRefreshKey\nmetadata:\n  namespace: shop\n"},
		{"a list", `[]`, ""},
		{"a label that is no text", `{"metadata":{"labels":{"a":1}}}`, ""},
	} {
		made, err := Manifest([]byte(c.written), "shop")
		if (err == nil) != (c.want != "") {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if err != nil {
			continue
		}
		if got, err := YAML(made); err != nil || got != c.want {
			t.Errorf("%s: %v\n%s", c.name, err, got)
		}
	}
}

func TestGuidance(t *testing.T) {
	for name, c := range map[string]struct {
		key       *v1alpha1.JWTRefreshKey
		means, do string
	}{
		"stalled": {sample.Issued(func(k *v1alpha1.JWTRefreshKey) { sample.Stalled(k, v1alpha1.ReasonSecretImmutable) }), "marked immutable", "delete it"},
		"revoked": {sample.Issued(sample.Revoked(v1alpha1.RevokedReuseDetected)), "every token is refused: a one-time token was used later", `find out which, and then press "Issue a new token"`},
		"a session that is over": {sample.Issued(sample.Revoked(v1alpha1.RevokedLogout), func(k *v1alpha1.JWTRefreshKey) { k.Status.Session = &v1alpha1.SessionStatus{} }),
			"the client revoked the token", "sign in again"},
	} {
		got := keyGuidance(c.key)
		if got == nil || !strings.Contains(got.Means, c.means) || !strings.Contains(got.Do, c.do) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := keyGuidance(&v1alpha1.JWTRefreshKey{}); got != nil {
		t.Errorf("a new key: %+v", got)
	}
	bundle := &v1alpha1.JWTIssuer{}
	bundle.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonKeysReady},
		{Type: v1alpha1.ConditionTrustBundle, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonTrustBundleKept},
	}
	if got := issuerGuidance(bundle); got == nil || !strings.Contains(got.Do, "in PEM") {
		t.Errorf("a faulty bundle: %+v", got)
	}
	for group, rows := range map[string]map[string]wire.Guidance{"keys": guidance.Keys, "revocations": guidance.Revocations, "issuers": guidance.Issuers} {
		for reason, row := range rows {
			if row.Means == "" || row.Do == "" || strings.ContainsAny(row.Means+row.Do, "`") || strings.Contains(row.Means+row.Do, "](") || strings.Contains(row.Do, "refreshkeys.dev/") {
				t.Errorf("%s %s: %+v", group, reason, row)
			}
		}
	}
}

func TestWithoutValue(t *testing.T) {
	for text, want := range map[string]string{
		`Required value`: "Required value",
		`Invalid value: "a \": b": shorten it: now`:             "shorten it: now",
		`Invalid value: 1001: must be less`:                     "must be less",
		`Invalid value: {"kind":"Pod","name":": x"}: change it`: "change it",
		`Invalid value: null: change it`:                        "change it",
		`Invalid value: must be shorter: change it`:             "must be shorter: change it",
		`Unsupported value: "Pod": supported values: "A", "B"`:  `Unsupported value: "Pod": supported values: "A", "B"`,
	} {
		if got := WithoutValue(text); got != want {
			t.Errorf("%s\ngives %s\nwant  %s", text, got, want)
		}
	}
}
