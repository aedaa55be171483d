package console

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// TestWherePublicKeysAreRead checks which server is asked for the public keys of an issuer, in which name, and what the page learns if it
// gives none.
func TestWherePublicKeysAreRead(t *testing.T) {
	const keys = `{"keys":[]}`
	for _, c := range []struct {
		name string
		// service: the console has the URL of a token service. issuer is the URL of the issuer; empty for that of the server.
		service bool
		issuer  string
		serves  http.HandlerFunc
		code    int
		says    string
		asked   string
	}{
		{"a service of several issuers", true, "https://tokens.example.com/people", nil, http.StatusOK, keys, "tokens.example.com/people/jwks.json"},
		{"the issuer's own URL", false, "", nil, http.StatusOK, keys, "SERVER/jwks.json"},
		{"an answer that is no JSON", true, "https://tokens.example.com", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
			http.StatusBadGateway, "answers 200", "tokens.example.com/jwks.json"},
		{"an answer that is too long", true, "https://tokens.example.com", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[` + strings.Repeat(" ", 1<<20) + `]}`))
		}, http.StatusBadGateway, "answers 200", "tokens.example.com/jwks.json"},
		{"an issuer that the service lacks", true, "https://tokens.example.com", http.NotFound, http.StatusBadGateway, "answers 404", "tokens.example.com/jwks.json"},
		{"a service that leads elsewhere", true, "https://tokens.example.com", http.RedirectHandler("https://elsewhere.example.com", http.StatusFound).ServeHTTP,
			http.StatusBadGateway, "answers 302", "tokens.example.com/jwks.json"},
		{"an issuer that this machine does not reach", false, "https://127.0.0.1:1/people", nil, http.StatusBadGateway,
			"https://127.0.0.1:1/people/jwks.json cannot be read from this machine", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := ""
			served := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = r.Host + r.URL.Path
				if r.Header.Get("Authorization")+r.Header.Get("Cookie") != "" {
					t.Error("the request has a credential")
				}
				if c.serves != nil {
					c.serves(w, r)
					return
				}
				_, _ = w.Write([]byte(keys))
			}))
			t.Cleanup(served.Close)
			at, err := url.Parse(served.URL)
			if err != nil {
				t.Fatal(err)
			}
			client := served.Client()
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			service := &TokenService{Client: client}
			if c.service {
				service.Base = at
			}
			if c.issuer == "" {
				c.issuer = served.URL
			}
			answer, body := publicKeysOf(t, service, c.issuer)
			if want := strings.ReplaceAll(c.asked, "SERVER", at.Host); answer != c.code || !strings.Contains(body, c.says) || asked != want {
				t.Errorf("%d %s, after a request for %q; want %d with %q, after %q", answer, body, asked, c.code, c.says, want)
			}
		})
	}
}

// TestPublicKeysWithoutATokenService checks what the page learns from a console that knows no token service.
func TestPublicKeysWithoutATokenService(t *testing.T) {
	code, body := publicKeysOf(t, nil, "https://tokens.example.com")
	var failure wire.Failure
	if err := json.Unmarshal([]byte(body), &failure); err != nil || code != http.StatusNotFound || !strings.Contains(failure.Message, "--token-service") {
		t.Errorf("%d %s, %v", code, body, err)
	}
}

// publicKeysOf returns what a console answers to the request for the public keys of an issuer.
func publicKeysOf(t *testing.T, service *TokenService, issuer string) (code int, body string) {
	t.Helper()
	f := newFixture(t, func(o *Options) { o.TokenService = service })
	session := f.signedIn(f.cluster.user("jane"))
	f.cluster.answer = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(&v1alpha1.JWTIssuer{
			TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "JWTIssuer"},
			ObjectMeta: metav1.ObjectMeta{Name: "people"}, Spec: v1alpha1.JWTIssuerSpec{URL: issuer},
		})
	}
	answer := f.do(call{method: http.MethodGet, path: "/api/issuers/people/jwks", session: session})
	return answer.StatusCode, bodyOf(t, answer)
}
