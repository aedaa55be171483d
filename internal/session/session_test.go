package session

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

// TestTheTokenSaysWhoSignedIn checks that the subject in status counts as proven only if the presented token has
// the same subject, since only a login had it signed.
func TestTheTokenSaysWhoSignedIn(t *testing.T) {
	const subject = "system:serviceaccount:shop:till"
	for presented, want := range map[string]string{subject: subject, "refreshkey:shop:orders": "", "system:serviceaccount:shop:other": "", "": ""} {
		key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}}
		key.Status.Session = &v1alpha1.SessionStatus{Subject: subject, Method: v1alpha1.LoginServiceAccount}
		if got := ProvenSubject(&registry.Issuer{}, key, &token.Claims{Subject: presented}); got != want {
			t.Errorf("for a token of %q the proven subject is %q, want %q", presented, got, want)
		}
	}
}

// TestWhoHasNoSession checks that a login is refused for a subject of a provider that is named like a refresh key
// or like a user of the cluster.
func TestWhoHasNoSession(t *testing.T) {
	for _, subject := range []string{
		"refreshkey:shop:orders", "refreshkey:", "system:masters", "system:serviceaccount:shop:till", "system:", "", "jane doe", "jané", "jane\x00", "jane\u200b",
		strings.Repeat("j", v1alpha1.MaxSubjectLength+1),
	} {
		l := &login{issuer: &registry.Issuer{}, signedIn: &SignedIn{Subject: subject, method: v1alpha1.LoginOIDC}, request: &Terms{Audiences: []string{"https://orders.example.com"}}}
		terms, err := l.granted()
		var refusal *oauth.Error
		if !errors.As(err, &refusal) || refusal.Code != oauth.InvalidRequest {
			t.Errorf("%q: %+v, %v", subject, terms, err)
		}
	}
}

// TestAnIssuerIsNoProviderOfItsOwn checks that an issuer's own token does not sign in, even if its entry names the
// issuer, and that no provider is requested.
func TestAnIssuerIsNoProviderOfItsOwn(t *testing.T) {
	const url = "https://tokens.example.com"
	issuer := &registry.Issuer{URL: url, Login: registry.Login{Providers: []v1alpha1.OIDCProvider{{IssuerURL: url}}}}
	// The service has no providers and would panic.
	s := &Service{}
	// {"alg":"ES256"} and {"iss":"https://tokens.example.com"}
	own := "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL3Rva2Vucy5leGFtcGxlLmNvbSJ9.AAAA"
	signedIn, err := s.verifySubjectToken(t.Context(), issuer, own)
	if !errors.Is(err, identity.ErrRefused) {
		t.Errorf("%+v, %v", signedIn, err)
	}
}
