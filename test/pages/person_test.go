package pages

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/onsi/gomega"
)

// patience bounds a request of the browser.
const patience = 20 * time.Second

// openers are the commands with which programs open a browser on Linux and macOS. opener stands in for them: it sends what they open to
// the person of the test.
var openers = []string{"xdg-open", "open"}

const opener = "#!/bin/sh\nexec curl --silent --show-error --fail --noproxy '*' --data-urlencode \"opened=$1\" \"$OPENED\"\n"

// writeOpeners puts the commands into a folder.
func writeOpeners(folder string) error {
	for _, name := range openers {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(opener), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// person is a user with a browser, by default Jane, which has cookies, follows redirects and sends forms. Programs that open a browser open this one.
type person struct {
	h              *fixture
	name, password string
	browser        *http.Client
	trusted        *x509.CertPool
	// hosts are the addresses of host names that only this browser finds.
	hosts map[string]string
	// at is the URL of the page that the browser shows.
	at *url.URL
	// openings is the URL to which the commands in openers send what they open. It is the variable OPENED of their environment.
	openings string

	working sync.WaitGroup
	mu      sync.Mutex
	pages   int
	failed  []error
}

// newPerson returns a person whose browser trusts the certificate authority of the token service.
func newPerson(h *fixture, password string, authority []byte) *person {
	h.T.Helper()
	jar, err := cookiejar.New(nil)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	p := &person{h: h, name: "jane", password: password, trusted: x509.NewCertPool(), hosts: map[string]string{}}
	p.trusted.AppendCertsFromPEM(authority)
	dialer := &net.Dialer{Timeout: patience}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: p.trusted},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if at, known := p.hosts[address]; known {
				address = at
			}
			return dialer.DialContext(ctx, network, address)
		},
	}
	p.browser = &http.Client{Transport: transport, Jar: jar, Timeout: patience}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { p.opens(r.PostFormValue("opened")) }))
	p.openings = server.URL
	h.T.Cleanup(func() {
		server.Close()
		p.working.Wait()
		transport.CloseIdleConnections()
	})
	return p
}

// do does something while a program runs. Its error is one of failures.
func (p *person) do(something func() error) {
	p.working.Go(func() {
		if err := something(); err != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.failed = append(p.failed, err)
		}
	})
}

// failures returns what went wrong in do.
func (p *person) failures() []error {
	p.working.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// opened returns how many pages programs have opened.
func (p *person) opened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pages
}

// sentOn matches the URL in a file that a program opens in place of a long URL.
var sentOn = regexp.MustCompile(`content="0;url=([^"]+)"`)

// opens takes what a program opens, a URL or a file that leads to one, and signs in there. The program can remove the file afterwards.
func (p *person) opens(what string) {
	p.mu.Lock()
	p.pages++
	p.mu.Unlock()
	text, err := os.ReadFile(strings.TrimPrefix(what, "file://"))
	if found := sentOn.FindSubmatch(text); err == nil && found != nil {
		what = html.UnescapeString(string(found[1]))
	}
	p.do(func() error {
		page, err := p.open(what)
		if err == nil {
			page, err = p.signIn(page)
		}
		if err == nil && !strings.Contains(page, "You can close this page") {
			err = fmt.Errorf("the last page is %s", page)
		}
		return err
	})
}

// open opens a URL, and returns the page.
func (p *person) open(at string) (string, error) {
	request, err := http.NewRequestWithContext(p.h.Ctx, http.MethodGet, at, nil)
	if err != nil {
		return "", err
	}
	return p.show(request)
}

var (
	formAction = regexp.MustCompile(`<form method="post" action="([^"]+)"`)
	stepField  = regexp.MustCompile(`name="step" value="([^"]+)"`)
)

// send fills the first form of a page with fields, which are names and values in turn, and returns the next page.
func (p *person) send(page string, fields ...string) (string, error) {
	action, form := formAction.FindStringSubmatch(page), url.Values{}
	if action == nil {
		return "", fmt.Errorf("there is no form on the page %s", page)
	}
	to, err := p.at.Parse(html.UnescapeString(action[1]))
	if err != nil {
		return "", err
	}
	if step := stepField.FindStringSubmatch(page); step != nil {
		form.Set("step", html.UnescapeString(step[1]))
	}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	request, err := http.NewRequestWithContext(p.h.Ctx, http.MethodPost, to.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	return p.show(request)
}

// signIn sends the login page, allows the access if a page asks, and returns the last page.
func (p *person) signIn(page string) (string, error) {
	page, err := p.send(page, "username", p.name, "password", p.password)
	if err == nil && strings.Contains(page, `name="answer" value="allow"`) {
		page, err = p.send(page, "answer", "allow")
	}
	return page, err
}

func (p *person) show(request *http.Request) (string, error) {
	answer, err := p.browser.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	p.at = answer.Request.URL
	page, err := io.ReadAll(answer.Body)
	return string(page), err
}

// proxy serves a host name over TLS for a program that listens on an address, and leads the browser there.
func (p *person) proxy(host, listen string) {
	p.h.T.Helper()
	certificate, key, err := suite.ServingCertificate("guide-proxy", host)
	p.h.Expect(err).NotTo(gomega.HaveOccurred())
	pair, err := tls.LoadX509KeyPair(certificate, key)
	p.h.Expect(err).NotTo(gomega.HaveOccurred())
	authority, err := os.ReadFile(suite.Authority())
	p.h.Expect(err).NotTo(gomega.HaveOccurred())
	server := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: listen}))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	p.h.T.Cleanup(server.Close)
	p.trusted.AppendCertsFromPEM(authority)
	p.hosts[net.JoinHostPort(host, "443")] = server.Listener.Addr().String()
}
