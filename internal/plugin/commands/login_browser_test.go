package commands

import (
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
	service "github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// tokenService is the token service itself, with people, behind TLS.
func tokenService(t *testing.T) (issuer, caFile string) {
	t.Helper()
	served := quietServer(t, nil)
	r := service.New(t, func(i *v1alpha1.JWTIssuer) {
		i.Spec.URL = served.URL + "/" + service.Name
		i.Spec.Login = &v1alpha1.LoginSpec{
			SessionNamespace: service.Name, Passwords: &v1alpha1.PasswordLogin{SecretRef: v1alpha1.LocalSecretReference{Name: "people"}},
			Clients: []v1alpha1.LoginClient{{
				ID: "kubectl-refreshkey", RedirectURIs: []string{"http://127.0.0.1/callback"}, Audiences: []string{"https://orders.example.com"},
				Device: &v1alpha1.DeviceClient{CodePrefix: "CLI"},
			}},
		}
	})
	r.PutPasswords("", "ada", "correct horse")
	served.Config.Handler = r.Server
	caFile = filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(caFile, certificateOf(served), 0o600); err != nil {
		t.Fatal(err)
	}
	return r.Issuer.Spec.URL, caFile
}

// person signs in at a login page, as a browser does, and returns what the last page says.
type person struct {
	t       *testing.T
	browser *http.Client
}

var stepField = regexp.MustCompile(`name="step" value="([^"]+)"`)
var formAction = regexp.MustCompile(`<form method="post" action="([^"]+)"`)

func (p *person) page(answer *http.Response, err error) string {
	p.t.Helper()
	if err != nil {
		p.t.Error(err)
		return ""
	}
	defer func() { _ = answer.Body.Close() }()
	page, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Error(err)
	}
	return string(page)
}

func (p *person) submit(page string, fields url.Values) string {
	p.t.Helper()
	step, action := stepField.FindStringSubmatch(page), formAction.FindStringSubmatch(page)
	if step == nil || action == nil {
		p.t.Errorf("the page has no form: %s", page)
		return ""
	}
	fields.Set("step", html.UnescapeString(step[1]))
	return p.page(p.browser.PostForm(html.UnescapeString(action[1]), fields))
}

// signIn opens the URL that the command prints.
func (p *person) signIn(at, answer string) string {
	p.t.Helper()
	consent := p.submit(p.page(p.browser.Get(at)), url.Values{"username": {"ada"}, "password": {"correct horse"}})
	return p.submit(consent, url.Values{"answer": {answer}})
}

// TestLoginWithABrowser checks the command with the token service itself: what it prints, stores and returns.
func TestLoginWithABrowser(t *testing.T) {
	issuer, caFile := tokenService(t)
	for _, c := range []struct {
		name, args, answer string
		code               int
		page, out, errOut  string
	}{
		{"allowed", "", "allow", cli.ExitDone, "You are signed in.", "for https://orders.example.com; session default is stored", ""},
		{"denied", "", "deny", cli.ExitRefused, "You are not signed in.", "", "access_denied"},
		{"another audience", " --audience https://bank.example.com", "", cli.ExitRefused, "You are not signed in.", "", "invalid_target"},
	} {
		t.Run(c.name, func(t *testing.T) {
			home := t.TempDir()
			jar, err := cookiejar.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			client, err := (&app{cli.New(cli.Options{})}).httpClient(caFile, nil)
			if err != nil {
				t.Fatal(err)
			}
			ada := &person{t: t, browser: &http.Client{Jar: jar, Transport: client.Transport}}
			var out, errOut lockedText
			shown := make(chan string, 1)
			opened := func(file string) error {
				page, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				_, rest, _ := strings.Cut(string(page), `content="0;url=`)
				at, _, _ := strings.Cut(rest, `"`)
				if c.answer == "" {
					shown <- ada.page(ada.browser.Get(html.UnescapeString(at)))
				} else {
					shown <- ada.signIn(html.UnescapeString(at), c.answer)
				}
				return nil
			}
			code := Main(t.Context(), strings.Fields("login --issuer-url "+issuer+" --ca-file "+caFile+c.args), cli.Options{
				IOStreams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errOut},
				Clock:     clocktesting.NewFakeClock(service.Start), Build: build, Browse: opened,
				Getenv: func(name string) string { return map[string]string{"HOME": home}[name] },
			})
			if page := <-shown; code != c.code || !strings.Contains(page, c.page) {
				t.Errorf("exit code %d, page %q, stderr %s", code, page, errOut.String())
			}
			if !strings.Contains(out.String(), c.out) || !strings.Contains(errOut.String(), c.errOut) {
				t.Errorf("it prints %q and %q", out.String(), errOut.String())
			}
			raw, err := os.ReadFile(filepath.Join(home, ".config", "refreshkeys", "sessions", "default.json"))
			if (err == nil) != (c.code == cli.ExitDone) {
				t.Fatalf("the session's file: %v", err)
			}
			var kept session
			if c.code == cli.ExitDone && (json.Unmarshal(raw, &kept) != nil || kept.RefreshToken == "" || kept.Audience != "https://orders.example.com") {
				t.Errorf("the session is %s", raw)
			}
			if folders, err := filepath.Glob(filepath.Join(home, "refreshkey-*")); err != nil || len(folders) > 0 {
				t.Errorf("the page of the browser stays: %v, %v", folders, err)
			}
		})
	}
}

// TestTheAnswerOfABrowser checks that only the answer to this attempt, of this issuer, counts.
func TestTheAnswerOfABrowser(t *testing.T) {
	good := url.Values{"state": {"s1"}, "iss": {"https://tokens.example.com"}, "code": {"c"}}
	for _, c := range []struct {
		name, method, path string
		change             map[string]string
		status             int
		counts             bool
	}{
		{"the answer", "GET", callbackPath, nil, 200, true},
		{"an error", "GET", callbackPath, map[string]string{"code": "", "error": "access_denied"}, 400, true},
		{"no code", "GET", callbackPath, map[string]string{"code": ""}, 400, true},
		{"another state", "GET", callbackPath, map[string]string{"state": "s2"}, 400, false},
		{"no state", "GET", callbackPath, map[string]string{"state": ""}, 400, false},
		{"another issuer", "GET", callbackPath, map[string]string{"iss": "https://evil.example.com"}, 400, false},
		{"no issuer", "GET", callbackPath, map[string]string{"iss": ""}, 400, false},
		{"another path", "GET", "/", nil, 400, false},
		{"another method", "POST", callbackPath, nil, 400, false},
	} {
		query := url.Values{}
		for name, values := range good {
			query[name] = values
		}
		for name, value := range c.change {
			query.Set(name, value)
		}
		a := &attempt{issuer: "https://tokens.example.com", state: "s1", results: make(chan result, 1)}
		got := httptest.NewRecorder()
		a.ServeHTTP(got, httptest.NewRequestWithContext(t.Context(), c.method, c.path+"?"+query.Encode(), nil))
		if got.Code != c.status || (len(a.results) == 1) != c.counts {
			t.Errorf("%s: %d, %d results", c.name, got.Code, len(a.results))
		}
	}
}
