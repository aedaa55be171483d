package interop

import (
	"errors"
	"fmt"
	"html"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/guide"
)

const (
	// pluginIssuer is an issuer of which the API server trusts the sessions of people. They sign in with the plugin.
	pluginIssuer = "interop-plugin"
	pluginPrefix = "people:"
)

// trustForPlugin returns the issuer of the people who sign in with the plugin.
func trustForPlugin(authority string) cluster.Trusted {
	return cluster.Trusted{
		URL: fmt.Sprintf("https://%s:%d/%s", host, suite.pluginPort, pluginIssuer), Audience: clusterAudience, Authority: authority,
		Prefix: pluginPrefix, SessionNamespace: pluginIssuer,
	}
}

// terminal is a person's terminal: a home, kubectl with the plugin, and a program that the plugin takes for a browser.
type terminal struct {
	*fixture
	home, program string
	environment   []string
}

// browserScript stores the page that a browser is to open, whole. It gets the page's URL.
const browserScript = "#!/bin/sh\ncp \"${1#file://}\" \"$HOME/opening\" && mv \"$HOME/opening\" \"$HOME/opened\"\n"

// terminal returns a terminal with the kubeconfig of the guide for the plugin: the context of each session is called by its name.
func (h *fixture) terminal(sessions ...string) *terminal {
	h.T.Helper()
	assets, err := cluster.FindAssets()
	h.Expect(err).NotTo(gomega.HaveOccurred())
	home := h.T.TempDir()
	programs := filepath.Join(home, "bin")
	h.Expect(cluster.Build(h.Ctx, suite.server.Root, "./cmd/kubectl-refreshkey", filepath.Join(programs, "kubectl-refreshkey"))).To(gomega.Succeed())
	for _, name := range []string{"xdg-open", "open"} {
		h.Expect(os.WriteFile(filepath.Join(programs, name), []byte(browserScript), 0o700)).To(gomega.Succeed()) //nolint:gosec // a program
	}
	kubeconfig := filepath.Join(home, "kubeconfig")
	h.Expect(clientcmd.WriteToFile(*h.kubeconfig(sessions), kubeconfig)).To(gomega.Succeed())
	return &terminal{fixture: h, home: home, program: filepath.Join(assets, "kubectl"), environment: []string{
		"HOME=" + home, "KUBECONFIG=" + kubeconfig, "KUBERC=off", "KUBECACHEDIR=" + filepath.Join(home, "cache"),
		"PATH=" + programs + string(filepath.ListSeparator) + os.Getenv("PATH"),
	}}
}

// kubeconfig returns a kubeconfig with the user of docs/plugin.md for each session.
func (h *fixture) kubeconfig(sessions []string) *clientcmdapi.Config {
	h.T.Helper()
	page, err := guide.Read(filepath.Join(suite.server.Root, "docs", "plugin.md"))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	config, err := clientcmd.Load([]byte("apiVersion: v1\nkind: Config\n" + page.Files["kubeconfig.yaml"]))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	users := slices.Collect(maps.Values(config.AuthInfos))
	h.Expect(users).To(gomega.HaveLen(1))
	address := suite.server.Admin.Host
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	config.Clusters["here"] = &clientcmdapi.Cluster{Server: address, CertificateAuthorityData: suite.server.Admin.CAData}
	for _, session := range sessions {
		user := users[0].DeepCopy()
		named := slices.Index(user.Exec.Args, "default")
		h.Expect(named).To(gomega.BeNumerically(">=", 0), "the user of docs/plugin.md has no session default")
		user.Exec.Args[named] = session
		config.AuthInfos[session] = user
		config.Contexts[session] = &clientcmdapi.Context{Cluster: "here", AuthInfo: session, Namespace: h.Name}
	}
	return config
}

// command is a command that runs.
type command struct {
	terminal *terminal
	ended    chan error
	// out and errOut are files with what it prints.
	out, errOut string
}

// start starts kubectl.
func (t *terminal) start(args ...string) *command {
	t.T.Helper()
	c := &command{terminal: t, ended: make(chan error, 1)}
	process := exec.CommandContext(t.Ctx, t.program, args...)
	process.Dir, process.Env = t.home, t.environment
	for file, stream := range map[*string]func(*os.File){&c.out: func(f *os.File) { process.Stdout = f }, &c.errOut: func(f *os.File) { process.Stderr = f }} {
		f, err := os.CreateTemp(t.home, "output-")
		t.Expect(err).NotTo(gomega.HaveOccurred())
		t.T.Cleanup(func() { _ = f.Close() })
		*file = f.Name()
		stream(f)
	}
	t.Expect(process.Start()).To(gomega.Succeed())
	go func() { c.ended <- process.Wait() }()
	return c
}

// said returns what the command wrote to its standard error so far.
func (c *command) said() string {
	text, err := os.ReadFile(c.errOut)
	if err != nil {
		return err.Error()
	}
	return withoutTokens(string(text))
}

// result waits for the end of the command, and returns its output. Meanwhile the clock of the token service follows that of the machine.
func (c *command) result() (string, error) {
	c.terminal.T.Helper()
	var failed error
	c.terminal.Eventually(func() bool {
		c.terminal.now()
		select {
		case failed = <-c.ended:
			return true
		default:
			return false
		}
	}).Should(gomega.BeTrue(), c.said)
	if failed != nil {
		return "", errors.New(strings.TrimSpace(c.said()))
	}
	out, err := os.ReadFile(c.out)
	return string(out), err
}

