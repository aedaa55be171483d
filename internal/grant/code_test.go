package grant_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/authorize"
	"github.com/refreshkeys/refreshkeys/internal/grant"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/seal"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

const (
	codeVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	codeChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	shopURI       = "https://shop.example.com/callback"
)

// TestCodeRequest checks what a redemption is refused for, and what its answer has.
func TestCodeRequest(t *testing.T) {
	good := func(r *replica.Replica) *authorize.Code {
		return &authorize.Code{
			Request:  authorize.Request{Client: "shop", RedirectURI: shopURI, Asked: true, Challenge: codeChallenge, Audience: replica.Audience, Scopes: []string{"openid"}, Nonce: "n1"},
			SignedIn: authorize.SignedIn{Subject: "ada", Method: v1alpha1.LoginPassword, At: r.Clock.Now()}, ID: "a", Namespace: replica.Name,
		}
	}
	for _, c := range []struct {
		name    string
		code    func(*authorize.Code)
		asked   func(*grant.CodeRequest)
		purpose seal.Purpose
		want    oauth.Code
	}{
		{"all of it", nil, nil, authorize.SealedCode, ""},
		{"no code", nil, func(r *grant.CodeRequest) { r.Code = "" }, authorize.SealedCode, oauth.InvalidRequest},
		{"no client", nil, func(r *grant.CodeRequest) { r.ClientID = "" }, authorize.SealedCode, oauth.InvalidRequest},
		{"no verifier", nil, func(r *grant.CodeRequest) { r.Verifier = "" }, authorize.SealedCode, oauth.InvalidRequest},
		{"another verifier", nil, func(r *grant.CodeRequest) { r.Verifier = strings.Repeat("a", 43) }, authorize.SealedCode, oauth.InvalidGrant},
		{"another resource", nil, func(r *grant.CodeRequest) { r.Resources = []string{"https://bank.example.com"} }, authorize.SealedCode, oauth.InvalidTarget},
		{"a code that is too long", nil, func(r *grant.CodeRequest) { r.Code = strings.Repeat("a", authorize.MaxCode+1) }, authorize.SealedCode, oauth.InvalidRequest},
		{"a code that was changed", nil, func(r *grant.CodeRequest) { r.Code = r.Code[:len(r.Code)-6] + "AAAAAA" }, authorize.SealedCode, oauth.InvalidGrant},
		{"a value of another purpose", nil, nil, "sign-in consent", oauth.InvalidGrant},
		{"a client that is not declared any more", func(c *authorize.Code) { c.Request.Client = "bank" }, func(r *grant.CodeRequest) { r.ClientID = "bank" }, authorize.SealedCode, oauth.UnauthorizedClient},
		{"a redirect URI that is not declared any more", func(c *authorize.Code) { c.Request.RedirectURI = "https://old.example.com" },
			func(r *grant.CodeRequest) { r.RedirectURI = "https://old.example.com" }, authorize.SealedCode, oauth.UnauthorizedClient},
	} {
		r := replica.New(t, func(issuer *v1alpha1.JWTIssuer) {
			issuer.Spec.Login = &v1alpha1.LoginSpec{
				SessionNamespace: replica.Name, Passwords: &v1alpha1.PasswordLogin{SecretRef: v1alpha1.LocalSecretReference{Name: "people"}},
				Clients: []v1alpha1.LoginClient{{ID: "shop", RedirectURIs: []string{shopURI}, Audiences: []string{replica.Audience}, Scopes: []string{"openid"}}},
			}
		})
		r.PutPasswords("", "ada", "correct horse")
		code := good(r)
		if c.code != nil {
			c.code(code)
		}
		issuer := r.Found()
		sealed, err := issuer.Box(c.purpose, "").Seal(code, r.Clock.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		request := &grant.CodeRequest{Code: sealed, ClientID: "shop", RedirectURI: shopURI, Verifier: codeVerifier}
		if c.asked != nil {
			c.asked(request)
		}
		outcome := &grant.Outcome{}
		answer, err := r.Grants.Token(t.Context(), issuer, request, outcome)
		var refused *oauth.Error
		switch {
		case c.want == "" && (err != nil || answer.IDToken == "" || answer.RefreshToken == "" || outcome.Subject != "ada"):
			t.Errorf("%s: %+v, %v", c.name, answer, err)
		case c.want != "" && (!errors.As(err, &refused) || refused.Code != c.want):
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// TestACodeOfAnUnknownKey checks that it is no verdict.
func TestACodeOfAnUnknownKey(t *testing.T) {
	withClient := func(issuer *v1alpha1.JWTIssuer) {
		issuer.Spec.Login = &v1alpha1.LoginSpec{Clients: []v1alpha1.LoginClient{{ID: "shop", RedirectURIs: []string{shopURI}, Audiences: []string{replica.Audience}}}}
	}
	r, other := replica.New(t, withClient), replica.New(t, withClient)
	sealed, err := other.Found().Box(authorize.SealedCode, "").Seal(&authorize.Code{}, r.Clock.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	request := &grant.CodeRequest{Code: sealed, ClientID: "shop", Verifier: codeVerifier}
	if _, err := r.Grants.Token(t.Context(), r.Found(), request, &grant.Outcome{}); !errors.Is(err, upstream.ErrUnavailable) {
		t.Errorf("the answer is %v", err)
	}
}
