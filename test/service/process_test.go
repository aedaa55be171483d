package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

// process is a replica in its own process. It can be killed and started again any number of times, and keeps its addresses.
type process struct {
	h *fixture
	// address and health are where it serves its endpoints, and health and metrics.
	address, health string
	// api is its only way to the API server.
	api    *apiProxy
	binary string
	log    *os.File

	// mu guards the run. ended is closed when it has ended.
	mu      sync.Mutex
	command *exec.Cmd
	ended   chan struct{}
}

// builtIn is the folder of what built has built; empty before.
var builtIn string

// built returns the program of the token service, which it builds once.
var built = sync.OnceValues(func() (binary string, err error) {
	if builtIn, err = os.MkdirTemp("", "service-"); err != nil {
		return "", err
	}
	binary = filepath.Join(builtIn, "tokenserver")
	return binary, cluster.Build(context.Background(), server.Root, "./cmd/tokenserver", binary)
})

// processes starts replicas, and waits until they are ready.
func (h *fixture) processes(count int) []*process {
	h.T.Helper()
	dir := h.T.TempDir()
	binary, err := built()
	h.Expect(err).NotTo(gomega.HaveOccurred())
	all := make([]*process, count)
	for i := range all {
		log, err := os.Create(filepath.Join(dir, fmt.Sprintf("log-%d", i)))
		h.Expect(err).NotTo(gomega.HaveOccurred())
		p := &process{h: h, binary: binary, log: log}
		h.T.Cleanup(func() { _ = log.Close() })
		for _, address := range []*string{&p.address, &p.health} {
			*address, err = cluster.FreeAddress()
			h.Expect(err).NotTo(gomega.HaveOccurred())
		}
		p.api = h.apiProxy(filepath.Join(dir, fmt.Sprintf("kubeconfig-%d", i)), p.signal)
		all[i] = p
		p.begin()
		h.T.Cleanup(p.kill)
	}
	for _, p := range all {
		p.ready()
	}
	return all
}

// begin runs the replica unless it runs, and does not wait.
func (p *process) begin() {
	p.h.T.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running() {
		return
	}
	command := exec.CommandContext(p.h.Ctx, p.binary, "--namespace="+apiserver.Namespace, "--bind-address="+p.address,
		"--health-probe-bind-address="+p.health, "--kubeconfig="+p.api.kubeconfig)
	command.Stdout, command.Stderr = p.log, p.log
	p.h.Expect(command.Start()).To(gomega.Succeed())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = command.Wait()
	}()
	p.command, p.ended = command, ended
}

func (p *process) running() bool {
	if p.command == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// probe returns nil if the replica is ready.
func (p *process) probe() error {
	response, err := http.Get("http://" + p.health + "/readyz")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the replica is not ready: %s", response.Status)
	}
	return nil
}

// ready waits until the replica is ready.
func (p *process) ready() {
	p.h.T.Helper()
	p.h.Eventually(p.probe).Should(gomega.Succeed(), func() string {
		said, _ := os.ReadFile(p.log.Name())
		return string(said)
	})
}

// signal sends SIGKILL, and does not wait.
func (p *process) signal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.command.Process.Kill()
}

// kill ends the process as a crash does, and returns when it has ended.
func (p *process) kill() {
	p.signal()
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	<-ended
}

// pid returns the id of the process.
func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.command.Process.Pid
}

// trusting returns a transport that trusts the authority of the token service.
func (h *fixture) trusting() *http.Transport {
	h.T.Helper()
	secret, err := h.Secret(apiserver.Namespace, "refreshkeys-tokenserver-tls")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	roots := x509.NewCertPool()
	h.Expect(roots.AppendCertsFromPEM(secret.Data[v1alpha1.SecretCA])).To(gomega.BeTrue())
	issuer, err := url.Parse(h.URL())
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: issuer.Hostname(), MinVersion: tls.VersionTLS13}}
}

// apiProxy is the way of one process to the API server, with the rights of the token service. It records the requests that write, and can
// kill the process after the API server has answered a request, before the process gets the answer.
type apiProxy struct {
	kubeconfig string
	deadly     atomic.Pointer[trap]

	// mu guards the rest.
	mu sync.Mutex
	// writes are the requests that change an object, as method and path.
	writes []string
	// reads and reviews count the requests that change nothing. A review (TokenReview, SubjectAccessReview) is answered and not stored.
	reads, reviews int
}

// trap kills one process: the first one that sends a request which matches.
type trap struct {
	method, suffix string
	sprung         atomic.Bool
}

func (t *trap) catches(request *http.Request) bool {
	return t != nil && request.Method == t.method && strings.HasSuffix(request.URL.Path, t.suffix) && t.sprung.CompareAndSwap(false, true)
}

// firstToken returns a trap at the write of a token to the status of a refresh key.
func firstToken() *trap { return &trap{method: http.MethodPut, suffix: "/status"} }

// creation returns a trap at the creation of a refresh key.
func creation() *trap { return &trap{method: http.MethodPost, suffix: "/jwtrefreshkeys"} }

// apiProxy starts a proxy, and writes the kubeconfig of a process that uses it.
func (h *fixture) apiProxy(kubeconfig string, kill func()) *apiProxy {
	h.T.Helper()
	config := h.TokenServiceConfig()
	target, err := url.Parse(config.Host)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	// The process has no credentials: clients send none to a server without TLS.
	transport, err := rest.TransportFor(config)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	a := &apiProxy{kubeconfig: kubeconfig}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			a.record(r.In)
			r.SetURL(target)
		},
		ModifyResponse: func(response *http.Response) error {
			if a.deadly.Load().catches(response.Request) {
				kill()
			}
			return nil
		},
	})
	h.T.Cleanup(proxy.CloseClientConnections)
	h.T.Cleanup(proxy.Close)
	h.Expect(clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"proxy": {Server: proxy.URL}},
		Contexts:       map[string]*clientcmdapi.Context{"proxy": {Cluster: "proxy"}},
		CurrentContext: "proxy",
	}, kubeconfig)).To(gomega.Succeed())
	return a
}

func (a *apiProxy) record(request *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case request.Method == http.MethodGet:
		a.reads++
	case strings.HasSuffix(request.URL.Path, "reviews"):
		a.reviews++
	default:
		a.writes = append(a.writes, request.Method+" "+request.URL.Path)
	}
}

// apiCalls are the requests of a process to the API server.
type apiCalls struct {
	writes         []string
	reads, reviews int
}

// taken returns the requests since the last call.
func (a *apiProxy) taken() apiCalls {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls := apiCalls{a.writes, a.reads, a.reviews}
	a.writes, a.reads, a.reviews = nil, 0, 0
	return calls
}
