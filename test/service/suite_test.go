// Package service tests the token service with real replicas, which have the rights of their ServiceAccount, a
// manager and an API server. Clients use TLS.
package service

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

var server *apiserver.Server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	defer func() { _ = os.RemoveAll(builtIn) }()
	return apiserver.Main(m, &server)
}

// patience bounds what the harness does not wait for: connections, and calls of a client.
const patience = 20 * time.Second

// fixture is a namespace with an issuer, a manager and replicas of the token service.
type fixture struct{ *harness.Harness }

func newFixture(t *testing.T, clock clock.PassiveClock) *fixture {
	t.Helper()
	h := &fixture{harness.New(t, server, clock)}
	h.CreateNamespace(h.Name, nil)
	return h
}

// newManaged returns a fixture with the test's issuer and a manager.
func newManaged(t *testing.T, clock clock.PassiveClock) *fixture {
	t.Helper()
	h := newFixture(t, clock)
	h.Issuer()
	h.Manage()
	return h
}

// newReplica returns a fixture with the test's issuer, a manager and a replica.
func newReplica(t *testing.T, clock clock.PassiveClock) (*fixture, *operator.Replica) {
	t.Helper()
	h := newManaged(t, clock)
	return h, h.Replica()
}

// newReplicas returns a fixture with the test's issuer, a manager and two replicas.
func newReplicas(t *testing.T, clock clock.PassiveClock) (h *fixture, one, two *operator.Replica) {
	t.Helper()
	h, one = newReplica(t, clock)
	return h, one, h.Replica()
}

// connected returns the replica with another client that has one open connection (HTTP/2).
func (h *fixture) connected(r *operator.Replica) *operator.Replica {
	h.T.Helper()
	transport, ok := r.Client.Transport.(*http.Transport)
	h.Expect(ok).To(gomega.BeTrue())
	another := *r
	another.Client = &http.Client{Transport: transport.Clone()}
	h.T.Cleanup(another.Client.CloseIdleConnections)
	h.Expect(h.Post(&another, "/token", nil).Outcome()).To(gomega.Equal("400 invalid_request"))
	return &another
}
