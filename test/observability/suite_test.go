// Package observability checks metrics, the audit log and the health endpoints of the real commands: they
// are exactly what docs/metrics.md documents.
package observability

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

const (
	// waitTimeout covers the minute within which the use of a superseded token is reported.
	waitTimeout       = 90 * time.Second
	operatorNamespace = "refreshkeys-system"
	namespace         = "shop"
	account           = "till"
	issuer            = "default"
)

// suite is shared by all tests: a control plane, a manager and a token service, each in its own process.
var suite struct {
	*cluster.Cluster
	// audit is the file with the audit log of the token service.
	audit string
}

func TestMain(m *testing.M) { os.Exit(harness.Main(m, &suite.Cluster, prepare)) }

func prepare(ctx context.Context, c *cluster.Cluster) error {
	suite.audit = filepath.Join(c.Dir(), "audit.log")
	if err := cluster.Install(ctx, c); err != nil {
		return err
	}
	if _, err := cluster.RunManager(ctx, c); err != nil {
		return err
	}
	_, err := cluster.RunTokenServers(ctx, c, 1, "--audit-log="+suite.audit)
	return err
}

// fixture gives a test the shared control plane and its clients.
type fixture struct {
	*harness.Harness
	// users is a client of the token service; nil until a refresh key exists.
	users *http.Client
	url   string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	h := &fixture{Harness: harness.On(t, suite.Config(), clock.RealClock{})}
	h.SetDefaultEventuallyTimeout(waitTimeout)
	url, err := suite.TokenServerURL(1)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.url = url
	return h
}

// createFixtures creates a namespace, a ServiceAccount, and an issuer at which ServiceAccounts of the
// cluster may sign in.
func (h *fixture) createFixtures() {
	h.T.Helper()
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account}},
		&v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: issuer}, Spec: v1alpha1.JWTIssuerSpec{URL: h.url, Login: &v1alpha1.LoginSpec{}}},
	} {
		h.Expect(client.IgnoreAlreadyExists(h.Admin.Create(h.Ctx, object))).To(gomega.Succeed())
	}
}

// createKey creates a refresh key, and returns it with the token in its Secret.
func (h *fixture) createKey(name string) (key *v1alpha1.JWTRefreshKey, held string) {
	h.T.Helper()
	key = harness.Created(h.Harness, harness.NewKey(namespace, name))
	return key, h.awaitRevision(key, 1)
}

// awaitRevision waits until the Secret holds the token of a revision, and returns the token.
func (h *fixture) awaitRevision(key *v1alpha1.JWTRefreshKey, revision int64) string {
	h.T.Helper()
	held := h.AwaitRevision(key, revision)
	secret, err := h.Secret(key.Namespace, key.Status.SecretName)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.trust(secret.Data[v1alpha1.SecretCA])
	return held
}

// trust makes the client trust the token service's certificate authority, which each key's Secret contains.
func (h *fixture) trust(bundle []byte) {
	authorities := x509.NewCertPool()
	h.Expect(authorities.AppendCertsFromPEM(bundle)).To(gomega.BeTrue(), "the Secret holds no certificate authority")
	h.users = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12}}}
	h.T.Cleanup(h.users.CloseIdleConnections)
}

// post sends a form, and returns the answer.
func (h *fixture) post(path string, form url.Values) (status int, body string) {
	h.T.Helper()
	response, err := h.users.PostForm(h.url+path, form)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return readResponse(h.WithT, response)
}

// postOK sends a form, and fails the test if the status is not 200.
func (h *fixture) postOK(path string, form url.Values) (body string) {
	h.T.Helper()
	status, body := h.post(path, form)
	h.Expect(status).To(gomega.Equal(http.StatusOK), path)
	return body
}

func (h *fixture) refresh(held string) {
	h.T.Helper()
	h.postOK("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {held}})
}

func readResponse(t *gomega.WithT, response *http.Response) (status int, body string) {
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	t.Expect(err).NotTo(gomega.HaveOccurred())
	return response.StatusCode, string(text)
}

// section returns the text of a section in docs/metrics.md.
func section(t *testing.T, heading string) string {
	t.Helper()
	root, err := cluster.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(page), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("docs/metrics.md has no section %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// tableRows returns the cells of the rows of a section's table whose first cell begins with code.
func tableRows(t *testing.T, heading string) (all [][]string) {
	t.Helper()
	for line := range strings.Lines(section(t, heading)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) < 3 || !strings.HasPrefix(cells[0], " `") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		all = append(all, cells)
	}
	if len(all) == 0 {
		t.Fatalf("section %q of docs/metrics.md has no table rows", heading)
	}
	return all
}
