// Package harness gives a test what most suites need: clients by role, namespaces, issuers and refresh keys, a manager
// and replicas of the token service in the test's process, exchanges, and waits that report the last state.
//
// A suite embeds a Harness in its own fixture and adds what only its tests do:
//
//	h := harness.New(t, server, clock.RealClock{})
//	h.CreateNamespace(h.Name, nil)
//	h.Issuer()
//	h.Manage()
//	held := h.AwaitRevision(h.Key("orders"), 1)
//	h.Expect(h.Refresh(h.Replica(), held).Outcome()).To(gomega.Equal("200"))
package harness

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

const (
	// Patience bounds each wait. It is long enough for a busy machine.
	Patience = time.Minute
	// PollEvery is the time between two looks of a wait.
	PollEvery = 20 * time.Millisecond
	// Audience is the audience of refresh keys that name no other.
	Audience = "https://orders.example.com"
)

// Harness is an API server and its clients, for one test. Its Eventually waits for Patience unless the call names
// another duration.
type Harness struct {
	*gomega.WithT
	T *testing.T
	// Ctx ends before the cleanup of the test begins.
	Ctx context.Context
	// Server is nil on a control plane that the suite runs by itself.
	Server *apiserver.Server
	// Admin has all rights (group system:masters), and reads without a cache.
	Admin client.Client
	// Clock is the clock of the managers and replicas that the harness runs.
	Clock clock.PassiveClock
	// Log is the logger of the replicas. It discards unless a test sets it.
	Log logr.Logger
	// Name is a name that no other test uses: that of the test's namespace and issuer, if it has only one.
	Name string
}

// New returns a harness on the API server that the tests of a package share.
func New(t *testing.T, server *apiserver.Server, clock clock.PassiveClock) *Harness {
	t.Helper()
	h := On(t, server.Admin, clock)
	h.Server = server
	return h
}

// On returns a harness on a control plane that the suite runs by itself, with the rights of config.
func On(t *testing.T, config *rest.Config, clock clock.PassiveClock) *Harness {
	t.Helper()
	h := &Harness{Admin: newClient(t, config), Clock: clock, Log: logr.Discard(), Name: UniqueName("test")}
	return h.In(t)
}

// In returns the harness for a subtest: its failures are those of the subtest.
func (h *Harness) In(t *testing.T) *Harness {
	in := *h
	in.T, in.Ctx, in.WithT = t, t.Context(), gomega.NewWithT(t)
	in.SetDefaultEventuallyTimeout(Patience)
	in.SetDefaultEventuallyPollingInterval(PollEvery)
	return &in
}

var names atomic.Int64

// UniqueName returns a name with a prefix that is not in use, even in a cluster that is used again. No such name is the
// prefix of another, below a thousand.
func UniqueName(prefix string) string {
	return fmt.Sprintf("%s-%d-%03d", prefix, os.Getpid(), names.Add(1))
}

func newClient(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	c, err := client.New(config, client.Options{Scheme: controllers.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// clients are the clients of users, since each discovers the kinds of the API server again.
var clients sync.Map

// As returns a client for a user, who has no rights until a test grants some.
func (h *Harness) As(user string, groups ...string) client.Client {
	h.T.Helper()
	name := fmt.Sprint(h.Server.Admin.Host, user, groups)
	if known, ok := clients.Load(name); ok {
		return known.(client.Client)
	}
	c := newClient(h.T, h.Server.As(user, groups...))
	clients.Store(name, c)
	return c
}

// ManagerConfig returns a configuration with the exact rights of the manager.
func (h *Harness) ManagerConfig() *rest.Config {
	h.T.Helper()
	config, err := h.Server.Manager(h.Ctx)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return config
}

// TokenServiceConfig returns a configuration with the exact rights of the token service.
func (h *Harness) TokenServiceConfig() *rest.Config {
	h.T.Helper()
	config, err := h.Server.TokenServer(h.Ctx)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return config
}

// AccountToken returns a token of a ServiceAccount for audiences, or for the API server if there are none.
func (h *Harness) AccountToken(namespace, name string, audiences ...string) string {
	h.T.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
	h.Expect(h.Admin.SubResource("token").Create(h.Ctx, account, request)).To(gomega.Succeed())
	return request.Status.Token
}
