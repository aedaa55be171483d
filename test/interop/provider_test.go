package interop

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/onsi/gomega"
	"golang.org/x/oauth2"

	"github.com/refreshkeys/refreshkeys/internal/authority"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

const (
	// The provider's clients: the issuer accepts id_tokens of the first one.
	providerClient, otherClient = "till", "wiki"
	// callback is the redirect URI; no server listens there.
	callback = "https://till.example.com/callback"
)

// provider is an OpenID Connect provider in its own process.
type provider struct {
	*gomega.WithT
	t      *testing.T
	issuer string
	// bundle is the certificate authority of the provider.
	bundle []byte
	// passwords are the passwords of its users, by name.
	passwords map[string]string
	process   *exec.Cmd
	http      *http.Client
}

// newProvider builds and starts a provider with these users.
func newProvider(t *testing.T, users ...user) *provider {
	t.Helper()
	pair, bundle, err := newCertificate(host)
	if err != nil {
		t.Fatal(err)
	}
	return newProviderWith(t, pair, bundle, users, "-redirect", callback, providerClient, otherClient)
}

// newProviderWith builds and starts a provider with a certificate, users, flags and names of clients.
func newProviderWith(t *testing.T, pair authority.Pair, bundle []byte, users []user, flags ...string) *provider {
	t.Helper()
	scratch := t.TempDir()
	p := &provider{WithT: gomega.NewWithT(t), t: t, bundle: bundle, passwords: map[string]string{}}
	known := map[string]user{}
	for _, one := range users {
		one.Password = rand.Text()
		known[one.ID], p.passwords[one.Username] = one, one.Password
	}
	people, err := json.Marshal(known)
	p.Expect(err).NotTo(gomega.HaveOccurred())
	for name, content := range map[string][]byte{"tls.crt": pair.Certificate, "tls.key": pair.Key, "users.json": people} {
		p.Expect(os.WriteFile(filepath.Join(scratch, name), content, 0o600)).To(gomega.Succeed())
	}
	program := filepath.Join(scratch, "provider")
	p.Expect(cluster.Build(p.t.Context(), "provider", ".", program)).To(gomega.Succeed())
	p.start(exec.Command(program, append([]string{ //nolint:gosec // built above
		"-until-eof", "-certificate", filepath.Join(scratch, "tls.crt"), "-key", filepath.Join(scratch, "tls.key"), "-users", filepath.Join(scratch, "users.json"),
	}, flags...)...))
	return p
}

// start runs the provider until the test ends, or stop.
func (p *provider) start(process *exec.Cmd) {
	p.t.Helper()
	var stderr bytes.Buffer
	process.Stderr = &stderr
	// Nothing is written to it. When the test process ends, it is closed, and the provider ends.
	_, err := process.StdinPipe()
	p.Expect(err).NotTo(gomega.HaveOccurred())
	stdout, err := process.StdoutPipe()
	p.Expect(err).NotTo(gomega.HaveOccurred())
	p.Expect(process.Start()).To(gomega.Succeed())
	p.process = process
	p.t.Cleanup(p.stop)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		p.stop()
		p.t.Fatalf("the provider does not start: %v: %s", err, stderr.String())
	}
	p.issuer = strings.TrimSpace(line)

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.bundle)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	p.t.Cleanup(transport.CloseIdleConnections)
	p.http = &http.Client{Transport: transport, Timeout: patience}
}

// stop ends the provider, once.
func (p *provider) stop() {
	if p.process.ProcessState == nil {
		_ = p.process.Process.Kill()
		_ = p.process.Wait()
	}
}

// idToken returns the id_token that a client of the provider gets after a person signs in with a browser.
func (p *provider) idToken(clientID, name string) string {
	p.t.Helper()
	ctx := context.WithValue(p.t.Context(), oauth2.HTTPClient, p.http)
	found, err := oidc.NewProvider(ctx, p.issuer)
	p.Expect(err).NotTo(gomega.HaveOccurred())
	config := &oauth2.Config{ClientID: clientID, Endpoint: found.Endpoint(), RedirectURL: callback, Scopes: []string{oidc.ScopeOpenID, "profile", "email"}}
	state := rand.Text()
	arrived, err := p.browse(config.AuthCodeURL(state, oidc.Nonce(rand.Text()), oauth2.SetAuthURLParam("response_type", "id_token")), name)
	p.Expect(err).NotTo(gomega.HaveOccurred())
	given, err := url.ParseQuery(arrived.Fragment)
	p.Expect(err).NotTo(gomega.HaveOccurred())
	p.Expect(given.Get("state")).To(gomega.Equal(state), "%s %s", given.Get("error"), given.Get("error_description"))
	p.Expect(given.Has("id_token")).To(gomega.BeTrue(), "the provider gives no id_token")
	return given.Get("id_token")
}

// browse follows a link to the provider's page, submits the form there, and returns the last URL.
func (p *provider) browse(link, name string) (*url.URL, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	browser := &http.Client{Transport: p.http.Transport, Timeout: patience, Jar: jar, CheckRedirect: func(next *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(next.URL.String(), callback) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	page, err := browser.Get(link)
	if err != nil {
		return nil, err
	}
	_ = page.Body.Close()
	left, err := browser.PostForm(p.loginForm(page.Request.URL, name))
	if err != nil {
		return nil, err
	}
	_ = left.Body.Close()
	if left.StatusCode != http.StatusFound {
		return nil, errors.New("the provider's page does not accept the login:  " + left.Status)
	}
	return left.Location()
}

// loginForm returns where the form of the provider's page is sent, and the form with which a person signs in.
func (p *provider) loginForm(page *url.URL, name string) (action string, form url.Values) {
	return page.ResolveReference(&url.URL{Path: page.Path}).String(), url.Values{
		"id": {page.Query().Get("authRequestID")}, "username": {name}, "password": {p.passwords[name]},
	}
}

// user is a user of the provider, in the format of its example.
type user struct {
	ID, Username, Password, FirstName, LastName, Email, PreferredLanguage string
	EmailVerified                                                         bool
}

func newUser(name, language string, emailVerified bool) user {
	return user{
		ID: "id-" + name, Username: name, FirstName: strings.ToUpper(name[:1]) + name[1:], LastName: "Miller",
		Email: name + "@example.com", PreferredLanguage: language, EmailVerified: emailVerified,
	}
}
