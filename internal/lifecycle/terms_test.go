package lifecycle

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

func TestNames(t *testing.T) {
	tests := []struct {
		name           string
		spec           v1alpha1.JWTRefreshKeySpec
		issuer, secret string
		access         bool
	}{
		{"nothing said", v1alpha1.JWTRefreshKeySpec{}, "default", "orders", false},
		{"empty sections", v1alpha1.JWTRefreshKeySpec{IssuerRef: &v1alpha1.IssuerReference{}, Secret: &v1alpha1.SecretSpec{}}, "default", "orders", false},
		{"names", v1alpha1.JWTRefreshKeySpec{
			IssuerRef: &v1alpha1.IssuerReference{Name: "other"}, Secret: &v1alpha1.SecretSpec{Name: "orders-2", AccessToken: true},
		}, "other", "orders-2", true},
		{"no Secret, with any name", v1alpha1.JWTRefreshKeySpec{Secret: &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone, Name: "orders-2"}}, "default", "", false},
	}
	for _, test := range tests {
		key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders"}, Spec: test.spec}
		if issuer, secret, access := IssuerName(key), SecretName(key), WantsAccessToken(key); issuer != test.issuer || secret != test.secret || access != test.access {
			t.Errorf("%s: issuer %q, Secret %q, access token %v", test.name, issuer, secret, access)
		}
	}
}

// TestPayloadSizeIsNotExceeded checks that payloadSize is an upper bound of real payloads.
func TestPayloadSizeIsNotExceeded(t *testing.T) {
	for _, letter := range []string{"x", "<", "&", `"`, `\`} {
		for _, length := range []int{1, 20, 250} {
			text := strings.Repeat(letter, length)
			quoted, err := json.Marshal(text)
			if err != nil {
				t.Fatal(err)
			}
			e := effective{
				defaultSubject: DefaultSubject(strings.Repeat("n", 63), strings.Repeat("k", 253)),
				terms: Terms{
					Issuer: text, Audience: text, Subject: text, Scope: text + " " + text, JWKThumbprint: thumbprint, ServiceAccount: strings.Repeat("s", 253),
					Claims: map[string]string{"email": string(quoted), "tier": "1"},
				},
			}
			claims := token.Claims{
				Issuer: e.terms.Issuer, Audience: e.terms.Audience, Subject: e.terms.Subject, Scope: e.terms.Scope, Extra: e.terms.Claims,
				JWKThumbprint: e.terms.JWKThumbprint, ServiceAccount: e.terms.ServiceAccount, ClientID: e.defaultSubject,
				JTI: fmt.Sprintf("%036d", 1), IssuedAt: t0, ExpiresAt: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
				Object: token.Object{Namespace: strings.Repeat("n", 63), Name: strings.Repeat("k", 253), UID: fmt.Sprintf("%036d", 1), Revision: 1<<53 - 1},
			}
			payload, err := claims.Payload()
			if err != nil {
				t.Fatal(err)
			}
			estimate := e.payloadSize(claims.Object.Namespace, claims.Object.Name)
			if len(payload) > estimate || estimate > len(payload)+300 {
				t.Errorf("%d times %s: %d bytes, and the estimate is %d", length, letter, len(payload), estimate)
			}
		}
	}
}
