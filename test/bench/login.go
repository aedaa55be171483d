package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/crypto/bcrypt"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

const (
	// loginAtMost is the limit for the processor time of a login, as a multiple of the floor's.
	loginAtMost = 1.5
	// writesPerLogin are the creation of the session and its first token.
	writesPerLogin = 2
	loginTurns     = 7
	// quickLogins is how many logins with a quick hash there are for each one with a hash of the usual cost.
	quickLogins = 3
	// firstLogins are not measured.
	firstLogins = 20

	loginIssuer   = "people"
	loginClientID = "shop"
	loginRedirect = "https://shop.example.com/callback"
	loginAudience = "https://orders.example.com"
	loginScope    = "orders:read"
	loginPassword = "correct horse battery staple"
)

// The users of logins, by the cost of their hash: that of bcrypt's default, and the lowest.
const (
	usualUser = "usual"
	quickUser = "quick"
)

// makeLoginIssuer creates an issuer with a client and users, and leaves the manager running, which makes its keys.
func (l *lab) makeLoginIssuer(ctx context.Context) error {
	lines, err := l.htpasswd()
	if err != nil {
		return err
	}
	at, err := l.loginURL()
	if err != nil {
		return err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: loginIssuer + "-passwords"},
		StringData: map[string]string{identity.PasswordFile: lines},
	}
	issuer := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: loginIssuer}, Spec: v1alpha1.JWTIssuerSpec{
		URL:    at,
		Policy: &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Audiences: []string{loginAudience}, Scopes: []string{loginScope}}}},
		Login: &v1alpha1.LoginSpec{
			Passwords: &v1alpha1.PasswordLogin{SecretRef: v1alpha1.LocalSecretReference{Name: secret.Name}},
			Clients: []v1alpha1.LoginClient{{
				ID: loginClientID, Name: "The shop", RedirectURIs: []string{loginRedirect}, Audiences: []string{loginAudience},
				Scopes: []string{v1alpha1.ScopeOpenID, loginScope},
			}},
		},
	}}
	if err := errors.Join(l.admin.Create(ctx, secret), l.admin.Create(ctx, issuer)); err != nil {
		return err
	}
	if err := l.startManager(ctx); err != nil {
		return err
	}
	return cluster.EnsureIssuer(ctx, l.cluster, loginIssuer)
}

// loginURL is below the URL of the first replica: a floor gets the same requests.
func (l *lab) loginURL() (string, error) {
	base, err := l.cluster.TokenServerURL(1)
	return base + "/" + loginIssuer, err
}

// htpasswd returns the lines of all users. Those of one cost share a hash.
func (l *lab) htpasswd() (string, error) {
	var lines strings.Builder
	for user, cost := range map[string]int{usualUser: bcrypt.DefaultCost, quickUser: bcrypt.MinCost} {
		hash, err := bcrypt.GenerateFromPassword([]byte(loginPassword), cost)
		if err != nil {
			return "", err
		}
		for n := range quickLogins*l.settings.logins + firstLogins {
			fmt.Fprintf(&lines, "%s:%s\n", loginUser(user, int64(n)), hash)
		}
	}
	return lines.String(), nil
}

func loginUser(kind string, number int64) string { return fmt.Sprintf("%s-%05d", kind, number) }

// measureLogin compares the processor time of a complete login with that of the floor, and counts the writes.
func measureLogin(ctx context.Context, s *service, r *report) error {
	if _, err := s.exchangedKeys(ctx); err != nil {
		return err
	}
	return s.onOneCore(ctx, s.recordLogin, func(pair *pair) error { return s.compareLogins(ctx, pair, r) })
}

func (s *service) compareLogins(ctx context.Context, pair *pair, r *report) error {
	issuer, err := s.loginURL()
	if err != nil {
		return err
	}
	logins := func(kind string) func(server *served, from, count int64) error {
		return func(server *served, from, count int64) error {
			person := &loginClient{address: server.address, issuer: issuer}
			for n := from; n < from+count; n++ {
				if err := person.signIn(ctx, loginUser(kind, n), n); err != nil {
					return err
				}
			}
			return nil
		}
	}
	before, err := s.countWrites(ctx)
	if err != nil {
		return err
	}
	usual, err := pair.turns(loginTurns, int64(s.settings.logins/loginTurns), logins(usualUser))
	if err != nil {
		return err
	}
	after, err := s.countWrites(ctx)
	if err != nil {
		return err
	}
	quick, err := pair.turns(loginTurns, int64(quickLogins*s.settings.logins/loginTurns), logins(quickUser))
	if err != nil {
		return err
	}
	made := float64(s.settings.logins / loginTurns * loginTurns)
	s.made += int(made) + quickLogins*s.settings.logins + firstLogins
	r.add(usual.loginFigure(quick))
	written := after.since(before)
	writes := (written.keys + written.statuses + written.secrets) / made
	r.add(&figure{
		what: "API writes per login", measured: fmt.Sprintf("%.3f", writes), limit: fmt.Sprint(writesPerLogin), ratio: fmt.Sprintf("%.3f", writes/writesPerLogin),
		target: fmt.Sprint(writesPerLogin), met: writes == writesPerLogin,
		note: fmt.Sprintf("%.0f of refresh keys and %.0f of status for %.0f logins", written.keys, written.statuses, made),
	})
	return nil
}

