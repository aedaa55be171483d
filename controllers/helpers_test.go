package controllers_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/acceptance"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

// edit changes an object like a user, and retries with the newest state after a conflict.
func (w *harness) edit(object client.Object, change func()) {
	w.t.Helper()
	w.Eventually(func() error { return apiserver.Edit(w.ctx, w.admin, object, change) }, patience).Should(gomega.Succeed())
}

func (w *harness) annotate(key *v1alpha1.JWTRefreshKey, name, value string) {
	w.t.Helper()
	w.edit(key, apiserver.Annotate(key, name, value))
}

// poke triggers a reconciliation, since the work queue does not use the clock of the test.
func (w *harness) poke(key *v1alpha1.JWTRefreshKey) {
	w.t.Helper()
	w.edit(key, func() {
		metav1.SetMetaDataLabel(&key.ObjectMeta, "poked", fmt.Sprint(len(key.Labels["poked"])+1)+key.Labels["poked"])
	})
}

// reaches waits until a revision is recorded and its token is in the Secret.
func (w *harness) reaches(key *v1alpha1.JWTRefreshKey, revision int64) {
	w.t.Helper()
	w.Eventually(func() string {
		get(w, key)
		return fmt.Sprintf("revision %d, %v", key.Status.Revision, w.tokenIn(key.Status.SecretName)() == key.Status.TokenHash)
	}, patience, 20*time.Millisecond).Should(gomega.Equal(fmt.Sprintf("revision %d, true", revision)))
}

// tokenIn returns the hash of the token in a Secret, since a failing test must not print the token; empty without one.
func (w *harness) tokenIn(name string) func() string {
	return func() string {
		secret := &corev1.Secret{}
		err := w.admin.Get(w.ctx, types.NamespacedName{Namespace: w.namespace, Name: name}, secret)
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

func (w *harness) token(name string) string {
	w.t.Helper()
	return string(w.secret(name).Data[v1alpha1.SecretToken])
}

func (w *harness) verifier() *acceptance.Verifier {
	return &acceptance.Verifier{Reader: w.admin, Namespace: w.operator, Now: w.clock.Now}
}

func (w *harness) accepts(compact string, want lifecycle.Standing) {
	w.t.Helper()
	standing, err := w.verifier().Accept(w.ctx, compact, w.issuer)
	w.Expect(err).NotTo(gomega.HaveOccurred())
	w.Expect(standing).To(gomega.Equal(want))
}

func (w *harness) refuses(compact string) {
	w.t.Helper()
	standing, err := w.verifier().Accept(w.ctx, compact, w.issuer)
	w.Expect(errors.Is(err, acceptance.ErrRefused)).To(gomega.BeTrue(), "accepted with standing %v, or failed for another reason: %v", standing, err)
}

// parseAccess verifies an access token by the issuer's access ring.
func (w *harness) parseAccess(compact string) *token.Claims {
	w.t.Helper()
	keys := get(w, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: "signing-keys-" + w.issuer}})
	rings, err := keyring.Decode(keys.Data)
	w.Expect(err).NotTo(gomega.HaveOccurred())
	claims, err := token.Parse(compact, token.Access, rings, "https://"+w.issuer+".example.com", w.clock.Now())
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

// grantAll sets a policy that grants everything that a policy can grant.
func grantAll(issuer *v1alpha1.JWTIssuer) {
	issuer.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{
		Scopes: []string{"**"}, Claims: []string{"email", "tier", "beta", "groups"}, Subjects: []string{"**"},
	}}}
}

func messageOf(key *v1alpha1.JWTRefreshKey) string {
	return meta.FindStatusCondition(key.Status.Conditions, v1alpha1.ConditionReady).Message
}
