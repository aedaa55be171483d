package cel

import (
	"fmt"
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// Cases that are too big to be stored as manifests.

func generatedRefusals() []manifest {
	return []manifest{
		key("audience of 10 kB", map[string]any{"audience": "https://" + strings.Repeat("a", 10_000)},
			"spec.audience: Too long: may not be more than 512 bytes"),
		key("claims of 100 kB", map[string]any{"claims": map[string]any{"note": strings.Repeat("x", 100_000)}},
			"spec.claims: names and values must not exceed 4096 bytes as JSON, and have at least 100011: shorten or remove some"),
		key("claims of 100 kB in many values", map[string]any{"claims": manyClaims(32, 3_100)},
			"spec.claims: names and values must not exceed 4096 bytes as JSON, and have at least 99607: shorten or remove some"),
		key("claims of 100 kB in a list", map[string]any{"claims": map[string]any{"groups": manyStrings(10_000, "group-%04d")}},
			"spec.claims: names and values must not exceed 4096 bytes as JSON, and have at least 130012: shorten or remove some"),
		key("claims of 4097 bytes", map[string]any{"claims": claimsOfSize(4097)},
			"spec.claims: names and values must not exceed 4096 bytes as JSON, and have at least 4097: shorten or remove some"),
		key("33 claims", map[string]any{"claims": manyClaims(33, 1)},
			"spec.claims: Too many: 33: must have at most 32 items"),
		key("65 scopes", map[string]any{"scopes": manyStrings(65, "scope-%d")},
			"spec.scopes: Too many: 65: must have at most 64 items"),
		key("scope of 129 characters", map[string]any{"scopes": []any{strings.Repeat("s", 129)}},
			"spec.scopes[0]: Too long: may not be more than 128 bytes"),
		key("subject of 256 characters", map[string]any{"subject": strings.Repeat("s", 256)},
			"spec.subject: Too long: may not be more than 255 bytes"),
		key("secret name of 254 characters", map[string]any{"secret": map[string]any{"name": strings.Repeat("s", 254)}},
			"spec.secret.name: Too long: may not be more than 253 bytes"),
		key("33 secret labels", map[string]any{"secret": map[string]any{"labels": manyClaims(33, 1)}},
			"spec.secret.labels: Too many: 33: must have at most 32 items"),
		key("annotation of 1025 characters", map[string]any{"secret": map[string]any{"annotations": manyClaims(1, 1025)}},
			"spec.secret.annotations.name-0: Too long: may not be more than 1024 bytes"),
		key("17 workloads", map[string]any{"rolloutRestart": workloads(17)},
			"spec.rolloutRestart: Too many: 17: must have at most 16 items"),
		issuer("url of 513 characters", map[string]any{"url": longURL(513)},
			"spec.url: Too long: may not be more than 512 bytes"),
		issuer("65 rules", map[string]any{"policy": map[string]any{"rules": policyRules(65)}},
			"spec.policy.rules: Too many: 65: must have at most 64 items"),
	}
}

func generatedAcceptances() []manifest {
	return []manifest{
		key("audience of 512 characters", map[string]any{"audience": longURL(512)}),
		key("claims of 4096 bytes", map[string]any{"claims": claimsOfSize(4096)}),
		key("32 claims", map[string]any{"claims": manyClaims(32, 1)}),
		key("64 scopes", map[string]any{"scopes": manyStrings(64, "scope-%d")}),
		key("scope of 128 characters", map[string]any{"scopes": []any{strings.Repeat("s", 128)}}),
		key("subject of 255 characters", map[string]any{"subject": strings.Repeat("s", 255)}),
		key("secret name of 253 characters", map[string]any{"secret": map[string]any{"name": strings.Repeat("s", 253)}}),
		key("32 secret labels", map[string]any{"secret": map[string]any{"labels": manyClaims(32, 1)}}),
		key("annotation of 1024 characters", map[string]any{"secret": map[string]any{"annotations": manyClaims(1, 1024)}}),
		key("16 workloads", map[string]any{"rolloutRestart": workloads(16)}),
		issuer("url of 512 characters", map[string]any{"url": longURL(512)}),
		issuer("64 rules", map[string]any{"policy": map[string]any{"rules": policyRules(64)}}),
	}
}

func key(name string, spec map[string]any, expect ...string) manifest {
	return manifest{name: "key with " + name, expect: expect, documents: []*unstructured.Unstructured{newKey("generated", spec)}}
}

func issuer(name string, spec map[string]any, expect ...string) manifest {
	return manifest{name: "issuer with " + name, expect: expect, documents: []*unstructured.Unstructured{newIssuer("generated", spec)}}
}

func newKey(name string, spec map[string]any) *unstructured.Unstructured {
	object := newObject("JWTRefreshKey", name, map[string]any{"audience": "https://orders.example.com"}, spec)
	object.SetNamespace("default")
	return object
}

func newIssuer(name string, spec map[string]any) *unstructured.Unstructured {
	return newObject("JWTIssuer", name, map[string]any{"url": "https://tokens.example.com"}, spec)
}

func newObject(kind, name string, required, spec map[string]any) *unstructured.Unstructured {
	maps.Copy(required, spec)
	object := &unstructured.Unstructured{Object: map[string]any{"spec": required}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	object.SetName(name)
	return object
}

// claimsOfSize has exactly that many bytes as canonical JSON.
func claimsOfSize(size int) map[string]any {
	return map[string]any{"note": strings.Repeat("x", size-len(`{"note":""}`))}
}

func manyClaims(number, size int) map[string]any {
	claims := map[string]any{}
	for i := range number {
		claims[fmt.Sprintf("name-%d", i)] = strings.Repeat("x", size)
	}
	return claims
}

func manyStrings(number int, format string) []any {
	all := make([]any, number)
	for i := range all {
		all[i] = fmt.Sprintf(format, i)
	}
	return all
}

func workloads(number int) []any {
	all := make([]any, number)
	for i := range all {
		all[i] = map[string]any{"kind": "Deployment", "name": fmt.Sprintf("orders-%d", i)}
	}
	return all
}

func policyRules(number int) []any {
	all := make([]any, number)
	for i := range all {
		all[i] = map[string]any{"audiences": []any{"https://*.example.com"}}
	}
	return all
}

func longURL(size int) string {
	const host = "https://tokens.example.com/"
	return host + strings.Repeat("p", size-len(host))
}
