package pages

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	"golang.org/x/crypto/bcrypt"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/guide"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// peopleNamespace is where pages have the sessions of people.
const peopleNamespace = "people"

// signInGuide is a run of a guide for an application that people sign in to, with an issuer of its own in place of `office`.
type signInGuide struct {
	*fixture
	page  *guide.Page
	shell guide.Shell
	// issuer is the name of the issuer, and url its URL.
	issuer, url string
	jane        *person
}

// TestGuidesOfSignIn plays the guides for applications that people sign in to, with real kubectl, processes of the token service, and the
// programs of the pages, which it builds. A client of HTTP takes the part of the person with a browser. The commands of docs/login.md
// create the user, and those of docs/sessions.md end the sessions.
func TestGuidesOfSignIn(t *testing.T) {
	password := rand.Text()
	newFixture(t).createUser(password)
	for name, play := range map[string]func(*signInGuide){
		"web-application":         (*signInGuide).webApplication,
		"single-page-application": (*signInGuide).singlePageApplication,
		"command-line-tool":       (*signInGuide).commandLineTool,
		"device-with-a-screen":    (*signInGuide).device,
		"kubectl-login":           (*signInGuide).kubectl,
	} {
		t.Run(name, func(t *testing.T) { play(newSignInGuide(t, name, password)) })
	}
}

// createUser runs the commands of docs/login.md that create the user, with a line for a password in place of htpasswd, which asks for one.
func (h *fixture) createUser(password string) {
	h.T.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.T.Cleanup(func() {
		h.remove("secret", peopleNamespace, "--namespace=refreshkeys-system")
		h.remove("namespace", peopleNamespace)
	})
	h.run("docs/login.md", h.shell("htpasswd() { printf '%s\\n' 'jane:"+string(hash)+"'; }\n"))
}

// remove deletes what a page created, after the test.
func (h *fixture) remove(what ...string) {
	h.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), pageTimeout)
	defer cancel()
	if _, err := suite.Kubectl(ctx, append([]string{"delete"}, what...)...); err != nil {
		h.T.Errorf("tidy up: %v", err)
	}
}

// run runs the commands of a page that it assigns to this test.
func (h *fixture) run(name string, shell guide.Shell) {
	h.T.Helper()
	page, err := guide.Read(filepath.Join(suite.root, name))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	test, _, _ := strings.Cut(h.T.Name(), "/")
	_, err = shell.Play(h.Ctx, page, page.Of(test))
	h.Expect(err).NotTo(gomega.HaveOccurred())
}

// newSignInGuide returns a run of a guide, after which its issuer and its sessions are gone.
func newSignInGuide(t *testing.T, name, password string) *signInGuide {
	t.Helper()
	h := &signInGuide{fixture: newFixture(t), issuer: harness.UniqueName("office")}
	service, err := suite.TokenServerURL(1)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.url = service + "/" + h.issuer
	t.Cleanup(func() {
		h.remove("jwtrefreshkeys", "--all", "--namespace="+peopleNamespace)
		h.RemoveIssuer(h.issuer)
	})
	h.page, err = guide.Read(filepath.Join(suite.root, "docs", "how-to", name+".md"))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	authority, err := cluster.TokenServiceCA(h.Ctx, suite.Cluster)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	bundle, err := os.ReadFile(authority)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.jane = newPerson(h.fixture, password, bundle)
	h.shell = h.fixture.shell("")
	h.shell.Typed = strings.NewReplacer("https://tokens.example.com/office", h.url, "{name: office}", "{name: "+h.issuer+"}",
		"jwtissuer/office", "jwtissuer/"+h.issuer, "jwtissuer office", "jwtissuer "+h.issuer)
	h.shell.Shown = strings.NewReplacer(h.url, "https://tokens.example.com/office", h.issuer, "office")
	h.shell.Env = append(h.shell.Env, "XDG_CONFIG_HOME="+filepath.Join(h.dir, ".config"), "OPENED="+h.jane.openings)
	h.Expect(h.shell.Files(h.page, suite.root)).To(gomega.Succeed())
	return h
}

// play runs the commands of the guide in one shell, and then reports what went wrong in the browser.
func (h *signInGuide) play() {
	h.T.Helper()
	ctx, cancel := context.WithTimeout(h.Ctx, pageTimeout)
	defer cancel()
	_, err := h.shell.Play(ctx, h.page, h.page.Own())
	h.Expect(h.jane.failures()).To(gomega.BeEmpty(), "the browser")
	h.Expect(err).NotTo(gomega.HaveOccurred())
}

// build builds a program of the page, as a package of this module, which has its libraries.
func (h *signInGuide) build(source string) (binary string) {
	h.T.Helper()
	folder, err := os.MkdirTemp(filepath.Join(suite.root, "bin"), "guide-")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.T.Cleanup(func() { _ = os.RemoveAll(folder) })
	text, err := os.ReadFile(filepath.Join(h.dir, source))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(os.WriteFile(filepath.Join(folder, source), text, 0o600)).To(gomega.Succeed())
	binary = filepath.Join(h.dir, strings.TrimSuffix(source, ".go"))
	h.Expect(cluster.Build(h.Ctx, suite.root, "./bin/"+filepath.Base(folder), binary)).To(gomega.Succeed())
	return binary
}

