package interop

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/serving"
	"github.com/refreshkeys/refreshkeys/internal/tokenserver"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// fixture is a test's own installation: a namespace, an issuer, a manager and a token service, which use the
// test's clock.
type fixture struct {
	*harness.Harness
	clock *clocktesting.FakePassiveClock
	port  int
	// uses is the registry of the token service.
	uses *registry.Cluster
	// http trusts only the token service's certificate authority.
	http *http.Client
}

// newFixture starts an installation at a time, on a port; 0 for any port.
func newFixture(t *testing.T, now time.Time, port int, options ...func(*v1alpha1.JWTIssuer)) *fixture {
	t.Helper()
	clock := clocktesting.NewFakePassiveClock(now)
	h := &fixture{Harness: harness.New(t, suite.server, clock), clock: clock, port: port, http: trusting(t)}
	switch port {
	case suite.clusterPort:
		h.Name = clusterIssuer
	case suite.peoplePort:
		h.Name = peopleIssuer
	case suite.pluginPort:
		h.Name = pluginIssuer
	}
	h.CreateNamespace(h.Name, nil)
	h.Manage()
	h.serve()
	h.Issuer(append([]func(*v1alpha1.JWTIssuer){func(issuer *v1alpha1.JWTIssuer) { issuer.Spec.URL = h.url() }}, options...)...)
	return h
}

// trusting returns a client that trusts the certificate authority, as any program would.
func trusting(t *testing.T) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: suite.trusted}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// url returns the issuer's URL, the only configuration of a client or verifier.
func (h *fixture) url() string { return fmt.Sprintf("https://%s:%d/%s", host, h.port, h.Name) }

// serve runs a token service, with the rights of its ServiceAccount, until the test ends.
func (h *fixture) serve() {
	h.T.Helper()
	config := h.TokenServiceConfig()
	cluster, err := registry.New(config, registry.Options{Namespace: apiserver.Namespace, Clock: h.clock})
	h.Expect(err).NotTo(gomega.HaveOccurred())
	clients, err := kubernetes.NewForConfig(config)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.uses = cluster
	certificate := serving.NewCertificate(serving.OfSecret(clients, apiserver.Namespace, certificateName), clock.RealClock{}, logr.Discard())
	listener, err := (&net.ListenConfig{}).Listen(h.Ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(h.port)))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.port = listener.Addr().(*net.TCPAddr).Port
	server := tokenserver.NewHTTPServer(h.handler(config, cluster), certificate.Config())

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 3)
	go func() { done <- cluster.Run(ctx) }()
	go func() { done <- certificate.Run(ctx) }()
	go func() {
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			done <- err
			return
		}
		done <- nil
	}()
	h.T.Cleanup(func() {
		h.Expect(server.Close()).To(gomega.Succeed())
		cancel()
		for range cap(done) {
			h.Expect(<-done).To(gomega.Succeed(), "a part of the token service failed")
		}
	})
	h.Eventually(cluster.Fresh).Should(gomega.Succeed(), "the views of the token service never became fresh")
	h.Eventually(certificate.Ready).Should(gomega.Succeed(), "the token service never loaded its certificate")
}

func (h *fixture) handler(config *rest.Config, cluster *registry.Cluster) http.Handler {
	h.T.Helper()
	newID := func() string { return uuid.Must(uuid.NewV7()).String() }
	handler, err := tokenserver.ForCluster(config, cluster, apiserver.Namespace, h.clock, newID, tokenserver.Options{Clock: clock.RealClock{}, Log: logr.Discard()})
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return handler
}

// key creates a refresh key, and waits for its first token.
func (h *fixture) key(name string, change ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	h.T.Helper()
	key := h.Key(name, change...)
	h.AwaitRevision(key, 1)
	return key
}

// accessFor sets the lifetime of a key's access tokens.
func accessFor(lifetime time.Duration) func(*v1alpha1.JWTRefreshKey) {
	return func(key *v1alpha1.JWTRefreshKey) {
		key.Spec.AccessToken = &v1alpha1.KeyAccessTokenSpec{Lifetime: &metav1.Duration{Duration: lifetime}}
	}
}

// held returns the token in a key's Secret.
func (h *fixture) held(key *v1alpha1.JWTRefreshKey) (string, error) {
	secret := &corev1.Secret{}
	err := h.Admin.Get(h.Ctx, types.NamespacedName{Namespace: key.Namespace, Name: key.Name}, secret)
	return string(secret.Data[v1alpha1.SecretToken]), err
}

// touch triggers a reconciliation of an object: the clock is the test's, and the work queue has its own.
func (h *fixture) touch(object client.Object) {
	h.T.Helper()
	h.Annotate(object, "interop/touched", h.clock.Now().String())
}
