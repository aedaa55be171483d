package interop

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
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
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/internal/tokenserver"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

// harness is a test's own installation: a namespace, an issuer, a manager and a token service, which use the
// test's clock.
type harness struct {
	*gomega.WithT
	t     *testing.T
	ctx   context.Context
	admin client.Client
	clock *clocktesting.FakePassiveClock
	// name is the name of the namespace and of the issuer, and the path of its URL.
	name string
	port int
	// uses is the registry of the token service.
	uses *registry.Cluster
	// http trusts only the token service's certificate authority.
	http *http.Client
}

var harnesses atomic.Int64

// newHarness starts a harness at a time, on a port; 0 for any port.
func newHarness(t *testing.T, now time.Time, port int, change ...func(*v1alpha1.JWTIssuer)) *harness {
	t.Helper()
	admin, err := client.New(suite.server.Admin, client.Options{Scheme: controllers.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{
		WithT: gomega.NewWithT(t), t: t, ctx: t.Context(), admin: admin, port: port,
		clock: clocktesting.NewFakePassiveClock(now),
		name:  fmt.Sprintf("test-%d-%d", os.Getpid(), harnesses.Add(1)),
		http:  trusting(t),
	}
	if port == suite.clusterPort {
		h.name = clusterIssuer
	}
	h.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.name}})
	h.manage()
	h.serve()
	issuer := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: h.name}, Spec: v1alpha1.JWTIssuerSpec{URL: h.url()}}
	for _, c := range change {
		c(issuer)
	}
	h.create(issuer)
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
func (h *harness) url() string { return fmt.Sprintf("https://%s:%d/%s", host, h.port, h.name) }

func (h *harness) create(object client.Object) {
	h.t.Helper()
	h.Expect(h.admin.Create(h.ctx, object)).To(gomega.Succeed())
	h.t.Cleanup(func() { _ = h.admin.Delete(context.Background(), object) })
}

// manage runs a manager, with the rights of its ServiceAccount, until the test ends.
func (h *harness) manage() {
	h.t.Helper()
	config, err := suite.server.Manager(h.ctx)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	mgr, err := controllers.NewManager(config, ctrl.Options{Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"}},
		controllers.Options{Namespace: apiserver.Namespace, Clock: h.clock, SeveralInProcess: true})
	h.Expect(err).NotTo(gomega.HaveOccurred())
	apiserver.Run(h.t, mgr)
}

// serve runs a token service, with the rights of its ServiceAccount, until the test ends.
func (h *harness) serve() {
	h.t.Helper()
	config, err := suite.server.TokenServer(h.ctx)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	cluster, err := registry.New(config, registry.Options{Namespace: apiserver.Namespace, Clock: h.clock})
	h.Expect(err).NotTo(gomega.HaveOccurred())
	clients, err := kubernetes.NewForConfig(config)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.uses = cluster
	certificate := tokenserver.NewCertificate(clients, apiserver.Namespace, certificateName, clock.RealClock{}, logr.Discard())
	listener, err := (&net.ListenConfig{}).Listen(h.ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(h.port)))
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
	h.t.Cleanup(func() {
		h.Expect(server.Close()).To(gomega.Succeed())
		cancel()
		for range cap(done) {
			h.Expect(<-done).To(gomega.Succeed(), "a part of the token service failed")
		}
	})
	h.Eventually(cluster.Fresh, patience, pollEvery).Should(gomega.Succeed(), "the views of the token service never became fresh")
	h.Eventually(certificate.Ready, patience, pollEvery).Should(gomega.Succeed(), "the token service never loaded its certificate")
}

func (h *harness) handler(config *rest.Config, cluster *registry.Cluster) http.Handler {
	h.t.Helper()
	newID := func() string { return uuid.Must(uuid.NewV7()).String() }
	handler, err := tokenserver.ForCluster(config, cluster, apiserver.Namespace, h.clock, newID, tokenserver.Options{Clock: clock.RealClock{}, Log: logr.Discard()})
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return handler
}

// key creates a refresh key, and waits for its first token.
func (h *harness) key(name string, change ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	h.t.Helper()
	key := &v1alpha1.JWTRefreshKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: h.name, Name: name},
		Spec:       v1alpha1.JWTRefreshKeySpec{Audience: audience, IssuerRef: &v1alpha1.IssuerReference{Name: h.name}},
	}
	for _, c := range change {
		c(key)
	}
	h.create(key)
	h.reaches(key, 1)
	return key
}

// accessFor sets the lifetime of a key's access tokens.
func accessFor(lifetime time.Duration) func(*v1alpha1.JWTRefreshKey) {
	return func(key *v1alpha1.JWTRefreshKey) {
		key.Spec.AccessToken = &v1alpha1.KeyAccessTokenSpec{Lifetime: &metav1.Duration{Duration: lifetime}}
	}
}

// held returns the token in a key's Secret.
func (h *harness) held(key *v1alpha1.JWTRefreshKey) (string, error) {
	secret := &corev1.Secret{}
	err := h.admin.Get(h.ctx, types.NamespacedName{Namespace: key.Namespace, Name: key.Name}, secret)
	return string(secret.Data[v1alpha1.SecretToken]), err
}

// reaches waits until the key's Secret contains the token of a revision, and returns it.
func (h *harness) reaches(key *v1alpha1.JWTRefreshKey, revision int64) (held string) {
	h.t.Helper()
	h.Eventually(func() (err error) {
		if err := h.admin.Get(h.ctx, client.ObjectKeyFromObject(key), key); err != nil {
			return err
		}
		if held, err = h.held(key); err != nil {
			return err
		}
		if key.Status.Revision != revision || token.Hash(held) != key.Status.TokenHash {
			return fmt.Errorf("%s must reach revision %d: status has revision %d, and the Secret contains its token: %v",
				key.Name, revision, key.Status.Revision, token.Hash(held) == key.Status.TokenHash)
		}
		return nil
	}, patience, pollEvery).Should(gomega.Succeed())
	return held
}

// edit changes an object as a user does, and retries after a conflict.
func (h *harness) edit(object client.Object, change func()) {
	h.t.Helper()
	h.Eventually(func() error { return apiserver.Edit(h.ctx, h.admin, object, change) }, patience, pollEvery).Should(gomega.Succeed())
}

func (h *harness) annotate(object client.Object, name, value string) {
	h.t.Helper()
	h.edit(object, apiserver.Annotate(object, name, value))
}

// touch triggers a reconciliation of an object: the clock is the test's, and the work queue has its own.
func (h *harness) touch(object client.Object) {
	h.t.Helper()
	h.annotate(object, "interop/touched", h.clock.Now().String())
}
