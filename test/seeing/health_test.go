package seeing

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

	"github.com/refreshkeys/refreshkeys/hack/cluster"
	"github.com/refreshkeys/refreshkeys/internal/authority"
)

// asked is the status of a health endpoint and what it says; 0 where nobody answers.
func (s *site) asked(base, path string) (status int, says string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.ctx, http.MethodGet, base+path, http.NoBody)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	prober := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := prober.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	return read(s.WithT, response)
}

// becomes waits until an endpoint answers with a status and says something.
func (s *site) becomes(base, path string, status int, says string) {
	s.t.Helper()
	s.Eventually(func() string {
		got, said := s.asked(base, path)
		return fmt.Sprint(got, " ", said)
	}, patience, pollEvery).Should(gomega.And(gomega.HavePrefix(fmt.Sprint(status, " ")), gomega.ContainSubstring(says)))
}

// runs starts one more of the two commands, with the rights of its account, and returns where its health is told and
// where it serves. It counts as started once its process lives: what it says is for the test to ask.
func (s *site) runs(command, name, kubeconfig string, flags ...string) (process *cluster.Process, health, serves string) {
	s.t.Helper()
	root, err := cluster.RepositoryRoot()
	s.Expect(err).NotTo(gomega.HaveOccurred())
	address := func(what string) string {
		port, err := suite.Port(name + what)
		s.Expect(err).NotTo(gomega.HaveOccurred())
		return fmt.Sprintf("127.0.0.1:%d", port)
	}
	health, serves = address("-health"), address("")
	process, err = suite.Run(s.ctx, cluster.Program{
		Name: name, Binary: filepath.Join(root, "bin", command), Health: "http://" + health + "/healthz",
		Args: append([]string{"--kubeconfig=" + kubeconfig, "--namespace=" + operators, "--health-probe-bind-address=" + health}, flags...),
	})
	s.Expect(err).NotTo(gomega.HaveOccurred())
	s.t.Cleanup(func() { _ = process.Stop(context.Background()) })
	return process, "http://" + health, serves
}

func kubeconfigOf(command string) string { return filepath.Join(suite.Dir(), command+".kubeconfig") }

// elsewhere is a kubeconfig of a cluster that does not answer.
func (s *site) elsewhere(command string) string {
	s.t.Helper()
	config, err := clientcmd.LoadFromFile(kubeconfigOf(command))
	s.Expect(err).NotTo(gomega.HaveOccurred())
	for _, one := range config.Clusters {
		one.Server = "https://127.0.0.1:1"
	}
	path := filepath.Join(s.t.TempDir(), "kubeconfig")
	s.Expect(clientcmd.WriteToFile(*config, path)).To(gomega.Succeed())
	return path
}

// certificate stores a certificate that was issued at a time.
func (s *site) certificate(name string, at time.Time) {
	s.t.Helper()
	owner := &authority.Authority{}
	_, err := owner.Advance(at)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	pair, err := owner.Issue([]string{"localhost"}, at)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: operators, Name: name}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: pair.Certificate, corev1.TLSPrivateKeyKey: pair.Key},
	}
	s.Expect(client.IgnoreNotFound(s.admin.Delete(s.ctx, secret.DeepCopy()))).To(gomega.Succeed())
	s.Expect(s.admin.Create(s.ctx, secret)).To(gomega.Succeed())
}

// TestATokenServerThatKnowsNothing: it lives, and is not ready.
func TestATokenServerThatKnowsNothing(t *testing.T) {
	s := newSite(t)
	_, health, _ := s.runs("tokenserver", "lost", s.elsewhere("tokenserver"), "--bind-address=127.0.0.1:0", "--shutdown-delay=0")
	s.becomes(health, "/healthz", http.StatusOK, "ok")
	s.becomes(health, "/readyz", http.StatusServiceUnavailable, "no certificate")
	_, told := s.asked(health, "/metrics")
	s.Expect(told).To(gomega.And(
		gomega.ContainSubstring("\nrefreshkeys_tokenserver_ready 0\n"), gomega.ContainSubstring("\nrefreshkeys_view_staleness_seconds 9.2"),
		gomega.ContainSubstring("\nrefreshkeys_certificate_expiry_timestamp_seconds 0\n"),
	))
}

// TestATokenServersCertificate: without one, and with one that has expired, it is not ready; it lives, and is ready
// again when there is a good one, with no restart.
func TestATokenServersCertificate(t *testing.T) {
	s := newSite(t)
	_, health, _ := s.runs("tokenserver", "certified", kubeconfigOf("tokenserver"), "--bind-address=127.0.0.1:0", "--shutdown-delay=0", "--tls-secret=certified-tls")
	s.becomes(health, "/readyz", http.StatusServiceUnavailable, "the serving certificate is not loaded yet")
	s.certificate("certified-tls", time.Now())
	s.becomes(health, "/readyz", http.StatusOK, "ok")
	s.certificate("certified-tls", time.Now().Add(-2*365*24*time.Hour))
	s.becomes(health, "/readyz", http.StatusServiceUnavailable, "has expired")
	s.becomes(health, "/healthz", http.StatusOK, "ok")
	s.certificate("certified-tls", time.Now())
	s.becomes(health, "/readyz", http.StatusOK, "ok")
}

