package grant

import (
	"errors"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// TestTheTokenSaysWhoSignedIn: what stands in status proves nothing where the presented token does
// not say the same, since only a login had it signed.
func TestTheTokenSaysWhoSignedIn(t *testing.T) {
	const subject = "system:serviceaccount:shop:till"
	for presented, want := range map[string]string{subject: subject, "refreshkey:shop:orders": "", "system:serviceaccount:shop:other": "", "": ""} {
		key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}}
		key.Status.Session = &v1alpha1.SessionStatus{Subject: subject, Method: v1alpha1.LoginServiceAccount}
		e := &exchange{issuer: &registry.Issuer{}, key: key, claims: &token.Claims{Subject: presented}}
		if got := e.provenSubject(); got != want {
			t.Errorf("for a token of %q %q is proven, want %q", presented, got, want)
		}
	}
}

// TestWhoHasNoSession: whom a provider calls like a key, or like somebody of the cluster, would get an
// access token of that name at the login itself.
func TestWhoHasNoSession(t *testing.T) {
	for _, subject := range []string{
		"refreshkey:shop:orders", "refreshkey:", "system:masters", "system:serviceaccount:shop:till", "system:", "", "jane doe", "jané", "jane\x00", "jane\u200b",
		strings.Repeat("j", v1alpha1.MaxSubjectLength+1),
	} {
		terms, err := (&Service{}).granted(&registry.Issuer{}, &signedIn{subject: subject, method: v1alpha1.LoginOIDC}, &LoginRequest{Audiences: []string{"https://orders.example.com"}})
		var refusal *oauth.Error
		if !errors.As(err, &refusal) || refusal.Code != oauth.InvalidRequest {
			t.Errorf("%q: %+v, %v", subject, terms, err)
		}
	}
}

// TestAnIssuerIsNoProviderOfItsOwn: whatever an issuer's entry says, and before anybody is asked, a
// token of its own signs nobody in.
func TestAnIssuerIsNoProviderOfItsOwn(t *testing.T) {
	const url = "https://tokens.example.com"
	issuer := &registry.Issuer{URL: url, Login: registry.Login{Providers: []v1alpha1.OIDCProvider{{IssuerURL: url}}}}
	// The service knows nobody to ask: it would panic.
	s := &Service{}
	// {"alg":"ES256"} and {"iss":"https://tokens.example.com"}
	own := "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL3Rva2Vucy5leGFtcGxlLmNvbSJ9.AAAA"
	who, err := s.whoseToken(t.Context(), issuer, &ExchangeRequest{SubjectToken: own})
	if !errors.Is(err, identity.ErrRefused) {
		t.Errorf("%+v, %v", who, err)
	}
}