// served waits until the token service has the login page of the issuer.
func (h *signInGuide) served() {
	h.T.Helper()
	h.Eventually(func() (string, error) { return h.jane.open(h.url + "/.well-known/openid-configuration") }).
		Should(gomega.ContainSubstring("authorization_endpoint"), "the metadata never names the login page")
}

// sessions returns the clients of the sessions with the reasons of their ends, if they have ended.
func (h *signInGuide) sessions() string {
	h.T.Helper()
	said, err := suite.Kubectl(h.Ctx, "get", "jwtrefreshkeys", "--namespace="+peopleNamespace,
		`--output=jsonpath={range .items[*]}{.status.session.client} {.status.revocationReason}{"\n"}{end}`)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return string(said)
}

// webApplication runs the web application behind a proxy with TLS, and signs in and out with a browser.
func (h *signInGuide) webApplication() {
	h.play()
	h.served()
	port, err := suite.Port("shop")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	listen := fmt.Sprintf("127.0.0.1:%d", port)
	source := filepath.Join(h.dir, "shop.go")
	text, err := os.ReadFile(source)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(os.WriteFile(source, []byte(strings.Replace(string(text), "127.0.0.1:8080", listen, 1)), 0o600)).To(gomega.Succeed())
	h.start(h.build("shop.go"), listen)
	h.jane.proxy("shop.example.com", listen)
	const home = "https://shop.example.com/"
	page, err := h.jane.open(home)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	signIn := func() string {
		page, err := h.jane.send(page)
		h.Expect(err).NotTo(gomega.HaveOccurred())
		page, err = h.jane.signIn(page)
		h.Expect(err).NotTo(gomega.HaveOccurred())
		h.Expect(page).To(gomega.ContainSubstring("Signed in as jane."))
		return page
	}
	page = signIn()
	h.run("docs/how-to/web-application.md", h.shell)
	page, err = h.jane.send(page)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(page).To(gomega.ContainSubstring("<button>Sign in</button>"), "after the sign-out")
	h.Expect(h.sessions()).To(gomega.Equal("shop Logout\n"))

	stolen, err := h.jane.open("https://shop.example.com/callback?code=x&state=x&iss=" + url.QueryEscape(h.url))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(stolen).To(gomega.ContainSubstring("This browser did not begin this sign-in"))

	page, err = h.jane.open(home)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	signIn()
	h.run("docs/sessions.md", h.shell)
	h.Eventually(h.sessions).Should(gomega.Equal("shop Requested\nshop Requested\n"), "kubectl does not end the sessions")
}

// singlePageApplication checks that the declaration of the page serves the script of the page: its origin, and no other one. Node reads the
// script, if there is one. It runs in test/interop.
func (h *signInGuide) singlePageApplication() {
	h.play()
	h.served()
	for origin, want := range map[string]string{"https://board.example.com": "https://board.example.com", "https://evil.example.com": ""} {
		request, err := http.NewRequestWithContext(h.Ctx, http.MethodOptions, h.url+"/token", nil)
		h.Expect(err).NotTo(gomega.HaveOccurred())
		request.Header.Set("Origin", origin)
		request.Header.Set("Access-Control-Request-Method", http.MethodPost)
		request.Header.Set("Access-Control-Request-Headers", "dpop")
		answer, err := h.jane.browser.Do(request)
		h.Expect(err).NotTo(gomega.HaveOccurred())
		h.Expect(answer.Body.Close()).To(gomega.Succeed())
		h.Expect(answer.Header.Get("Access-Control-Allow-Origin")).To(gomega.Equal(want), origin)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		h.T.Log("the script of the page was NOT read: there is no node here")
		return
	}
	text, err := os.ReadFile(filepath.Join(h.dir, "board.js"))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	module := filepath.Join(h.dir, "board.mjs")
	h.Expect(os.WriteFile(module, text, 0o600)).To(gomega.Succeed())
	out, err := exec.CommandContext(h.Ctx, node, "--check", module).CombinedOutput()
	h.Expect(err).NotTo(gomega.HaveOccurred(), string(out))
}

// commandLineTool runs the tool, whose browser is that of the person.
func (h *signInGuide) commandLineTool() {
	h.build("orders.go")
	h.play()
	token, err := os.ReadFile(filepath.Join(h.dir, "access-token"))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(string(token)).To(gomega.HavePrefix("eyJ"))
	h.Expect(h.jane.opened()).To(gomega.Equal(1), "the second run continues the session")
}