// run runs kubectl.
func (t *terminal) run(args ...string) (string, error) {
	t.T.Helper()
	t.now()
	return t.start(args...).result()
}

// whoami returns the user that the API server sees in a context, or why it sees none.
func (t *terminal) whoami(session string) string {
	t.T.Helper()
	said, err := t.run("auth", "whoami", "--context="+session, "--output=jsonpath={.status.userInfo.username}")
	if err != nil {
		return err.Error()
	}
	return said
}

var (
	openedURL  = regexp.MustCompile(`content="0;url=([^"]+)"`)
	deviceLink = regexp.MustCompile(`or open (\S+)`)
)

// login runs the plugin's login for a session. A person decides with a browser: with the one that the plugin opens, or for a device.
func (t *terminal) login(session string, more ...string) {
	t.T.Helper()
	t.now()
	opened := filepath.Join(t.home, "opened")
	login := t.start(append([]string{"refreshkey", "login", "--issuer-url=" + t.url(), "--ca-file=" + suite.trustedFile, "--session=" + session}, more...)...)
	jane := t.person()
	if slices.Contains(more, "--device") {
		t.Eventually(func() string { return deviceLink.FindString(login.said()) }).ShouldNot(gomega.BeEmpty(), login.said)
		jane.connect(deviceLink.FindStringSubmatch(login.said())[1], "allow")
	} else {
		var page []byte
		t.Eventually(func() (err error) {
			page, err = os.ReadFile(opened)
			return err
		}).Should(gomega.Succeed(), login.said)
		jane.open(html.UnescapeString(openedURL.FindStringSubmatch(string(page))[1]))
		jane.signIn()
		jane.answer("allow")
		t.Expect(jane.page).To(gomega.ContainSubstring("You are signed in."))
	}
	said, err := login.result()
	t.Expect(err).NotTo(gomega.HaveOccurred())
	t.Expect(said).To(gomega.ContainSubstring("session " + session + " is stored"))
}

// TestKubectlWithThePlugin checks that people sign in with `kubectl refreshkey login` and their browser, and that kubectl acts as them
// with the session that it leaves, until the session is revoked or the person signs out.
func TestKubectlWithThePlugin(t *testing.T) {
	if suite.server.Existing() {
		t.Skip("an existing cluster is not configured to trust the issuer")
	}
	h := withPeopleAt(t, suite.pluginPort, func(issuer *v1alpha1.JWTIssuer) {
		// The plugin uses an access token until a minute before its end: each command of kubectl needs another one.
		issuer.Spec.AccessToken = &v1alpha1.IssuerAccessTokenSpec{Lifetime: &metav1.Duration{Duration: time.Minute}}
		issuer.Spec.Login.SessionRetryGrace = &metav1.Duration{}
		issuer.Spec.Login.Clients = []v1alpha1.LoginClient{{
			ID: "kubectl-refreshkey", RedirectURIs: []string{"http://127.0.0.1/callback"}, Audiences: []string{clusterAudience},
			Device: &v1alpha1.DeviceClient{CodePrefix: "CLI"},
		}}
	})
	h.withLogin()
	const withBrowser, asDevice = "laptop", "build-host"
	term := h.terminal(withBrowser, asDevice)
	h.Expect(term.whoami(withBrowser)).To(gomega.ContainSubstring("there is no session " + withBrowser))
	term.login(withBrowser)
	term.login(asDevice, "--device")
	h.Expect(h.living()).To(gomega.Equal(2))
	for _, session := range []string{withBrowser, asDevice} {
		// The API server requests the issuer's metadata every ten seconds until it succeeds.
		h.Eventually(func() string { return term.whoami(session) }).Should(gomega.Equal(pluginPrefix+personName), session)
	}

	h.Create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: h.Name, Name: "notes"}})
	get := []string{"get", "configmap", "notes", "--output=name", "--context=" + withBrowser}
	_, err := term.run(get...)
	h.Expect(err).To(gomega.MatchError(gomega.And(gomega.ContainSubstring("Forbidden"), gomega.ContainSubstring(`"`+pluginPrefix+personName+`"`))))
	h.Create(&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: h.Name, Name: "readers"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get"}},
	}})
	h.Create(&rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: h.Name, Name: "readers"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: pluginPrefix + personName}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "readers"},
	})
	h.Eventually(func() (string, error) { return term.run(get...) }).Should(gomega.Equal("configmap/notes\n"), "a person may not do what the role allows")

	said, err := term.run("refreshkey", "logout", asDevice)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(said).To(gomega.ContainSubstring("signed out"))
	h.Expect(term.whoami(asDevice)).To(gomega.ContainSubstring("there is no session " + asDevice))
	h.Expect(h.living()).To(gomega.Equal(1), "the session goes on after the logout")
	h.Expect(term.whoami(withBrowser)).To(gomega.Equal(pluginPrefix+personName), "the other session is over")

	for i := range h.sessions() {
		session := &h.sessions()[i]
		h.Edit(session, func() { session.Spec.Revoked = true })
	}
	h.Eventually(func() string { return term.whoami(withBrowser) }).Should(gomega.ContainSubstring("session "+withBrowser+" is over: sign in again"),
		"kubectl is not refused after the revocation")
}
