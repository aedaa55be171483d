package lifecycle

import (
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// specChange is a case in which the token differs from spec.
func specChange(field string, given func(*situation)) decideCase {
	return specChangeTo(field, field, "revision 2, 1h to 721h", given)
}

func specChangeTo(name, field, mint string, given func(*situation)) decideCase {
	return decideCase{
		name: "spec change that matters: " + name, given: given,
		want: advances(CauseSpecChanged, mint, "token-1").but(func(o *outcome) { o.Detail = field }),
	}
}

const plain = "revision 2, 1h to 721h"

var specMattersCases = []decideCase{
	specChange("audience", func(s *situation) { s.Key.Spec.Audience = "https://other.example.com" }),
	specChange("subject", func(s *situation) { s.Key.Spec.Subject = "shop:till" }),
	specChangeTo("subject taken away", "subject", plain, func(s *situation) { s.Held.Terms.Subject = "shop:till" }),
	specChange("scopes", func(s *situation) { s.Key.Spec.Scopes = []string{"orders:read"} }),
	specChangeTo("scopes taken away", "scopes", plain, func(s *situation) { s.Held.Terms.Scope = "orders:read" }),
	specChangeTo("order of scopes", "scopes", plain, func(s *situation) {
		s.Held.Terms.Scope, s.Key.Spec.Scopes = "orders:read orders:write", []string{"orders:write", "orders:read"}
	}),
	specChangeTo("claim added", "claims", plain, func(s *situation) {
		s.Key.Spec.Claims = map[string]apiextensionsv1.JSON{"email": raw(`"a@example.com"`)}
	}),
	specChangeTo("claim changed", "claims", plain, func(s *situation) {
		s.Held.Terms.Claims = map[string]string{"email": `"a@example.com"`}
		s.Key.Spec.Claims = map[string]apiextensionsv1.JSON{"email": raw(`"b@example.com"`)}
	}),
	specChangeTo("claim changed in type only", "claims", plain, func(s *situation) {
		s.Held.Terms.Claims = map[string]string{"tier": `1`}
		s.Key.Spec.Claims = map[string]apiextensionsv1.JSON{"tier": raw(`"1"`)}
	}),
	specChangeTo("claim removed", "claims", plain, func(s *situation) {
		s.Held.Terms.Claims = map[string]string{"email": `"a@example.com"`}
	}),
	specChangeTo("binding to a ServiceAccount", "binding", plain, func(s *situation) {
		s.Key.Spec.Binding = &v1alpha1.BindingSpec{ServiceAccountName: "orders"}
	}),
	specChangeTo("binding to a key", "binding", plain, func(s *situation) {
		s.Key.Spec.Binding = &v1alpha1.BindingSpec{JWKThumbprint: thumbprint}
	}),
	specChangeTo("binding taken away", "binding", plain, func(s *situation) { s.Held.Terms.ServiceAccount = "orders" }),
	specChangeTo("issuer", "issuer", plain, func(s *situation) {
		s.Key.Spec.IssuerRef = &v1alpha1.IssuerReference{Name: "other"}
		s.Issuer.Name, s.Issuer.URL = "other", "https://other-tokens.example.com"
	}),
	specChangeTo("lifetime up", "lifetime", "revision 2, 1h to 1001h", func(s *situation) { s.Key.Spec.Lifetime = duration(1000 * hour) }),
	specChangeTo("lifetime down", "lifetime", "revision 2, 1h to 101h", func(s *situation) { s.Key.Spec.Lifetime = duration(100 * hour) }),
	specChangeTo("lifetime down by a second", "lifetime", "revision 2, 1h to 720h59m59s", func(s *situation) {
		s.Key.Spec.Lifetime = duration(720*hour - time.Second)
	}),
	specChangeTo("several at once", "audience, scopes, lifetime", "revision 2, 1h to 101h", func(s *situation) {
		s.Key.Spec.Audience, s.Key.Spec.Scopes, s.Key.Spec.Lifetime = "https://other.example.com", []string{"orders:read"}, duration(100*hour)
	}),
	{
		name: "spec change that matters: in mode Never as well",
		given: func(s *situation) {
			s.mode(v1alpha1.RotationNever)
			s.Key.Spec.Audience = "https://other.example.com"
		},
		want: advances(CauseSpecChanged, plain, "token-1").but(func(o *outcome) { o.Detail = "audience" }),
	},
}

func noSpecChange(name, next string, given func(*situation)) decideCase {
	return decideCase{name: "spec change that does not matter: " + name, given: given, want: atRest(next)}
}

var specDoesNotMatterCases = []decideCase{
	noSpecChange("deviceInfo", "480h", func(s *situation) { s.Key.Spec.DeviceInfo = &v1alpha1.DeviceInfo{ID: "till-17", Name: "Till 17"} }),
	noSpecChange("labels of the key", "480h", func(s *situation) { s.Key.Labels = map[string]string{"team": "shop"} }),
	noSpecChange("other annotations of the key", "480h", func(s *situation) { s.Key.Annotations["example.com/note"] = "x" }),
	noSpecChange("labels of the namespace that the policy still grants", "480h", func(s *situation) { s.Namespace.Labels["tier"] = "gold" }),
	noSpecChange("renewBefore", "620h", func(s *situation) { s.Key.Spec.Rotation.RenewBefore = duration(100 * hour) }),
	noSpecChange("overlap", "480h", func(s *situation) {
		s.Key.Spec.Rotation.Overlap = &v1alpha1.OverlapSpec{Quiet: duration(hour), Max: duration(5 * hour)}
	}),
	noSpecChange("retryGrace", "480h", func(s *situation) { s.Key.Spec.Rotation.RetryGrace = duration(minute) }),
	noSpecChange("accessToken.lifetime", "480h", func(s *situation) {
		s.Key.Spec.AccessToken = &v1alpha1.KeyAccessTokenSpec{Lifetime: duration(30 * minute)}
	}),
	noSpecChange("access token lifetime of the issuer", "480h", func(s *situation) { s.Issuer.AccessLifetime = 20 * minute }),
	noSpecChange("idleTimeout", "168h2m", func(s *situation) { s.Key.Spec.IdleTimeout = duration(168 * hour) }),
	noSpecChange("rolloutRestart", "480h", func(s *situation) {
		s.Key.Spec.RolloutRestart = []v1alpha1.WorkloadReference{{Kind: "Deployment", Name: "orders"}}
	}),
	noSpecChange("expiresAt shortened: the token ends with it", "500h", func(s *situation) { s.end(500 * hour) }),
	noSpecChange("rotation.mode Scheduled to Never", "720h", func(s *situation) { s.mode(v1alpha1.RotationNever) }),
	noSpecChange("rotation.mode Never to Scheduled", "480h", func(s *situation) { s.mode(v1alpha1.RotationScheduled) }),
	noSpecChange("the default lifetime written out", "480h", func(s *situation) { s.Key.Spec.Lifetime = duration(720 * hour) }),
	noSpecChange("the default subject written out", "480h", func(s *situation) { s.Key.Spec.Subject = subject }),
	noSpecChange("the default issuer written out", "480h", func(s *situation) { s.Key.Spec.IssuerRef = &v1alpha1.IssuerReference{Name: "default"} }),
	noSpecChange("the default Secret name written out", "480h", func(s *situation) { s.Key.Spec.Secret.Name = "orders" }),
	noSpecChange("claims in another spelling", "480h", func(s *situation) {
		s.Held.Terms.Claims = map[string]string{"email": `"a@example.com"`, "tier": `1`}
		s.Key.Spec.Claims = map[string]apiextensionsv1.JSON{"email": raw(` "\u0061@example.com"`), "tier": raw(`1.0`)}
	}),
	noSpecChange("empty sections", "480h", func(s *situation) {
		s.Key.Spec.Secret, s.Key.Spec.Rotation, s.Key.Spec.IssuerRef = nil, nil, &v1alpha1.IssuerReference{}
	}),
	{
		name: "spec change that does not matter: secret.labels are a write of the Secret only",
		given: func(s *situation) {
			s.Key.Spec.Secret.Labels = map[string]v1alpha1.LabelValue{"team": "shop"}
			s.Secret.AsWanted = false
		},
		want: writesSecret("480h"),
	},
	{
		name: "spec change that does not matter: deletionPolicy is a write of the Secret only",
		given: func(s *situation) {
			s.Key.Spec.Secret.DeletionPolicy = v1alpha1.DeletionRetain
			s.Secret.AsWanted = false
		},
		want: writesSecret("480h"),
	},
}

func invalid(name, message string, given func(*situation)) decideCase {
	return decideCase{
		name: "invalid spec: " + name, given: given, says: message,
		want: outcome{Check: "spec is invalid", Verdict: "stalled InvalidSpec", Next: "720h"},
	}
}

// withAccess requests an access token in the Secret, in addition to given.
func withAccess(given func(*situation)) func(*situation) {
	return func(s *situation) {
		s.keepsAccess(80 * minute)
		given(s)
	}
}

var invalidCases = []decideCase{
	invalid("no audience", "spec.audience: an audience is 1 to 512 printable ASCII characters", func(s *situation) { s.Key.Spec.Audience = "" }),
	invalid("lifetime 10s", "spec.lifetime 10s is not between 1m and 87600h", func(s *situation) { s.Key.Spec.Lifetime = duration(10 * time.Second) }),
	invalid("lifetime negative", "spec.lifetime -1h0m0s is not between 1m and 87600h", func(s *situation) { s.Key.Spec.Lifetime = duration(-hour) }),
	invalid("lifetime 87601h", "spec.lifetime 87601h0m0s is not between 1m and 87600h", func(s *situation) { s.Key.Spec.Lifetime = duration(87601 * hour) }),
	invalid("renewBefore as long as lifetime", "spec.rotation.renewBefore 720h0m0s is not between 1s and lifetime 720h0m0s", func(s *situation) {
		s.Key.Spec.Rotation.RenewBefore = duration(720 * hour)
	}),
	invalid("renewBefore 0s", "spec.rotation.renewBefore 0s is not between 1s and lifetime 720h0m0s", func(s *situation) {
		s.Key.Spec.Rotation.RenewBefore = duration(0)
	}),
	invalid("access token of 30s", "spec.accessToken.lifetime 30s is not between 1m and 24h", func(s *situation) {
		s.Key.Spec.AccessToken = &v1alpha1.KeyAccessTokenSpec{Lifetime: duration(30 * time.Second)}
	}),
	invalid("access token of 25h", "spec.accessToken.lifetime 25h0m0s is not between 1m and 24h", func(s *situation) {
		s.Key.Spec.AccessToken = &v1alpha1.KeyAccessTokenSpec{Lifetime: duration(25 * hour)}
	}),
	invalid("idleTimeout of a minute", "spec.idleTimeout 1m0s is less than 1h", func(s *situation) { s.Key.Spec.IdleTimeout, s.Key.Status.Conditions = duration(minute), nil }),
	invalid("unknown mode", `spec.rotation.mode "Often" is unknown; use Scheduled, OneTimeUse or Never`, func(s *situation) { s.mode("Often") }),
	invalid("a scope with a space in it", "spec.scopes[0]: a scope is 1 to 128 printable ASCII characters", func(s *situation) {
		s.Key.Spec.Scopes = []string{"orders:read admin"}
	}),
	invalid("a scope with a double quote in it", "spec.scopes[1]: a scope is 1 to 128 printable ASCII characters", func(s *situation) {
		s.Key.Spec.Scopes = []string{"orders:read", `orders:"write"`}
	}),
	invalid("a scope with a backslash in it", "spec.scopes[0]: a scope is 1 to 128 printable ASCII characters", func(s *situation) {
		s.Key.Spec.Scopes = []string{`orders\read`}
	}),
	invalid("a scope that is too long", "spec.scopes[0]: a scope is 1 to 128 printable ASCII characters", func(s *situation) {
		s.Key.Spec.Scopes = []string{strings.Repeat("s", 129)}
	}),
	invalid("an audience with a space in it", "spec.audience: an audience is 1 to 512 printable ASCII characters", func(s *situation) {
		s.Key.Spec.Audience = "https://orders.example.com admin"
	}),
	invalid("a subject with a line break in it", "spec.subject: a subject is 1 to 255 printable ASCII characters", func(s *situation) {
		s.Key.Spec.Subject = "till\n17"
	}),
	invalid("claims: iss", "spec.claims: the name 'iss' is registered", func(s *situation) {
		s.Key.Spec.Claims = map[string]apiextensionsv1.JSON{"iss": raw(`"x"`)}
	}),
	invalid("claims: SUB", "spec.claims: the name 'SUB' is registered", func(s *situation) {
		s.Key.Spec.Claims = map[string]apiextensionsv1.JSON{"SUB": raw(`"x"`)}
	}),
	invalid("claims: an object", "spec.claims: the value of 'email' must be a string", func(s *situation) {
		s.Key.Spec.Claims = map[string]apiextensionsv1.JSON{"email": raw(`{}`)}
	}),
	invalid("claims: not JSON", "claims[email]: not JSON", func(s *situation) {
		s.Key.Spec.Claims = map[string]apiextensionsv1.JSON{"email": raw(`{`)}
	}),
	invalid("claims: more than 4 KiB", "spec.claims: names and values must not exceed 4096 bytes", func(s *situation) {
		s.Key.Spec.Claims = map[string]apiextensionsv1.JSON{"email": raw(`"` + strings.Repeat("x", 4096) + `"`)}
	}),
	invalid("claims and scopes that make a token too long", "the tokens would exceed the limit of 8 KiB", func(s *situation) {
		s.Key.Spec.Claims = map[string]apiextensionsv1.JSON{"email": raw(`"` + strings.Repeat("x", 4000) + `"`)}
		for i := range 20 {
			s.Key.Spec.Scopes = append(s.Key.Spec.Scopes, "orders:"+strings.Repeat(string(rune('a'+i)), 100))
		}
	}),
	invalid("an annotation of the operator's own on the Secret", `spec.secret.annotations: "jwt.refreshkeys.dev/owner" is reserved`, func(s *situation) {
		s.Key.Spec.Secret.Annotations = map[string]v1alpha1.AnnotationValue{"example.com/team": "shop", v1alpha1.AnnotationOwner: "other"}
	}),
	invalid("a label of Kubernetes on the Secret", `spec.secret.labels: "app.kubernetes.io/managed-by" is reserved`, func(s *situation) {
		s.Key.Spec.Secret.Labels = map[string]v1alpha1.LabelValue{v1alpha1.LabelManagedBy: "mine"}
	}),
	invalid("accessToken with binding", "spec.secret.accessToken cannot be combined with binding", withAccess(func(s *situation) {
		s.Key.Spec.Binding = &v1alpha1.BindingSpec{ServiceAccountName: "orders"}
	})),
	invalid("accessToken with idleTimeout", "spec.secret.accessToken cannot be combined with idleTimeout", withAccess(func(s *situation) {
		s.Key.Spec.IdleTimeout, s.Key.Status.Conditions = duration(168*hour), nil
	})),
	invalid("accessToken with OneTimeUse", "spec.secret.accessToken cannot be combined with rotation.mode OneTimeUse", withAccess(func(s *situation) {
		s.mode(v1alpha1.RotationOneTimeUse)
	})),
	invalid("accessToken of less than 5m", "lives at least 5m, and it lives 4m0s", withAccess(func(s *situation) {
		s.Key.Spec.AccessToken = &v1alpha1.KeyAccessTokenSpec{Lifetime: duration(4 * minute)}
	})),
	invalid("accessToken without a Secret", "spec.secret.accessToken cannot be combined with secret.mode None", func(s *situation) {
		s.Key.Spec.Secret.AccessToken, s.Key.Spec.Secret.Mode, s.Secret = true, v1alpha1.SecretNone, Secret{}
	}),
	{
		name: "invalid spec: nothing is issued", from: unissued, says: "spec.lifetime 10s",
		given: func(s *situation) { s.Key.Spec.Lifetime = duration(10 * time.Second) },
		want:  outcome{Check: "spec is invalid", Verdict: "stalled InvalidSpec"},
	},
	{
		name: "invalid spec: a rotation waits", given: func(s *situation) { s.mode("Often"); s.rotate("v1") },
		want: outcome{Check: "spec is invalid", Verdict: "stalled InvalidSpec", Next: "720h"},
	},
}
