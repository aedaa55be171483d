package service

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

const userPassword = "correct horse"

// signInIssuer creates an issuer with a client for browsers, one for devices and a provider, whose sessions follow each token at its first use,
// and waits until a manager has made its keys. The users have userPassword.
func (h *fixture) signInIssuer(provider *v1alpha1.OIDCProvider, users ...string) {
	h.T.Helper()
	line := strings.TrimPrefix(htpasswd(h.T, "x", userPassword), "x")
	lines := ""
	for _, user := range users {
		lines += user + line
	}
	file := h.passwordFile(lines)
	h.Issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Login = &v1alpha1.LoginSpec{
			SessionNamespace: h.Name, Passwords: &v1alpha1.PasswordLogin{SecretRef: v1alpha1.LocalSecretReference{Name: file}}, SessionRetryGrace: &metav1.Duration{},
			Clients: []v1alpha1.LoginClient{
				{
					ID: "shop", RedirectURIs: []string{shopURI}, Audiences: []string{harness.Audience}, Scopes: []string{"openid"},
					AllowedOrigins: []string{shopOrigin},
				},
				{ID: "tv", Audiences: []string{harness.Audience}, Device: &v1alpha1.DeviceClient{CodePrefix: "TV"}},
			},
		}
		if provider != nil {
			i.Spec.Login.OIDC = []v1alpha1.OIDCProvider{*provider}
		}
	})
	h.AwaitIssuer(h.Name)
}

// attempt is one sign-in of a person, step by step, with what each step leaves for the next.
type attempt struct {
	*person
	service  *operator.Replica
	provider *provider
	// user is the name that the person signs in with, and subject what the tokens say.
	user, subject string
	// client is the client_id that refreshes.
	client string
	// page is the last page, and back is the query that the last page led to.
	page, pushed string
	back         url.Values
	device       *operator.Answer
	tokens       *operator.Answer
}

// newAttempt begins a sign-in of a user at a service.
func (h *fixture) newAttempt(service *operator.Replica, user string) *attempt {
	return &attempt{person: &person{h: h, replicas: []*operator.Replica{service}}, service: service, user: user, subject: user, client: "shop"}
}

// step is one request of a sign-in.
type step struct {
	name string
	take func(*attempt) error
}

// The steps of sign-ins. Each error says what the person or the client sees instead of the next step.
var (
	push         = step{"the pushed request", (*attempt).push}
	openShop     = step{"the login page", func(a *attempt) error { return a.browse(http.MethodGet, "/authorize?"+asked().Encode(), nil) }}
	openPushed   = step{"the login page", (*attempt).openPushed}
	typePassword = step{"the password", func(a *attempt) error {
		return a.submit("/authorize/password", url.Values{"username": {a.user}, "password": {userPassword}})
	}}
	chooseProvider = step{"the choice of the provider", (*attempt).choose}
	returnFrom     = step{"the return from the provider", func(a *attempt) error {
		return a.browse(http.MethodGet, a.provider.callback()+"?"+a.back.Encode(), nil)
	}}
	allow        = step{"the consent", func(a *attempt) error { return a.submit("/authorize/consent", url.Values{"answer": {"allow"}}) }}
	redeemCode   = step{"the redemption", func(a *attempt) error { return a.first("/token", redemption(a.back.Get("code"))) }}
	refreshOnce  = step{"the refresh", (*attempt).refresh}
	refreshAgain = step{"the second refresh", (*attempt).refresh}

	beginDevice = step{"the device's request", (*attempt).begin}
	openDevice  = step{"the page for devices", (*attempt).openLink}
	typeCode    = step{"the code", func(a *attempt) error {
		return a.submit("/device/code", url.Values{"user_code": {a.device.Text("user_code")}})
	}}
	allowDevice = step{"the decision", func(a *attempt) error { return a.submit("/device/decision", url.Values{"answer": {"allow"}}) }}
	claimTokens = step{"the claim", (*attempt).claim}
)

var heading = regexp.MustCompile(`<h1>([^<]*)</h1>`)