// device runs the script of the device. The person enters its code. An administrator ends the session.
func (h *signInGuide) device() {
	h.shell.Begins = func(step guide.Step) {
		if step.Commands == "sh tv.sh\n" {
			h.jane.do(h.signDeviceIn)
		}
	}
	h.play()
	for _, name := range []string{"token", "access-token"} {
		token, err := os.ReadFile(filepath.Join(h.dir, name))
		h.Expect(err).NotTo(gomega.HaveOccurred())
		h.Expect(string(token)).To(gomega.HavePrefix("eyJ"), name)
	}
	h.run("docs/sessions.md", h.shell)
	h.Eventually(func() error { _, err := h.shell.Run(h.Ctx, "sh again.sh"); return err }).
		Should(gomega.MatchError(gomega.ContainSubstring("signed out: run tv.sh")), "the script does not say that the session is over")
	h.badAnswers()
}

// signDeviceIn enters the code that the script of the device shows, which has it in a file.
func (h *signInGuide) signDeviceIn() error {
	var begun struct {
		UserCode        string `json:"user_code"`
		VerificationURI string `json:"verification_uri"`
	}
	err := wait.PollUntilContextTimeout(h.Ctx, harness.PollEvery, harness.Patience, true, func(context.Context) (bool, error) {
		text, err := os.ReadFile(filepath.Join(h.dir, "begun"))
		return err == nil && json.Unmarshal(text, &begun) == nil, nil
	})
	if err != nil {
		return fmt.Errorf("the device shows no code: %w", err)
	}
	page, err := h.jane.open(begun.VerificationURI)
	if err == nil {
		page, err = h.jane.send(page, "username", "jane", "password", h.jane.password)
	}
	if err == nil {
		page, err = h.jane.send(page, "user_code", strings.ToLower(begun.UserCode))
	}
	if err != nil {
		return err
	}
	for _, want := range []string{"The television in the kitchen", "https://orders.example.com", "orders:read", "Allow this only if you began it yourself"} {
		if !strings.Contains(page, want) {
			return fmt.Errorf("the page about the device does not say %q: %s", want, page)
		}
	}
	if page, err = h.jane.send(page, "answer", "allow"); err == nil && !strings.Contains(page, "Your device is being signed in") {
		err = fmt.Errorf("the device is not signed in: %s", page)
	}
	return err
}

// kubectl signs in to an API server that trusts the issuer as the page says.
func (h *signInGuide) kubectl() {
	h.shell.Begins = func(step guide.Step) {
		if strings.HasPrefix(step.Commands, "kubectl refreshkey login") {
			h.jane.do(h.trustIssuer)
		}
	}
	h.play()
	h.Expect(h.jane.opened()).To(gomega.Equal(1), "the command opens the browser once")
}

// trustIssuer gives the API server the file of the page, with the certificate authority of the token service.
func (h *signInGuide) trustIssuer() error {
	text, err := os.ReadFile(filepath.Join(h.dir, "authentication.yaml"))
	if err != nil {
		return err
	}
	bundle, err := os.ReadFile(filepath.Join(h.dir, "ca.crt"))
	if err != nil {
		return err
	}
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		return err
	}
	jwt, _ := config["jwt"].([]any)
	if len(jwt) != 1 {
		return fmt.Errorf("the file of the page trusts %d issuers", len(jwt))
	}
	jwt[0].(map[string]any)["issuer"].(map[string]any)["certificateAuthority"] = string(bundle)
	// The API server trusts the issuer of make up already.
	before, err := os.ReadFile(suite.trust)
	if err != nil {
		return err
	}
	var trusted map[string]any
	if err := yaml.Unmarshal(before, &trusted); err != nil {
		return err
	}
	others, _ := trusted["jwt"].([]any)
	config["jwt"] = append(others, jwt...)
	if text, err = yaml.Marshal(config); err != nil {
		return err
	}
	h.T.Cleanup(func() {
		if err := os.WriteFile(suite.trust, before, 0o600); err != nil {
			h.T.Error(err)
		}
	})
	return os.WriteFile(suite.trust, text, 0o600)
}

// start runs a program of the page until the test ends, and waits until it listens.
func (h *signInGuide) start(binary, listen string) {
	h.T.Helper()
	program := exec.CommandContext(h.Ctx, binary)
	program.Dir, program.Env = h.dir, append(slices.Clone(h.shell.Env), "SSL_CERT_FILE=ca.crt")
	var said strings.Builder
	program.Stdout, program.Stderr = &said, &said
	h.Expect(program.Start()).To(gomega.Succeed())
	h.T.Cleanup(func() {
		_ = program.Process.Kill()
		_ = program.Wait()
		if h.T.Failed() {
			h.T.Log(guide.Masked(said.String()))
		}
	})
	h.Eventually(func() error {
		connection, err := (&net.Dialer{}).DialContext(h.Ctx, "tcp", listen)
		if err == nil {
			err = connection.Close()
		}
		return err
	}).Should(gomega.Succeed(), "the program never listens")
}
