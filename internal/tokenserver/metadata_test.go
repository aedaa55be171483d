package tokenserver_test

import (
	"maps"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// names is a list as JSON has it.
func names(values ...string) []any {
	list := make([]any, 0, len(values))
	for _, value := range values {
		list = append(list, value)
	}
	return list
}

// TestMetadata checks the whole metadata of issuers, at both of its paths: RFC 8414 §2, OpenID Connect Discovery §3, and the documents that add to
// them. An endpoint or a value that an issuer does not offer is not in it.
func TestMetadata(t *testing.T) {
	const exchange, device = "urn:ietf:params:oauth:grant-type:token-exchange", "urn:ietf:params:oauth:grant-type:device_code"
	each := map[string]any{
		"issuer":                                     replica.URL,
		"token_endpoint":                             replica.URL + "/token",
		"revocation_endpoint":                        replica.URL + "/revoke",
		"introspection_endpoint":                     replica.URL + "/introspect",
		"jwks_uri":                                   replica.URL + "/jwks.json",
		"subject_types_supported":                    names("public"),
		"id_token_signing_alg_values_supported":      names("ES256", "ES384", "RS256", "EdDSA"),
		"token_endpoint_auth_methods_supported":      names("none"),
		"revocation_endpoint_auth_methods_supported": names("none"),
		"refresh_token_expiration_types_supported":   names("authorization", "token_timeout"),
		"dpop_signing_alg_values_supported":          names("ES256", "ES384", "Ed25519", "EdDSA", "PS256", "RS256"),
	}
	withoutPages := map[string]any{"response_types_supported": names("id_token")}
	withPages := map[string]any{
		"response_types_supported":                       names("code"),
		"response_modes_supported":                       names("query"),
		"authorization_endpoint":                         replica.URL + "/authorize",
		"pushed_authorization_request_endpoint":          replica.URL + "/par",
		"userinfo_endpoint":                              replica.URL + "/userinfo",
		"code_challenge_methods_supported":               names("S256"),
		"authorization_response_iss_parameter_supported": true,
		"request_uri_parameter_supported":                false,
		"prompt_values_supported":                        names("none", "login"),
		"claims_supported":                               names("iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash"),
	}
	for _, c := range []struct {
		name string
		r    *replica.Replica
		// some is the part that several issuers have, and own the part of this one.
		some, own map[string]any
	}{
		{"machines", replica.New(t), withoutPages, map[string]any{"grant_types_supported": names("refresh_token", exchange)}},
		{"passwords", replica.New(t, func(issuer *v1alpha1.JWTIssuer) {
			issuer.Spec.Login = &v1alpha1.LoginSpec{
				SessionNamespace: replica.Name, Passwords: &v1alpha1.PasswordLogin{SecretRef: v1alpha1.LocalSecretReference{Name: "people"}},
			}
		}), withoutPages, map[string]any{"grant_types_supported": names("refresh_token", exchange, "password")}},
		{"clients and passwords", withClients(t), withPages, map[string]any{
			"grant_types_supported": names("refresh_token", exchange, "authorization_code", "password"),
			"scopes_supported":      names("bills.read", "openid", "orders.read"),
		}},
		{"devices and passwords", withDevices(t), withPages, map[string]any{
			"grant_types_supported":         names("refresh_token", exchange, "authorization_code", device, "password"),
			"scopes_supported":              names("openid", "orders.read"),
			"device_authorization_endpoint": replica.URL + "/device_authorization",
		}},
		{"devices", withDevices(t, func(issuer *v1alpha1.JWTIssuer) { issuer.Spec.Login.Passwords = nil }), withPages, map[string]any{
			"grant_types_supported":         names("refresh_token", exchange, "authorization_code", device),
			"scopes_supported":              names("openid", "orders.read"),
			"device_authorization_endpoint": replica.URL + "/device_authorization",
		}},
	} {
		want := maps.Clone(each)
		maps.Copy(want, c.some)
		maps.Copy(want, c.own)
		const path = "/" + replica.Name
		for _, at := range []string{"/.well-known/oauth-authorization-server" + path, path + "/.well-known/openid-configuration"} {
			got := ask(c.r, http.MethodGet, at, nil)
			if diff := cmp.Diff(want, got.body); got.outcome() != "200" || diff != "" {
				t.Errorf("%s, %s: %d (-want +got)\n%s", c.name, at, got.status, diff)
			}
		}
	}
}
