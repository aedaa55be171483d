// Package faults tests the operator under faults: the manager crashes between two writes, two managers run
// at once, etcd and the API server are down, a Secret is refused, a signing key is withdrawn or lost.
//
// All tests run against a real API server, with the rights of the manager's own ServiceAccount. Package
// test/framework/acceptance verifies every token in the same way as the token service. With SOAK=true the tests run
// longer and cover more cases.
package faults

import (
	"os"
	"testing"

	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) { os.Exit(apiserver.Main(m, &server)) }

// soak reports whether SOAK=true asks for the long tests.
func soak() bool { return os.Getenv("SOAK") == "true" }