// TestATokenServerThatIsToldToEnd: a load balancer learns of it at once, and whoever comes before it has acted on that is
// answered, with the hint to connect to another.
func TestATokenServerThatIsToldToEnd(t *testing.T) {
	s := newSite(t)
	s.furnish()
	s.key("drained-orders")
	const delay = 5 * time.Second
	port, err := suite.Port("drained")
	s.Expect(err).NotTo(gomega.HaveOccurred())
	process, health, serves := s.runs("tokenserver", "drained", kubeconfigOf("tokenserver"), fmt.Sprintf("--bind-address=127.0.0.1:%d", port), "--shutdown-delay="+delay.String())
	s.becomes(health, "/readyz", http.StatusOK, "ok")
	_, served, _ := strings.Cut(serves, ":")
	jwks := "https://localhost:" + served + "/jwks.json"
	answers := func() (status int, closes bool) {
		request, err := http.NewRequestWithContext(s.ctx, http.MethodGet, jwks, http.NoBody)
		s.Expect(err).NotTo(gomega.HaveOccurred())
		// It is an issuer's host that is asked, at another replica.
		request.Host = strings.TrimPrefix(s.url, "https://")
		response, err := s.users.Do(request)
		if err != nil {
			return 0, false
		}
		defer response.Body.Close()
		return response.StatusCode, response.Close
	}
	s.Eventually(func() int { status, _ := answers(); return status }, patience, pollEvery).Should(gomega.Equal(http.StatusOK))
	_, closes := answers()
	s.Expect(closes).To(gomega.BeFalse(), "clients are sent away from a replica that goes on")

	told := time.Now()
	s.Expect(syscall.Kill(process.Pid(), syscall.SIGTERM)).To(gomega.Succeed())
	s.Eventually(func() int { status, _ := s.asked(health, "/readyz"); return status }, 2*time.Second, time.Millisecond).Should(gomega.Equal(http.StatusServiceUnavailable))
	_, says := s.asked(health, "/readyz")
	s.Expect(says).To(gomega.ContainSubstring("shutting down"))
	last := told
	for {
		alive, _ := s.asked(health, "/healthz")
		status, closes := answers()
		if status == 0 {
			break
		}
		last = time.Now()
		s.Expect(status).To(gomega.Equal(http.StatusOK))
		s.Expect(closes).To(gomega.BeTrue(), "nobody is told to connect to another")
		s.Expect(alive).To(gomega.Equal(http.StatusOK), "a replica that drains is killed for it")
	}
	s.Expect(last.Sub(told)).To(gomega.BeNumerically(">", delay-time.Second), "it ends before load balancers know")
	s.Eventually(process.Running, patience, pollEvery).Should(gomega.BeFalse())
}

// TestAManagerThatWaits: one that does not lead is ready too, or a rollout would never go on; and it tells that it does
// not lead.
func TestAManagerThatWaits(t *testing.T) {
	s := newSite(t)
	s.furnish()
	port, err := suite.Port("waiting")
	s.Expect(err).NotTo(gomega.HaveOccurred())
	process, health, _ := s.runs("manager", "waiting", kubeconfigOf("manager"), fmt.Sprintf("--metrics-bind-address=127.0.0.1:%d", port), "--metrics-secure=false")
	s.becomes(health, "/readyz", http.StatusOK, "ok")
	s.becomes(health, "/healthz", http.StatusOK, "ok")
	// What the alerts and the dashboard take from any manager.
	metrics := fmt.Sprintf("http://127.0.0.1:%d", port)
	s.becomes(metrics, "/metrics", http.StatusOK, "\nleader_election_master_status{name=\"refreshkeys-manager\"} 0\n")
	s.becomes(metrics, "/metrics", http.StatusOK, "\nrefreshkeys_issuer_ready{")
	log, err := os.ReadFile(process.LogPath())
	s.Expect(err).NotTo(gomega.HaveOccurred())
	s.Expect(string(log)).NotTo(gomega.ContainSubstring("Starting Controller"), "two managers work")
}

// TestAManagerThatKnowsNothing: one whose caches do not fill, here for want of rights, lives, and is not ready.
func TestAManagerThatKnowsNothing(t *testing.T) {
	s := newSite(t)
	s.furnish()
	blind := filepath.Join(t.TempDir(), "kubeconfig")
	s.Expect(suite.ServiceAccountKubeconfig(s.ctx, namespace, account, blind)).To(gomega.Succeed())
	_, health, _ := s.runs("manager", "blind", blind, "--metrics-bind-address=0")
	s.becomes(health, "/healthz", http.StatusOK, "ok")
	s.becomes(health, "/readyz", http.StatusInternalServerError, "caches")
}
