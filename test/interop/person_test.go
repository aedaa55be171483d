package interop

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/onsi/gomega"
)

// The name and the password of the person in the installation of withPeople.
const (
	personName     = "jane"
	personPassword = "correct horse"
)

// person is a person with a browser that runs no scripts. The browser follows redirects to this machine, and stops before those to
// other hosts.
type person struct {
	*gomega.WithT
	t       *testing.T
	browser *http.Client
	// at is where the browser is, or before which it stopped.
	at *url.URL
	// status and page are the last answer.
	status int
	page   string
}

// person returns a person with a browser without cookies.
func (h *fixture) person() *person {
	h.T.Helper()
	jar, err := cookiejar.New(nil)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return &person{WithT: h.WithT, t: h.T, browser: &http.Client{
		Transport: asBrowser{h.http.Transport}, Timeout: patience, Jar: jar,
		CheckRedirect: func(next *http.Request, _ []*http.Request) error {
			if next.URL.Hostname() != host {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}}
}

// open opens a link.
func (p *person) open(link string) {
	p.t.Helper()
	p.arrive(p.browser.Get(link))
}

// arrive takes the last answer.
func (p *person) arrive(answer *http.Response, err error) {
	p.t.Helper()
	p.Expect(err).NotTo(gomega.HaveOccurred())
	defer func() { _ = answer.Body.Close() }()
	page, err := io.ReadAll(answer.Body)
	p.Expect(err).NotTo(gomega.HaveOccurred())
	p.at, p.status, p.page = answer.Request.URL, answer.StatusCode, string(page)
	if stopped, err := answer.Location(); err == nil {
		p.at = stopped
	}
}

var (
	stepField  = regexp.MustCompile(`name="step" value="([^"]+)"`)
	formAction = regexp.MustCompile(`<form method="post" action="([^"]+)"`)
	codeField  = regexp.MustCompile(`name="user_code" value="([^"]+)"`)
)

// submit sends the first form of a page of the token service.
func (p *person) submit(form url.Values) {
	p.t.Helper()
	step, action := p.find(stepField), p.find(formAction)
	form.Set("step", step)
	p.arrive(p.browser.PostForm(action, form))
}

// find returns what the page has at the group of a pattern. The test fails without it.
func (p *person) find(pattern *regexp.Regexp) string {
	p.t.Helper()
	found := pattern.FindStringSubmatch(p.page)
	if found == nil {
		_, content, _ := strings.Cut(p.page, "</style>")
		p.t.Fatalf("the page at %s has no %s: %d %s", p.at.Path, pattern, p.status, withoutTokens(content))
	}
	return html.UnescapeString(found[1])
}

// signIn submits the login page.
func (p *person) signIn() {
	p.t.Helper()
	p.submit(url.Values{"username": {personName}, "password": {personPassword}})
}

// answer answers the question of a page: allow or deny.
func (p *person) answer(answer string) {
	p.t.Helper()
	p.submit(url.Values{"answer": {answer}})
}

// connect signs in at the link of a device, enters the code of the link, and answers.
func (p *person) connect(link, answer string) {
	p.t.Helper()
	p.open(link)
	p.signIn()
	p.submit(url.Values{"user_code": {p.find(codeField)}})
	p.answer(answer)
}

// withLogin returns what go-oidc discovers once the metadata have the authorization endpoint.
func (h *fixture) withLogin() *oidc.Provider {
	h.T.Helper()
	var provider *oidc.Provider
	h.Eventually(func() string {
		provider = h.discovery()
		return provider.Endpoint().AuthURL
	}).ShouldNot(gomega.BeEmpty(), "the metadata never names the authorization endpoint")
	return provider
}

// now brings the clock of the token service to the present.
func (h *fixture) now() { h.clock.SetTime(time.Now()) }
