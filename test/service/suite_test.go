// Package service tests the token service with real replicas, which have the rights of their ServiceAccount, a
// manager and an API server. Clients use TLS.
package service

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/internal/tokenserver"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(apiserver.Main(m, &server))
}

const (
	patience  = 20 * time.Second
	pollEvery = 20 * time.Millisecond
	audience  = "https://orders.example.com"
)

// harness is a namespace with an issuer, a manager and replicas of the token service.
type harness struct {
	*gomega.WithT
	t     *testing.T
	ctx   context.Context
	admin client.Client
	// name is the name of the namespace and of the issuer.
	name  string
	clock clock.PassiveClock
	// log is the logger of the replicas; they do not log unless it is set.
	log logr.Logger
}

var harnesses atomic.Int64

func newHarness(t *testing.T, clock clock.PassiveClock) *harness {
	t.Helper()
	admin, err := client.New(server.Admin, client.Options{Scheme: controllers.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{
		WithT: gomega.NewWithT(t), t: t, ctx: t.Context(), admin: admin, clock: clock,
		name: fmt.Sprintf("test-%d-%d", os.Getpid(), harnesses.Add(1)),
	}
	h.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.name}})
	return h
}

func (h *harness) create(object client.Object) {
	h.t.Helper()
	h.Expect(h.admin.Create(h.ctx, object)).To(gomega.Succeed())
	h.t.Cleanup(func() { _ = h.admin.Delete(context.Background(), object) })
}

// url returns the issuer's URL. It has a path of its own, since one service serves many issuers.
func (h *harness) url() string { return "https://tokens.example.com/" + h.name }

func (h *harness) issuer(change ...func(*v1alpha1.JWTIssuer)) *v1alpha1.JWTIssuer {
	h.t.Helper()
	issuer := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: h.name}, Spec: v1alpha1.JWTIssuerSpec{URL: h.url()}}
	for _, c := range change {
		c(issuer)
	}
	h.create(issuer)
	return issuer
}

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
	return key
}

// manage runs a manager until the test ends.
func (h *harness) manage() (stop func()) {
	h.t.Helper()
	config, err := server.Manager(h.ctx)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return operator.Manage(h.t, config, logr.Discard(), controllers.Options{Clock: h.clock})
}

// replica is one replica of the token service.
type replica struct {
	*registry.Cluster
	handler *tokenserver.Server
	server  *httptest.Server
	client  *http.Client
	stop    func()
}

// replica starts a token service with the rights of its ServiceAccount, and waits until it is ready.
func (h *harness) replica(change ...func(*rest.Config, *registry.Options)) *replica {
	h.t.Helper()
	config, err := server.TokenServer(h.ctx)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	options := registry.Options{Clock: h.clock}
	for _, c := range change {
		c(config, &options)
	}
	served := operator.ServeLogged(h.t, config, options, h.log)
	return &replica{Cluster: served.Cluster, handler: served.Handler, server: served.Server, client: served.Server.Client(), stop: served.Stop}
}

// connected returns the replica with another client that has one open connection (HTTP/2).
func (h *harness) connected(r *replica) *replica {
	h.t.Helper()
	transport, ok := r.client.Transport.(*http.Transport)
	h.Expect(ok).To(gomega.BeTrue())
	another := *r
	another.client = &http.Client{Transport: transport.Clone()}
	h.t.Cleanup(another.client.CloseIdleConnections)
	h.Expect(h.post(&another, "/token", nil).outcome()).To(gomega.Equal("400 invalid_request"))
	return &another
}

// answer is the answer to a client.
type answer struct {
	status int
	header http.Header
	body   map[string]any
	raw    string
}

func (a *answer) text(name string) string {
	text, _ := a.body[name].(string)
	return text
}

// outcome returns the status, and the error code if there is one.
func (a *answer) outcome() string {
	if a.status == http.StatusOK {
		return "200"
	}
	return fmt.Sprintf("%d %s", a.status, a.text("error"))
}

// post sends a form to an endpoint of the issuer.
func (h *harness) post(r *replica, endpoint string, form url.Values, headers ...string) *answer {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.ctx, http.MethodPost, r.server.URL+"/"+h.name+endpoint, strings.NewReader(form.Encode()))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return h.do(r, request)
}

func (h *harness) do(r *replica, request *http.Request) *answer {
	h.t.Helper()
	got, err := operator.Do(r.client, request)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return &answer{status: got.Status, header: got.Header, raw: got.Raw, body: got.Body}
}

func (h *harness) refresh(r *replica, compact string, more ...string) *answer {
	h.t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {compact}}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return h.post(r, "/token", form)
}

// reaches waits until the key's Secret contains the token of a revision, and returns it.
func (h *harness) reaches(key *v1alpha1.JWTRefreshKey, revision int64) string {
	h.t.Helper()
	var held string
	h.Eventually(func() error {
		if err := h.admin.Get(h.ctx, client.ObjectKeyFromObject(key), key); err != nil {
			return err
		}
		secret := &corev1.Secret{}
		if err := h.admin.Get(h.ctx, types.NamespacedName{Namespace: key.Namespace, Name: key.Name}, secret); err != nil {
			return err
		}
		held = string(secret.Data[v1alpha1.SecretToken])
		if key.Status.Revision != revision || token.Hash(held) != key.Status.TokenHash {
			return fmt.Errorf("revision %d of %s is on record, and the Secret does not hold %d", key.Status.Revision, key.Name, revision)
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
