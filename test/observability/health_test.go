package observability

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/internal/authority"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

// get returns the status and the body of an endpoint; status 0 and the error if there is no answer.
func (h *fixture) get(base, path string) (status int, message string) {
	h.T.Helper()
	request, err := http.NewRequestWithContext(h.Ctx, http.MethodGet, base+path, http.NoBody)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	prober := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := prober.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	return readResponse(h.WithT, response)
}

// awaitAnswer waits until an endpoint answers with a status and a body that contains message.
func (h *fixture) awaitAnswer(base, path string, status int, message string) {
	h.T.Helper()
	h.Eventually(func() string {
		got, body := h.get(base, path)
		return fmt.Sprint(got, " ", body)
	}).Should(gomega.And(gomega.HavePrefix(fmt.Sprint(status, " ")), gomega.ContainSubstring(message)))
}

// startProcess starts one of the two commands with the rights of its ServiceAccount, and returns the URL of
// its health endpoints and its bind address. It returns once the process runs. The test checks the health.
func (h *fixture) startProcess(command, name, kubeconfig string, flags ...string) (process *cluster.Process, health, serves string) {
	h.T.Helper()
	root, err := cluster.RepositoryRoot()
	h.Expect(err).NotTo(gomega.HaveOccurred())
	address := func(what string) string {
		port, err := suite.Port(name + what)
		h.Expect(err).NotTo(gomega.HaveOccurred())
		return fmt.Sprintf("127.0.0.1:%d", port)
	}
	health, serves = address("-health"), address("")
	process, err = suite.Run(h.Ctx, cluster.Program{
		Name: name, Binary: filepath.Join(root, "bin", command), Health: "http://" + health + "/healthz",
		Args: append([]string{"--kubeconfig=" + kubeconfig, "--namespace=" + operatorNamespace, "--health-probe-bind-address=" + health}, flags...),
	})
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.T.Cleanup(func() { _ = process.Stop(context.Background()) })
	return process, "http://" + health, serves
}

func kubeconfigOf(command string) string { return filepath.Join(suite.Dir(), command+".kubeconfig") }

// unreachableKubeconfig returns a kubeconfig of a cluster that does not answer.
func (h *fixture) unreachableKubeconfig(command string) string {
	h.T.Helper()
	config, err := clientcmd.LoadFromFile(kubeconfigOf(command))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	for _, one := range config.Clusters {
		one.Server = "https://127.0.0.1:1"
	}
	path := filepath.Join(h.T.TempDir(), "kubeconfig")
	h.Expect(clientcmd.WriteToFile(*config, path)).To(gomega.Succeed())
	return path
}

// storeCertificate stores a serving certificate with this time of issue.
func (h *fixture) storeCertificate(name string, at time.Time) {
	h.T.Helper()
	owner := &authority.Authority{}
	_, err := owner.Advance(at)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	pair, err := owner.Issue([]string{"localhost"}, at)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: name}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: pair.Certificate, corev1.TLSPrivateKeyKey: pair.Key},
	}
	h.Expect(client.IgnoreNotFound(h.Admin.Delete(h.Ctx, secret.DeepCopy()))).To(gomega.Succeed())
	h.Expect(h.Admin.Create(h.Ctx, secret)).To(gomega.Succeed())
}

// TestATokenServiceWithoutAnAPIServer checks that the token service is alive and not ready while the API
// server is unavailable.
func TestATokenServiceWithoutAnAPIServer(t *testing.T) {
	h := newFixture(t)
	_, health, _ := h.startProcess("tokenserver", "lost", h.unreachableKubeconfig("tokenserver"), "--bind-address=127.0.0.1:0", "--shutdown-delay=0")
	h.awaitAnswer(health, "/healthz", http.StatusOK, "ok")
	h.awaitAnswer(health, "/readyz", http.StatusServiceUnavailable, "the serving certificate is not loaded yet")
	_, metrics := h.get(health, "/metrics")
	h.Expect(metrics).To(gomega.And(
		gomega.ContainSubstring("\nrefreshkeys_tokenserver_ready 0\n"), gomega.ContainSubstring("\nrefreshkeys_view_staleness_seconds 9.2"),
		gomega.ContainSubstring("\nrefreshkeys_certificate_expiry_timestamp_seconds 0\n"),
	))
}

// TestATokenServicesCertificate checks that the token service is alive and not ready without a valid
// certificate, and becomes ready without a restart once a valid one exists.
func TestATokenServicesCertificate(t *testing.T) {
	h := newFixture(t)
	_, health, _ := h.startProcess("tokenserver", "certified", kubeconfigOf("tokenserver"), "--bind-address=127.0.0.1:0", "--shutdown-delay=0", "--tls-secret=certified-tls")
	h.awaitAnswer(health, "/readyz", http.StatusServiceUnavailable, "the serving certificate is not loaded yet")
	h.storeCertificate("certified-tls", time.Now())
	h.awaitAnswer(health, "/readyz", http.StatusOK, "ok")
	h.storeCertificate("certified-tls", time.Now().Add(-2*365*24*time.Hour))
	h.awaitAnswer(health, "/readyz", http.StatusServiceUnavailable, "has expired")
	h.awaitAnswer(health, "/healthz", http.StatusOK, "ok")
	h.storeCertificate("certified-tls", time.Now())
	h.awaitAnswer(health, "/readyz", http.StatusOK, "ok")
}

