// Package faults shows what the operator does when things go wrong: the manager stops in
// the middle of a write, two managers work at once, etcd and the API server go away, a
// Secret is refused, a signing key is withdrawn or lost.
//
// Everything runs against a real API server, with the rights of the manager's own
// ServiceAccount, and every token is judged by test/acceptance, as the token service will.
// With SOAK=true the suites take longer and go further.
package faults

import (
	"os"
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/refreshkeys/refreshkeys/test/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	// What is not logged by a manager with a logger of its own.
	ctrl.SetLogger(logr.Discard())
	os.Exit(apiserver.Main(m, &server))
}

func soak() bool { return os.Getenv("SOAK") == "true" }
