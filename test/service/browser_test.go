package service

import (
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

const (
	shopOrigin = "https://shop.example.com"
	shopURI    = shopOrigin + "/callback"
)

// pagesHost is the host of the url of all issuers of the suite. The pages are served there only.
const pagesHost = "tokens.example.com"

// The example of RFC 7636 appendix B.
const (
	codeVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	codeChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// asked returns a request of the shop for a code.
func asked() url.Values {
	return url.Values{
		"client_id": {"shop"}, "redirect_uri": {shopURI}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s1"},
		"code_challenge": {codeChallenge}, "code_challenge_method": {"S256"},
	}
}

// redemption returns the request of the shop for the tokens of a code.
func redemption(code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "client_id": {"shop"}, "redirect_uri": {shopURI}, "code_verifier": {codeVerifier},
	}
}

// person is a person with a browser, whose requests go to the replicas in turn.
type person struct {
	h        *fixture
	replicas []*operator.Replica
	turn     int
	cookies  []*http.Cookie
}

// visit is ask for a request that must be answered.
func (p *person) visit(method, path string, form url.Values, change ...func(*http.Request)) (*http.Response, string) {
	p.h.T.Helper()
	answer, page, err := p.ask(method, path, form, change...)
	p.h.Expect(err).NotTo(gomega.HaveOccurred())
	return answer, page
}

// ask sends a request below the issuer's URL, and returns the answer with the page. It follows no redirect. The error says that there is no
// answer.
func (p *person) ask(method, path string, form url.Values, change ...func(*http.Request)) (*http.Response, string, error) {
	p.h.T.Helper()
	r := p.replicas[p.turn%len(p.replicas)]
	p.turn++
	request, err := http.NewRequestWithContext(p.h.Ctx, method, r.Server.URL+"/"+p.h.Name+path, strings.NewReader(form.Encode()))
	p.h.Expect(err).NotTo(gomega.HaveOccurred())
	request.Host = pagesHost
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for _, cookie := range p.cookies {
		request.AddCookie(cookie)
	}
	for _, one := range change {
		one(request)
	}
	following := *r.Client
	following.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := following.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	page, err := io.ReadAll(answer.Body)
	if cookies := answer.Cookies(); len(cookies) > 0 {
		p.cookies = cookies
	}
	return answer, string(page), err
}

var stepField = regexp.MustCompile(`name="step" value="([^"]+)"`)

func (p *person) stepOf(page string) string {
	p.h.T.Helper()
	found := stepField.FindStringSubmatch(page)
	p.h.Expect(found).To(gomega.HaveLen(2), page)
	return html.UnescapeString(found[1])
}

// code signs the person in, allows the access, and returns the code.
func (p *person) code(user, password string) string {
	p.h.T.Helper()
	_, login := p.visit(http.MethodGet, "/authorize?"+asked().Encode(), nil)
	_, consent := p.visit(http.MethodPost, "/authorize/password", url.Values{"step": {p.stepOf(login)}, "username": {user}, "password": {password}})
	back, page := p.visit(http.MethodPost, "/authorize/consent", url.Values{"step": {p.stepOf(consent)}, "answer": {"allow"}})
	p.h.Expect(back.StatusCode).To(gomega.Equal(http.StatusSeeOther), page)
	to, err := url.Parse(back.Header.Get("Location"))
	p.h.Expect(err).NotTo(gomega.HaveOccurred())
	p.h.Expect(to.Query().Get("iss")).To(gomega.Equal(p.h.URL()))
	return to.Query().Get("code")
}

// newShop returns a fixture with two replicas and an issuer at which Jane signs in to the shop.
func newShop(t *testing.T) (*fixture, *v1alpha1.JWTIssuer, []*operator.Replica) {
	t.Helper()
	h := newFixture(t, clock.RealClock{})
	file := h.passwordFile(htpasswd(t, "jane", "correct horse"))
	issuer := h.Issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Login = &v1alpha1.LoginSpec{
			SessionNamespace: h.Name, Passwords: &v1alpha1.PasswordLogin{SecretRef: v1alpha1.LocalSecretReference{Name: file}},
			Clients: []v1alpha1.LoginClient{{ID: "shop", RedirectURIs: []string{shopURI}, Audiences: []string{harness.Audience}, Scopes: []string{"openid"}}},
		}
	})
	h.Manage()
	replicas := []*operator.Replica{h.Replica(), h.Replica()}
	h.serves(replicas...)
	return h, issuer, replicas
}

// TestAPersonSignsInWithABrowser checks the whole way with the rights of the token service: the operator adds the seal ring when clients
// are declared and removes it with them, the steps go to two replicas in turn, and the code gives one session.
func TestAPersonSignsInWithABrowser(t *testing.T) {
	h, issuer, replicas := newShop(t)
	jane := &person{h: h, replicas: replicas}
	code := jane.code("jane", "correct horse")
	h.Expect(h.sessions()).To(gomega.BeEmpty(), "before the code is redeemed nothing is stored")
	redeem := func(r *operator.Replica, verifier string) *operator.Answer {
		form := redemption(code)
		form.Set("code_verifier", verifier)
		return h.Post(r, "/token", form)
	}
	tokens := redeem(replicas[0], codeVerifier)
	h.Expect(tokens.Outcome()).To(gomega.Equal("200"), tokens.Raw)
	h.Expect(tokens.Text("id_token")).NotTo(gomega.BeEmpty())
	session := h.sessions()[0]
	h.Expect(session.Status.Session).To(gomega.HaveField("Client", "shop"))
	h.Expect(session.Spec.Scopes).To(gomega.Equal([]string{"openid"}))
	next := h.Refresh(replicas[1], tokens.Text("refresh_token"), "client_id", "shop")
	h.Expect(next.Outcome()).To(gomega.Equal("200"), next.Raw)

	h.Expect(redeem(replicas[1], strings.Repeat("a", 43)).Outcome()).To(gomega.Equal("400 invalid_grant"))
	h.Expect(h.Refresh(replicas[0], next.Text("refresh_token")).Outcome()).To(gomega.Equal("200"), "a redemption without the verifier ends nothing")
	h.Expect(redeem(replicas[1], codeVerifier).Outcome()).To(gomega.Equal("400 invalid_grant"))
	h.Expect(h.Refresh(replicas[1], next.Text("refresh_token")).Outcome()).To(gomega.Equal("400 invalid_grant"), "the second redemption ends the session")
	h.Expect(h.sessions()[0].Status.RevocationReason).To(gomega.Equal(v1alpha1.RevokedReuseDetected))

	sealed := func() (n int) {
		var read v1alpha1.JWTIssuer
		h.Expect(h.Admin.Get(h.Ctx, client.ObjectKeyFromObject(issuer), &read)).To(gomega.Succeed())
		for _, key := range read.Status.Keys {
			if key.Use == v1alpha1.KeyUse(keyring.Seal) && key.State != v1alpha1.KeyState(keyring.Retiring) {
				n++
			}
		}
		return n
	}
	h.Expect(sealed()).To(gomega.Equal(2), "an active and a pending seal key")
	without := issuer.DeepCopy()
	h.Expect(h.Admin.Get(h.Ctx, client.ObjectKeyFromObject(issuer), without)).To(gomega.Succeed())
	without.Spec.Login.Clients = nil
	h.Expect(h.Admin.Update(h.Ctx, without)).To(gomega.Succeed())
	h.Eventually(sealed).Should(gomega.BeZero(), "no key seals after the clients are gone")
}