// TestATokenServiceThatDrains checks that a token service that is terminated is not ready at once, so that
// load balancers stop sending requests. It still answers requests during the shutdown delay, and asks
// clients to close the connection.
func TestATokenServiceThatDrains(t *testing.T) {
	h := newFixture(t)
	h.createFixtures()
	h.createKey("drained-orders")
	const delay = 5 * time.Second
	port, err := suite.Port("drained")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	process, health, serves := h.startProcess("tokenserver", "drained", kubeconfigOf("tokenserver"), fmt.Sprintf("--bind-address=127.0.0.1:%d", port), "--shutdown-delay="+delay.String())
	h.awaitAnswer(health, "/readyz", http.StatusOK, "ok")
	_, served, _ := strings.Cut(serves, ":")
	jwks := "https://localhost:" + served + "/jwks.json"
	answers := func() (status int, closes bool) {
		request, err := http.NewRequestWithContext(h.Ctx, http.MethodGet, jwks, http.NoBody)
		h.Expect(err).NotTo(gomega.HaveOccurred())
		// The request has the issuer's host name, and goes to this replica.
		request.Host = strings.TrimPrefix(h.url, "https://")
		response, err := h.users.Do(request)
		if err != nil {
			return 0, false
		}
		defer response.Body.Close()
		return response.StatusCode, response.Close
	}
	h.Eventually(func() int { status, _ := answers(); return status }).Should(gomega.Equal(http.StatusOK))
	_, closes := answers()
	h.Expect(closes).To(gomega.BeFalse(), "a replica that does not drain closes connections")

	asked := time.Now()
	h.awaitAnswer(health, "/readyz", http.StatusOK, "ok")
	// At once is within two seconds, or within the time of some requests on a slow machine.
	atOnce := max(2*time.Second, 5*time.Since(asked))

	sent := time.Now()
	h.Expect(syscall.Kill(process.Pid(), syscall.SIGTERM)).To(gomega.Succeed())
	h.Eventually(func() int { status, _ := h.get(health, "/readyz"); return status }, atOnce, time.Millisecond).Should(gomega.Equal(http.StatusServiceUnavailable))
	_, message := h.get(health, "/readyz")
	h.Expect(message).To(gomega.ContainSubstring("shutting down"))
	for {
		alive, _ := h.get(health, "/healthz")
		status, closes := answers()
		if status == 0 {
			break
		}
		h.Expect(status).To(gomega.Equal(http.StatusOK))
		h.Expect(closes).To(gomega.BeTrue(), "a replica that drains does not close connections")
		h.Expect(alive).To(gomega.Equal(http.StatusOK), "a replica that drains is not alive")
	}
	h.Expect(time.Since(sent)).To(gomega.BeNumerically(">=", delay), "the replica stopped before the shutdown delay was over")
	h.Eventually(process.Running).Should(gomega.BeFalse())
}

// TestAManagerThatDoesNotLead checks that a manager that is not the leader is ready, since a rollout would
// otherwise not continue, and that its metrics say so.
func TestAManagerThatDoesNotLead(t *testing.T) {
	h := newFixture(t)
	h.createFixtures()
	port, err := suite.Port("waiting")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	process, health, _ := h.startProcess("manager", "waiting", kubeconfigOf("manager"), fmt.Sprintf("--metrics-bind-address=127.0.0.1:%d", port), "--metrics-secure=false")
	h.awaitAnswer(health, "/readyz", http.StatusOK, "ok")
	h.awaitAnswer(health, "/healthz", http.StatusOK, "ok")
	// Alerts and dashboard use these metrics of every manager.
	metrics := fmt.Sprintf("http://127.0.0.1:%d", port)
	h.awaitAnswer(metrics, "/metrics", http.StatusOK, "\nleader_election_master_status{name=\"refreshkeys-manager\"} 0\n")
	h.awaitAnswer(metrics, "/metrics", http.StatusOK, "\nrefreshkeys_issuer_ready{")
	log, err := os.ReadFile(process.LogPath())
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(string(log)).NotTo(gomega.ContainSubstring("Starting Controller"), "a manager that does not lead started its controllers")
}

// TestAManagerWithoutRights checks that a manager whose caches cannot sync, here without the rights to
// list, is alive and not ready.
func TestAManagerWithoutRights(t *testing.T) {
	h := newFixture(t)
	h.createFixtures()
	blind := filepath.Join(t.TempDir(), "kubeconfig")
	h.Expect(suite.ServiceAccountKubeconfig(h.Ctx, namespace, account, blind)).To(gomega.Succeed())
	_, health, _ := h.startProcess("manager", "blind", blind, "--metrics-bind-address=0")
	h.awaitAnswer(health, "/healthz", http.StatusOK, "ok")
	h.awaitAnswer(health, "/readyz", http.StatusInternalServerError, "caches")
}
