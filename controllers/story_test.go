package controllers_test

import (
	"testing"

	"github.com/onsi/gomega"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// TestAKeyBecomesATokenInASecret is the operator in one test: a key, a token, a rotation, a revocation.
func TestAKeyBecomesATokenInASecret(t *testing.T) {
	w := newWorld(t)
	w.createIssuer()
	key := w.createKey("orders")
	w.start()

	w.becomes(key, v1alpha1.ReasonIssued)
	first := w.secret("orders")
	w.Expect(token.Hash(string(first.Data["token"]))).To(gomega.Equal(key.Status.TokenHash))
}
