package controllers_test

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/acceptance"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// tokenIn returns the hash of the token in a Secret, since a failing test must not print the token; empty without one.
func (w *fixture) tokenIn(name string) func() string {
	return func() string {
		secret, err := w.Secret(w.Name, name)
		if apierrors.IsNotFound(err) {
			return "no Secret"
		}
		w.Expect(err).NotTo(gomega.HaveOccurred())
		held := secret.Data[v1alpha1.SecretToken]
		if len(held) == 0 {
			return ""
		}
		return token.Hash(string(held))
	}
}

func (w *fixture) verifier() *acceptance.Verifier {
	return &acceptance.Verifier{Reader: w.Admin, Namespace: w.operator, Now: w.clock.Now}
}

func (w *fixture) accepts(compact string, want lifecycle.Standing) {
	w.T.Helper()
	standing, err := w.verifier().Accept(w.Ctx, compact, w.Name)
	w.Expect(err).NotTo(gomega.HaveOccurred())
	w.Expect(standing).To(gomega.Equal(want))
}

func (w *fixture) refuses(compact string) {
	w.T.Helper()
	standing, err := w.verifier().Accept(w.Ctx, compact, w.Name)
	w.Expect(errors.Is(err, acceptance.ErrRefused)).To(gomega.BeTrue(), "accepted with standing %v, or failed for another reason: %v", standing, err)
}

// parseAccess verifies an access token by the issuer's access ring.
func (w *fixture) parseAccess(compact string) *token.Claims {
	w.T.Helper()
	rings, err := keyring.Decode(w.signingKeys().Data)
	w.Expect(err).NotTo(gomega.HaveOccurred())
	claims, err := token.Parse(compact, token.Access, rings, w.URL(), w.clock.Now())
	w.Expect(err).NotTo(gomega.HaveOccurred())
	return claims
}

func hours(n int) *metav1.Duration { return &metav1.Duration{Duration: time.Duration(n) * time.Hour} }

func claims(object string) map[string]apiextensionsv1.JSON {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(object), &raw); err != nil {
		panic(err)
	}
	result := map[string]apiextensionsv1.JSON{}
	for name, value := range raw {
		result[name] = apiextensionsv1.JSON{Raw: value}
	}
	return result
}

// grantAll is an option of an issuer: its policy grants everything that a policy can grant.
var grantAll = harness.WithRules(v1alpha1.PolicyRule{
	Scopes: []string{"**"}, Claims: []string{"email", "tier", "beta", "groups"}, Subjects: []string{"**"},
})

func messageOf(key *v1alpha1.JWTRefreshKey) string {
	return meta.FindStatusCondition(key.Status.Conditions, v1alpha1.ConditionReady).Message
}
