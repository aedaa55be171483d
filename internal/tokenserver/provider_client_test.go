package tokenserver_test

import (
	"crypto/ecdsa"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgotesting "k8s.io/client-go/testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/memory"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

func jwksOf(key *ecdsa.PrivateKey) jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}}
}

// clientSecret has every character that must be encoded (RFC 6749 §2.3.1).
const clientSecret = `p:%+ä/ =&"\`

func withSecret(entry *v1alpha1.OIDCProvider) {
	entry.Client.SecretRef = &v1alpha1.LocalSecretReference{Name: "office"}
}

func withAssertion(entry *v1alpha1.OIDCProvider) {
	entry.Client.Assertion = &v1alpha1.ClientAssertion{}
}

func putSecret(t *testing.T, r *replica.Replica, data map[string][]byte) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: memory.Namespace, Name: "office"}, Data: data}
	if err := r.Clients.Tracker().Add(secret); err != nil {
		t.Fatal(err)
	}
}

// issueAssertions makes the API server issue tokens of the token service's ServiceAccount, and returns their audiences.
func issueAssertions(r *replica.Replica) *[]string {
	var audiences []string
	r.Clients.PrependReactor("create", "serviceaccounts", func(action clientgotesting.Action) (bool, runtime.Object, error) {
		asked, is := action.(clientgotesting.CreateActionImpl)
		if !is || asked.GetSubresource() != "token" || asked.GetNamespace() != memory.Namespace || asked.Name != replica.ServiceAccount {
			return false, nil, nil
		}
		request := asked.GetObject().(*authenticationv1.TokenRequest).DeepCopy()
		audiences = append(audiences, request.Spec.Audiences...)
		request.Status.Token = "assertion-for-" + request.Spec.Audiences[0]
		return true, request, nil
	})
	return &audiences
}

// TestClientAtAProvider checks how the token service authenticates at the token endpoint.
func TestClientAtAProvider(t *testing.T) {
	type check func(t *testing.T, p *upstreamProvider, sent *http.Request)
	secretInForm := func(t *testing.T, _ *upstreamProvider, sent *http.Request) {
		t.Helper()
		if sent.PostForm.Get("client_id") != "web" || sent.PostForm.Get("client_secret") != clientSecret || sent.Header.Get("Authorization") != "" {
			t.Errorf("%v %v", sent.Header, sent.PostForm)
		}
	}
	secretInHeader := func(t *testing.T, _ *upstreamProvider, sent *http.Request) {
		t.Helper()
		user, encoded, _ := sent.BasicAuth()
		secret, err := url.QueryUnescape(encoded)
		if err != nil || user != "web" || secret != clientSecret || sent.PostForm.Has("client_secret") {
			t.Errorf("%v %v", sent.Header, sent.PostForm)
		}
	}
	for _, c := range []struct {
		name    string
		entry   func(*v1alpha1.OIDCProvider)
		methods []string
		check   check
	}{
		{"a public client", func(*v1alpha1.OIDCProvider) {}, nil, func(t *testing.T, _ *upstreamProvider, sent *http.Request) {
			t.Helper()
			if sent.PostForm.Get("client_id") != "web" || sent.PostForm.Has("client_secret") || sent.PostForm.Has("client_assertion") || sent.Header.Get("Authorization") != "" {
				t.Errorf("%v %v", sent.Header, sent.PostForm)
			}
		}},
		{"a secret", withSecret, nil, secretInHeader},
		{"a secret, in both ways", withSecret, []string{"client_secret_post", "client_secret_basic"}, secretInHeader},
		{"a secret in the form", withSecret, []string{"client_secret_post"}, secretInForm},
		{"an assertion", withAssertion, nil, func(t *testing.T, p *upstreamProvider, sent *http.Request) {
			t.Helper()
			if sent.PostForm.Get("client_id") != "web" || sent.PostForm.Get("client_assertion") != "assertion-for-"+p.URL ||
				sent.PostForm.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || sent.Header.Get("Authorization") != "" {
				t.Errorf("%v %v", sent.Header, sent.PostForm)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, p := withProvider(t, c.entry)
			putSecret(t, r, map[string][]byte{"client-secret": []byte(clientSecret + "\n")})
			issueAssertions(r)
			p.set(func(p *upstreamProvider) {
				p.metadata = map[string]any{"token_endpoint_auth_methods_supported": c.methods}
			})
			b := open(t, r)
			if got := b.back(p, b.away(p)); got.Code != http.StatusOK {
				t.Fatalf("%d %s", got.Code, said(got))
			}
			c.check(t, p, p.requests()[0])
		})
	}
}

// TestAssertionsAreShared checks that the API server is asked for an assertion once in five minutes, however many people sign in.
func TestAssertionsAreShared(t *testing.T) {
	r, p := withProvider(t, withAssertion)
	issued := issueAssertions(r)
	b := open(t, r)
	for _, want := range []int{1, 1, 2} {
		if got := b.back(p, b.away(p)); got.Code != http.StatusOK || len(*issued) != want || (*issued)[0] != p.URL {
			t.Fatalf("%d %s: %q", got.Code, got.Body, *issued)
		}
		if want == 1 {
			r.Clock.SetTime(r.Clock.Now().Add(150 * time.Second))
		}
	}
}

// TestClientsWithoutAProof checks that nothing is sent to a provider without the declared proof, or with a token of the cluster.
func TestClientsWithoutAProof(t *testing.T) {
	for _, c := range []struct {
		name, says string
		entry      func(*v1alpha1.OIDCProvider)
		prepare    func(t *testing.T, r *replica.Replica)
	}{
		{"no Secret", "has no client-secret", withSecret, func(*testing.T, *replica.Replica) {}},
		{"another entry of the Secret", "has no client-secret", withSecret, func(t *testing.T, r *replica.Replica) {
			t.Helper()
			putSecret(t, r, map[string][]byte{"secret": []byte("x")})
		}},
		{"an assertion that the API server accepts", "no such token is sent", withAssertion, func(_ *testing.T, r *replica.Replica) {
			issueAssertions(r)
			r.Clients.PrependReactor("create", "tokenreviews", func(action clientgotesting.Action) (bool, runtime.Object, error) {
				review := action.(clientgotesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
				review.Status.Authenticated = true
				return true, review, nil
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, p := withProvider(t, c.entry)
			c.prepare(t, r)
			log := &logbook{}
			r.Server.Log = log.logger()
			b := open(t, r)
			got := b.back(p, b.away(p))
			if got.Code != http.StatusServiceUnavailable || len(p.requests()) != 0 || !strings.Contains(strings.Join(log.lines(), "\n"), c.says) {
				t.Errorf("%d, %d requests: %s", got.Code, len(p.requests()), log.lines())
			}
		})
	}
}

// TestButtons checks which ways to sign in the login page offers.
func TestButtons(t *testing.T) {
	r, p := withProvider(t, func(entry *v1alpha1.OIDCProvider) { entry.DisplayName = "" })
	b := open(t, r)
	page := b.begin().Body.String()
	host := strings.TrimPrefix(p.URL, "https://")
	if found := buttons.FindStringSubmatch(page); found == nil || found[2] != host || !strings.Contains(page, `class="or"`) || !strings.Contains(page, `type="password"`) {
		t.Errorf("both: %s", page)
	}
	passwords := r.Issuer.Spec.Login.Passwords
	r.Issuer.Spec.Login.Passwords = nil
	r.PutIssuer(r.Issuer, r.Rings)
	page = b.begin().Body.String()
	if !buttons.MatchString(page) || strings.Contains(page, `class="or"`) || strings.Contains(page, `type="password"`) {
		t.Errorf("only a provider: %s", page)
	}
	r.Issuer.Spec.Login.Passwords, r.Issuer.Spec.Login.OIDC[0].Client = passwords, nil
	r.PutIssuer(r.Issuer, r.Rings)
	page = b.begin().Body.String()
	if buttons.MatchString(page) || strings.Contains(page, `class="or"`) || strings.Contains(page, "/provider") || !strings.Contains(page, `type="password"`) {
		t.Errorf("a provider without a client: %s", page)
	}
}