func (c *cost) loginFigure(quick *cost) *figure {
	milliseconds := func(seconds float64) string { return fmt.Sprintf("%.1f ms", seconds*1e3) }
	ratio := c.service / c.floor
	return &figure{
		what: "processor time of a login with a browser", measured: milliseconds(c.service), limit: milliseconds(c.floor), ratio: fmt.Sprintf("%.2f", ratio),
		target: fmt.Sprintf("at most %.2f", loginAtMost), met: ratio <= loginAtMost,
		note: fmt.Sprintf("with one bcrypt of cost %d and three signatures, one login after another; %s; with a bcrypt of cost %d, %s against %s (%.2f)",
			bcrypt.DefaultCost, c.spread(), bcrypt.MinCost, milliseconds(quick.service), milliseconds(quick.floor), quick.service/quick.floor),
	}
}

// recordLogin is the recording of a login, with the lines of the users. Further logins follow, so that the measured ones find all caches filled.
func (s *service) recordLogin(ctx context.Context) ([]string, error) {
	issuer, err := s.loginURL()
	if err != nil {
		return nil, err
	}
	address, err := s.address(0)
	if err != nil {
		return nil, err
	}
	passwords := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: loginIssuer + "-passwords"}}
	if err := s.admin.Get(ctx, client.ObjectKeyFromObject(passwords), passwords); err != nil {
		return nil, err
	}
	files := map[string][]byte{identity.PasswordFile: passwords.Data[identity.PasswordFile]}
	person := &loginClient{address: address, issuer: issuer, keep: func(step string, answer *http.Response, body []byte) error {
		header, err := httputil.DumpResponse(answer, false)
		files[step] = slices.Concat(header, body)
		files["answer.json"] = body
		return err
	}}
	for n := range int64(firstLogins) {
		number := int64(quickLogins*s.settings.logins) + n
		if err := person.signIn(ctx, loginUser(quickUser, number), number); err != nil {
			return nil, err
		}
	}
	return []string{"-login=" + s.dir, "-answer=" + s.file("answer.json")}, s.writeFiles(files)
}

// loginClient is a person with a browser, and the application.
type loginClient struct {
	address, issuer string
	// keep is called with each answer and the name of its step; nil for none.
	keep func(step string, answer *http.Response, body []byte) error
}

// The steps of a login. The floor has files of these names.
const (
	stepAuthorize = "authorize"
	stepPassword  = "password"
	stepConsent   = "consent"
	stepToken     = "token"
)

// The example of RFC 7636 appendix B.
const (
	codeVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	codeChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// signIn is a complete login: three requests over a connection of the browser, and one over a connection of the application. Each login comes from an
// address of its own, since tries are limited for each.
func (c *loginClient) signIn(ctx context.Context, user string, number int64) error {
	browser, application := c.connect(number), c.connect(number)
	defer browser.CloseIdleConnections()
	defer application.CloseIdleConnections()
	query := url.Values{
		"client_id": {loginClientID}, "redirect_uri": {loginRedirect}, "response_type": {"code"}, "scope": {v1alpha1.ScopeOpenID + " " + loginScope}, "state": {"s1"},
		"nonce": {"n1"}, "code_challenge": {codeChallenge}, "code_challenge_method": {"S256"},
	}
	page, err := c.do(ctx, browser, stepAuthorize, http.MethodGet, "/authorize?"+query.Encode(), nil, nil)
	if err != nil {
		return err
	}
	cookies := page.answer.Cookies()
	form := url.Values{"step": {page.step()}, "username": {user}, "password": {loginPassword}}
	if page, err = c.do(ctx, browser, stepPassword, http.MethodPost, "/authorize/password", form, cookies); err != nil {
		return err
	}
	form = url.Values{"step": {page.step()}, "answer": {"allow"}}
	if page, err = c.do(ctx, browser, stepConsent, http.MethodPost, "/authorize/consent", form, cookies); err != nil {
		return err
	}
	back, err := page.answer.Location()
	if err != nil {
		return err
	}
	_, err = c.do(ctx, application, stepToken, http.MethodPost, "/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "client_id": {loginClientID}, "redirect_uri": {loginRedirect},
		"code_verifier": {codeVerifier},
	}, nil)
	return err
}

// connect returns a transport of one connection, from the address of a number.
func (c *loginClient) connect(number int64) *http.Transport {
	const addressesBelow = 1 << 8
	from := net.IPv4(127, 2, byte(number/addressesBelow), byte(number%addressesBelow))
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	return &http.Transport{
		TLSClientConfig: clientTLS(), MaxConnsPerHost: 1,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, c.address)
		},
	}
}

// loginAnswer is the answer to one step.
type loginAnswer struct {
	answer *http.Response
	body   string
}

var stepField = regexp.MustCompile(`name="step" value="([^"]+)"`)

func (a *loginAnswer) step() string {
	found := stepField.FindStringSubmatch(a.body)
	if found == nil {
		return ""
	}
	return html.UnescapeString(found[1])
}

func (c *loginClient) do(
	ctx context.Context, over http.RoundTripper, name, method, path string, form url.Values, cookies []*http.Cookie,
) (*loginAnswer, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for _, cookie := range cookies {
		request.AddCookie(cookie)
	}
	answer, err := over.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	want := http.StatusOK
	if name == stepConsent {
		want = http.StatusSeeOther
	}
	if answer.StatusCode != want {
		return nil, fmt.Errorf("%s: answered %s: %.300s", name, answer.Status, body)
	}
	if c.keep != nil {
		err = c.keep(name, answer, body)
	}
	return &loginAnswer{answer, string(body)}, err
}
