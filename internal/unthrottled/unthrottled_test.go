package unthrottled

import (
	"testing"

	"k8s.io/client-go/rest"
)

// TestConfig checks that a copy has no limit, and that the original keeps its own.
func TestConfig(t *testing.T) {
	original := &rest.Config{Host: "https://127.0.0.1:1", QPS: 7}
	got := Config(original)
	if got.QPS >= 0 || got.Host != original.Host || original.QPS != 7 {
		t.Errorf("%v of %v", got, original)
	}
}
