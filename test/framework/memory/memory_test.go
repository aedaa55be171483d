package memory_test

import (
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/test/framework/memory"
	"github.com/refreshkeys/refreshkeys/test/framework/registrytest"
)

// TestRegistry runs the contract of a registry. test/service runs it against a real cluster.
func TestRegistry(t *testing.T) {
	registrytest.Run(t, func(t *testing.T) *registrytest.Cluster {
		r := memory.New(clocktesting.NewFakePassiveClock(time.Unix(1e9, 0)))
		r.PutNamespace("shop", nil)
		return &registrytest.Cluster{Registry: r, Admin: r, Namespace: "shop", Prefix: "tokens", Report: func() {}}
	})
}