// browse sends a request of the browser, and keeps the page or the query that it leads to. The error of another page is its status and its
// heading.
func (a *attempt) browse(method, path string, form url.Values) error {
	answer, page, err := a.ask(method, path, form)
	switch {
	case err != nil:
		return err
	case answer.StatusCode == http.StatusOK:
		a.page = page
		return nil
	case answer.StatusCode != http.StatusSeeOther:
		said := heading.FindStringSubmatch(page)
		if said == nil {
			return fmt.Errorf("%d without a page: %s", answer.StatusCode, page)
		}
		return fmt.Errorf("%d %s", answer.StatusCode, html.UnescapeString(said[1]))
	}
	to, err := url.Parse(answer.Header.Get("Location"))
	if err != nil {
		return err
	}
	if a.back = to.Query(); a.back.Has("error") {
		return errors.New("back with " + a.back.Get("error"))
	}
	return nil
}

// submit sends the form of the last page.
func (a *attempt) submit(path string, form url.Values) error {
	form.Set("step", a.stepOf(a.page))
	return a.browse(http.MethodPost, path, form)
}

// post sends a request of the application or the device.
func (a *attempt) post(path string, form url.Values) (*operator.Answer, error) {
	request, err := http.NewRequestWithContext(a.h.Ctx, http.MethodPost, a.h.URL()+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return operator.Do(a.service.Client, request)
}

func (a *attempt) push() error {
	got, err := a.post("/par", asked())
	if err != nil {
		return err
	}
	if a.pushed = got.Text("request_uri"); got.Status != http.StatusCreated {
		return errors.New(got.Outcome())
	}
	return nil
}

func (a *attempt) openPushed() error {
	query := url.Values{"client_id": {"shop"}, "request_uri": {a.pushed}}
	return a.browse(http.MethodGet, "/authorize?"+query.Encode(), nil)
}

// choose chooses the provider, and signs in there.
func (a *attempt) choose() error {
	if err := a.submit("/authorize/provider", url.Values{"provider": {endpoint.ProviderID(a.provider.URL)}}); err != nil {
		return err
	}
	a.back = a.provider.signIn(a.page, a.user)
	a.subject = a.provider.entry().SubjectPrefix + a.user
	return nil
}

// first takes an answer with the first tokens of a session.
func (a *attempt) first(path string, form url.Values) error {
	got, err := a.post(path, form)
	if err != nil {
		return err
	}
	if got.Outcome() != "200" {
		return errors.New(got.Outcome())
	}
	a.tokens = got
	return nil
}

func (a *attempt) refresh() error {
	before := a.tokens.Text("refresh_token")
	err := a.first("/token", url.Values{"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {before}, "client_id": {a.client}})
	if err == nil && a.tokens.Text("refresh_token") == before {
		return errors.New("the refresh token was not followed")
	}
	return err
}

func (a *attempt) begin() error {
	a.client = "tv"
	got, err := a.post("/device_authorization", url.Values{"client_id": {a.client}})
	if a.device = got; err == nil && got.Outcome() != "200" {
		err = errors.New(got.Outcome())
	}
	return err
}

// openLink opens the link that the device shows.
func (a *attempt) openLink() error {
	link, err := url.Parse(a.device.Text("verification_uri_complete"))
	if err != nil {
		return err
	}
	return a.browse(http.MethodGet, "/device?"+link.RawQuery, nil)
}

// claim polls until the service knows the decision. A poll at once after it can reach a replica that does not know it yet.
func (a *attempt) claim() (err error) {
	a.h.Eventually(func() string {
		if err = a.first("/token", url.Values{
			"grant_type": {oauth.GrantDeviceCode}, "device_code": {a.device.Text("device_code")}, "client_id": {a.client},
		}); err != nil {
			return err.Error()
		}
		return "200"
	}).ShouldNot(gomega.BeElementOf("400 authorization_pending", "400 slow_down"))
	return err
}

// checkSessions checks that the person has exactly one session that has not ended, and no others but those that ended.
func (a *attempt) checkSessions(ended int) {
	a.h.T.Helper()
	var living, over []string
	for _, session := range a.h.sessions() {
		switch {
		case session.Spec.Subject != a.subject:
		case session.Status.RevokedAt != nil:
			over = append(over, session.Name)
		default:
			living = append(living, session.Name)
		}
	}
	a.h.Expect(living).To(gomega.HaveLen(1), "the sessions of %s", a.subject)
	a.h.Expect(over).To(gomega.HaveLen(ended), "the sessions of %s that have ended", a.subject)
}
