package service

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

// TestAReplicaKilledBetweenClaimAndAnswer kills the process of a replica after the API server stored its claim and
// before the replica gets the answer. It checks that a retry at another replica gets the same successor.
func TestAReplicaKilledBetweenClaimAndAnswer(t *testing.T) {
	h := newManaged(t, clock.RealClock{})
	key := h.Key("device", oneTime(time.Minute))
	held := h.AwaitRevision(key, 1)
	killed, two := h.process(key), h.Replica()

	killed.armed.Store(true)
	_, err := killed.refresh(h, held)
	h.Expect(err).To(gomega.HaveOccurred(), "the process was killed before it could answer")
	h.retries(two, key, held)
}

// process is a replica in its own process. Once armed, it is killed as soon as the API server has answered its
// next status write, before it gets the answer.
type process struct {
	command *exec.Cmd
	armed   atomic.Bool
	url     string
	client  *http.Client
}

// process starts a replica and waits until it exchanges the issuer's tokens. It trusts the certificate authority
// in the key's Secret.
func (h *fixture) process(key *v1alpha1.JWTRefreshKey) *process {
	h.T.Helper()
	dir := h.T.TempDir()
	binary := filepath.Join(dir, "tokenserver")
	h.Expect(cluster.Build(h.Ctx, server.Root, "./cmd/tokenserver", binary)).To(gomega.Succeed())
	address, health := h.freeAddress(), h.freeAddress()
	p := &process{url: "https://" + address + "/" + h.Name, client: &http.Client{Transport: h.trusting(key)}}
	p.command = exec.CommandContext(h.Ctx, binary, "--namespace="+apiserver.Namespace, "--bind-address="+address,
		"--health-probe-bind-address="+health, "--kubeconfig="+p.wayToAPIServer(h, dir))
	log, err := os.Create(filepath.Join(dir, "log"))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	p.command.Stdout, p.command.Stderr = log, log
	h.Expect(p.command.Start()).To(gomega.Succeed())
	h.T.Cleanup(func() {
		_ = p.command.Process.Kill()
		_ = p.command.Wait()
	})
	h.Eventually(func() error {
		response, err := http.Get("http://" + health + "/readyz")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("the replica is not ready: %s", response.Status)
		}
		return nil
	}).Should(gomega.Succeed(), func() string {
		said, _ := os.ReadFile(log.Name())
		return string(said)
	})
	response, err := http.Get("http://" + health + "/metrics")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	defer response.Body.Close()
	metrics, err := io.ReadAll(response.Body)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(string(metrics)).To(gomega.ContainSubstring("refreshkeys_view_staleness_seconds"), "metrics have a port of their own, beside health")
	return p
}

func (h *fixture) freeAddress() string {
	h.T.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	defer listener.Close()
	return listener.Addr().String()
}

// trusting returns a transport that trusts the authority in the key's Secret, for the host of the issuer's URL.
func (h *fixture) trusting(key *v1alpha1.JWTRefreshKey) *http.Transport {
	h.T.Helper()
	var secret corev1.Secret
	h.Expect(h.Admin.Get(h.Ctx, types.NamespacedName{Namespace: key.Namespace, Name: key.Name}, &secret)).To(gomega.Succeed())
	roots := x509.NewCertPool()
	h.Expect(roots.AppendCertsFromPEM(secret.Data[v1alpha1.SecretCA])).To(gomega.BeTrue())
	issuer, err := url.Parse(h.URL())
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: issuer.Hostname(), MinVersion: tls.VersionTLS13}}
}

// wayToAPIServer returns a kubeconfig with the token service's rights, for a proxy that kills the process before
// it returns the API server's answer.
func (p *process) wayToAPIServer(h *fixture, dir string) string {
	h.T.Helper()
	config, err := server.TokenServer(h.Ctx)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	target, err := url.Parse(config.Host)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	// The process has no credentials: clients send none to a server without TLS.
	transport, err := rest.TransportFor(config)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(response *http.Response) error {
			request := response.Request
			if request.Method == http.MethodPut && strings.HasSuffix(request.URL.Path, "/status") && p.armed.Load() {
				return p.command.Process.Kill()
			}
			return nil
		},
	})
	h.T.Cleanup(proxy.CloseClientConnections)
	h.T.Cleanup(proxy.Close)
	path := filepath.Join(dir, "kubeconfig")
	h.Expect(clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"proxy": {Server: proxy.URL}},
		Contexts:       map[string]*clientcmdapi.Context{"proxy": {Cluster: "proxy"}},
		CurrentContext: "proxy",
	}, path)).To(gomega.Succeed())
	return path
}

// refresh exchanges a token at the process; it returns an error if there is no answer.
func (p *process) refresh(h *fixture, compact string) (status int, err error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {compact}}
	request, err := http.NewRequestWithContext(h.Ctx, http.MethodPost, p.url+"/token", strings.NewReader(form.Encode()))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := p.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	return response.StatusCode, nil
}
