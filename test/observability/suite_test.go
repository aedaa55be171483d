// Package observability checks metrics, the audit log and the health endpoints of the real commands: they
// are exactly what docs/metrics.md documents.
package observability

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

const (
	// waitTimeout covers the minute within which the use of a superseded token is reported.
	waitTimeout       = 90 * time.Second
	pollEvery         = 100 * time.Millisecond
	operatorNamespace = "refreshkeys-system"
	namespace         = "shop"
	account           = "till"
	issuer            = "default"
	audience          = "https://orders.example.com"
)

// suite is shared by all tests: a control plane, a manager and a token service, each in its own process.
var suite struct {
	*cluster.Cluster
	dir string
	// audit is the file with the audit log of the token service.
	audit string
}

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	code, err := run(m)
	if err != nil {
		fmt.Fprintf(os.Stderr, "observability: %v\n", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if strings.EqualFold(os.Getenv("USE_EXISTING_CLUSTER"), "true") {
		fmt.Fprintln(os.Stderr, "observability: skipped with USE_EXISTING_CLUSTER, since the tests start and stop their own processes")
		return 0, nil
	}
	if suite.dir, err = os.MkdirTemp("", "observability-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(suite.dir)
	suite.audit = filepath.Join(suite.dir, "audit.log")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if suite.Cluster, err = cluster.Start(ctx, cluster.Options{Dir: filepath.Join(suite.dir, "cluster"), ControllerManager: true}); err != nil {
		return 1, err
	}
	defer func() {
		if stopped := suite.Stop(context.Background()); err == nil {
			err = stopped
		}
	}()
	if err := cluster.Install(ctx, suite.Cluster); err != nil {
		return 1, err
	}
	if _, err := cluster.RunManager(ctx, suite.Cluster); err != nil {
		return 1, err
	}
	if _, err := cluster.RunTokenServers(ctx, suite.Cluster, 1, "--audit-log="+suite.audit); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// harness gives a test the shared control plane and its clients.
type harness struct {
	*gomega.WithT
	t     *testing.T
	ctx   context.Context
	admin client.Client
	// users is a client of the token service; nil until a refresh key exists.
	users *http.Client
	url   string
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	admin, err := client.New(suite.Config(), client.Options{Scheme: controllers.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{WithT: gomega.NewWithT(t), t: t, ctx: t.Context(), admin: admin}
	h.url, err = suite.TokenServerURL(1)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return h
}

// createFixtures creates a namespace, a ServiceAccount, and an issuer at which ServiceAccounts of the
// cluster may sign in.
func (h *harness) createFixtures() {
	h.t.Helper()
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account}},
		&v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: issuer}, Spec: v1alpha1.JWTIssuerSpec{URL: h.url, Login: &v1alpha1.LoginSpec{}}},
	} {
		h.Expect(client.IgnoreAlreadyExists(h.admin.Create(h.ctx, object))).To(gomega.Succeed())
	}
}

// createKey creates a refresh key, and returns it with the token in its Secret.
func (h *harness) createKey(name string) (key *v1alpha1.JWTRefreshKey, held string) {
	h.t.Helper()
	key = &v1alpha1.JWTRefreshKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.JWTRefreshKeySpec{Audience: audience},
	}
	h.Expect(h.admin.Create(h.ctx, key)).To(gomega.Succeed())
	h.t.Cleanup(func() { _ = h.admin.Delete(context.Background(), key) })
	return key, h.awaitRevision(key, 1)
}

// awaitRevision waits until the Secret holds the token of a revision, and returns the token.
func (h *harness) awaitRevision(key *v1alpha1.JWTRefreshKey, revision int64) string {
	h.t.Helper()
	var secret corev1.Secret
	h.Eventually(func() (int64, error) {
		if err := h.admin.Get(h.ctx, client.ObjectKeyFromObject(key), key); err != nil {
			return 0, err
		}
		if err := h.admin.Get(h.ctx, client.ObjectKeyFromObject(key), &secret); err != nil {
			return 0, client.IgnoreNotFound(err)
		}
		if secret.Annotations[v1alpha1.AnnotationJTI] != key.Status.JTI {
			return 0, nil
		}
		return key.Status.Revision, nil
	}, waitTimeout, pollEvery).Should(gomega.Equal(revision))
	h.trust(secret.Data[v1alpha1.SecretCA])
	return string(secret.Data[v1alpha1.SecretToken])
}

// trust makes the client trust the token service's certificate authority, which each key's Secret contains.
func (h *harness) trust(bundle []byte) {
	authorities := x509.NewCertPool()
	h.Expect(authorities.AppendCertsFromPEM(bundle)).To(gomega.BeTrue(), "the Secret holds no certificate authority")
	h.users = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12}}}
	h.t.Cleanup(h.users.CloseIdleConnections)
}

// accountToken returns a token of the ServiceAccount for these audiences, or for the API server if there
// are none.
func (h *harness) accountToken(audiences ...string) string {
	h.t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
	issued, err := kubernetes.NewForConfigOrDie(suite.Config()).CoreV1().ServiceAccounts(namespace).CreateToken(h.ctx, account, request, metav1.CreateOptions{})
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return issued.Status.Token
}

// post sends a form, and returns the answer.
func (h *harness) post(path string, form url.Values) (status int, body string) {
	h.t.Helper()
	response, err := h.users.PostForm(h.url+path, form)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return readResponse(h.WithT, response)
}

// postOK sends a form, and fails the test if the status is not 200.
func (h *harness) postOK(path string, form url.Values) (body string) {
	h.t.Helper()
	status, body := h.post(path, form)
	h.Expect(status).To(gomega.Equal(http.StatusOK), path)
	return body
}

func (h *harness) refresh(held string) {
	h.t.Helper()
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
