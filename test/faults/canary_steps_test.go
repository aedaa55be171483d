package faults

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// canarySteps run before the search for leaked secrets. Each step leaves all refresh keys Ready.
var canarySteps = []struct {
	name string
	run  func(*canary)
}{
	{"keys of every algorithm", everyAlgorithm},
	{"rotations and revocations", rotationsAndRevocations},
	{"Secrets with a conflict, edited, immutable, renamed and removed", secretsOfAllKinds},
	{"a quota", quota},
	{"an admission policy whose message quotes the Secret", quotingPolicy},
	{"a proxy that quotes requests and garbles answers", badProxy},
	{"signing keys damaged, lost and restored", damagedKeys},
	{"expiry, renewal and a withdrawn signing key", timeAndWithdrawal},
}

func everyAlgorithm(c *canary) {
	orders := c.fixture.createKey(c.name, keyName, c.name, withAccessToken)
	keys := []*v1alpha1.JWTRefreshKey{orders}
	for _, algorithm := range []keyring.Algorithm{keyring.ES384, keyring.RS256, keyring.EdDSA} {
		other := c.name + "-" + strings.ToLower(string(algorithm))
		c.CreateIssuer(other, signing(func(s *v1alpha1.SigningSpec) { s.Algorithm = v1alpha1.SigningAlgorithm(algorithm) }))
		keys = append(keys, c.fixture.createKey(c.name, strings.ToLower(string(algorithm)), other))
	}
	c.awaitRevision(keys, 1)
}

func rotationsAndRevocations(c *canary) {
	key, _ := c.issueKey("turned", overlapMax(0))
	c.Annotate(c.keyRef("turned"), v1alpha1.AnnotationRotate, "once")
	c.awaitRevision([]*v1alpha1.JWTRefreshKey{key}, 2)
	c.Annotate(c.keyRef("turned"), v1alpha1.AnnotationRotateNow, "leak")
	c.awaitRevision([]*v1alpha1.JWTRefreshKey{key}, 3)
	harness.Edit(c.Harness, c.keyRef("turned"), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Audience = anotherAudience })
	c.awaitRevision([]*v1alpha1.JWTRefreshKey{key}, 4)
	harness.Edit(c.Harness, c.keyRef("turned"), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true })
	c.awaitKeyReason(key, v1alpha1.ReasonRevoked)
	harness.Edit(c.Harness, c.keyRef("turned"), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = false })
	c.awaitRevision([]*v1alpha1.JWTRefreshKey{key}, 5)
}

func secretsOfAllKinds(c *canary) {
	taken := secretNamed(c.name, "taken")
	// A Secret that the operator does not own, with a token of the operator in it.
	held, err := c.tokenIn(c.name, keyName)
	c.Expect(err).NotTo(gomega.HaveOccurred())
	taken.Data = map[string][]byte{"token": []byte(held)}
	c.Expect(c.Admin.Create(c.Ctx, taken)).To(gomega.Succeed())
	conflict := c.fixture.createKey(c.name, "taken", c.name)
	c.awaitKeyReason(conflict, v1alpha1.ReasonSecretConflict)
	c.Expect(c.Admin.Delete(c.Ctx, taken)).To(gomega.Succeed())
	c.touch(c.keyRef("taken"))
	c.awaitRevision([]*v1alpha1.JWTRefreshKey{conflict}, 1)

	harness.Edit(c.Harness, secretNamed(c.name, "taken"), func(s *corev1.Secret) { s.Data["token"] = []byte(held) })
	c.awaitRevision([]*v1alpha1.JWTRefreshKey{conflict}, 1)
	harness.Edit(c.Harness, secretNamed(c.name, "taken"), func(s *corev1.Secret) { s.Immutable = ptr.To(true) })
	c.Annotate(c.keyRef("taken"), v1alpha1.AnnotationRotate, "in-vain")
	c.awaitKeyReason(conflict, v1alpha1.ReasonSecretImmutable)
	c.Expect(c.Admin.Delete(c.Ctx, secretNamed(c.name, "taken"))).To(gomega.Succeed())
	c.awaitRevision([]*v1alpha1.JWTRefreshKey{conflict}, 2)
	harness.Edit(c.Harness, c.keyRef("taken"), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{Name: renamed} })
	c.Eventually(func() (string, error) { return c.tokenIn(c.name, renamed) }).ShouldNot(gomega.BeEmpty())
	harness.Edit(c.Harness, c.keyRef("taken"), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone} })
	c.Eventually(func() error { _, err := harness.Get(c.Harness, secretNamed(c.name, renamed)); return err }).ShouldNot(gomega.Succeed())
}

// quota sets a ResourceQuota that admits no further Secret. No controller manager runs here, so the test
// writes the quota's status itself.
func quota(c *canary) {
	none := corev1.ResourceList{corev1.ResourceSecrets: resource.MustParse("0")}
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: c.name, Name: "none"}, Spec: corev1.ResourceQuotaSpec{Hard: none}}
	c.Expect(c.Admin.Create(c.Ctx, quota)).To(gomega.Succeed())
	quota.Status = corev1.ResourceQuotaStatus{Hard: none, Used: none}
	c.Expect(c.Admin.Status().Update(c.Ctx, quota)).To(gomega.Succeed())
	c.awaitSecretsRefused("quota")
	c.checkRefusedUntil("over-quota", func() { c.Expect(c.Admin.Delete(c.Ctx, quota)).To(gomega.Succeed()) })
}

// checkRefusedUntil creates a refresh key, waits for reason SecretRefused, calls lift and waits until the
// key is Ready.
func (c *canary) checkRefusedUntil(name string, lift func()) {
	c.T.Helper()
	key := c.fixture.createKey(c.name, name, c.name)
	c.awaitKeyReason(key, v1alpha1.ReasonSecretRefused)
	lift()
	c.await("Secrets are still refused", func() error { return c.trySecret() })
	c.touch(c.keyRef(name))
	c.awaitRevision([]*v1alpha1.JWTRefreshKey{key}, 1)
}

// trySecret creates a Secret as a dry run.
func (c *canary) trySecret() error {
	probe := secretNamed(c.name, "probe")
	probe.Data = map[string][]byte{v1alpha1.SecretToken: []byte("probe")}
	return c.Admin.Create(c.Ctx, probe, client.DryRunAll)
}

// awaitSecretsRefused waits until a Secret is refused with a message that contains the given text.
func (c *canary) awaitSecretsRefused(message string) {
	c.T.Helper()
	c.await("Secrets are not refused", func() error {
		if err := c.trySecret(); err == nil || !strings.Contains(err.Error(), message) {
			return fmt.Errorf("got error %w, want one with %q", err, message)
		}
		return nil
	})
}

// quotingPolicy refuses Secrets with a message that contains the token.
func quotingPolicy(c *canary) {
	const prefix = "this token is not allowed: "
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: c.name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}},
				},
			}}},
			Validations: []admissionv1.Validation{{
				Expression:        "!has(object.data) || !('token' in object.data)",
				MessageExpression: "'" + prefix + "' + string(object.data['token'])",
			}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: c.name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: c.name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			MatchResources: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{corev1.LabelMetadataName: c.name},
			}},
		},
	}
	c.Expect(c.Admin.Create(c.Ctx, policy)).To(gomega.Succeed())
	c.Expect(c.Admin.Create(c.Ctx, binding)).To(gomega.Succeed())
	c.T.Cleanup(func() {
		_ = c.Admin.Delete(context.Background(), binding)
		_ = c.Admin.Delete(context.Background(), policy)
	})
	// The policy sees the value in base64, and quotes it so.
	c.awaitSecretsRefused(prefix + "cHJvYmU=")
	c.Annotate(c.keyRef(keyName), v1alpha1.AnnotationRotate, "refused")
	c.awaitKeyReason(c.keyRef(keyName), v1alpha1.ReasonSecretRefused)
	c.checkRefusedUntil("quoted", func() {
		c.Expect(c.Admin.Delete(c.Ctx, binding)).To(gomega.Succeed())
		c.Expect(c.Admin.Delete(c.Ctx, policy)).To(gomega.Succeed())
	})
	c.touch(c.keyRef(keyName))
	c.awaitRevision([]*v1alpha1.JWTRefreshKey{c.keyRef(keyName)}, 2)
}

// badProxy lets the proxy answer in each of its modes: to writes and to reads, of tokens and of signing
// keys.
func badProxy(c *canary) {
	c.proxy.addOwner(c.name + "-es384")
	for i, mode := range []proxyMode{quoteInvalid, quoteForbidden, quoteInternal, quoteText, cutShort, asHTML} {
		c.proxy.setMode(mode)
		before := c.proxy.answerCount()
		name := fmt.Sprintf("proxied-%d", i)
		key := c.fixture.createKey(c.name, name, c.name)
		c.touch(harness.NewIssuer(c.name + "-es384"))
		harness.Edit(c.Harness, secretNamed(c.name, keyName), func(s *corev1.Secret) { s.Data["token"] = []byte("edited") })
		fresh := fmt.Sprintf("%s-%d", c.name, i)
		c.proxy.addOwner(fresh)
		c.CreateIssuer(fresh)
		c.Eventually(c.proxy.answerCount).Should(gomega.BeNumerically(">", before+2), "mode %q: the proxy answered too few requests", mode)
		c.proxy.setMode(passThrough)
		c.touch(c.keyRef(name))
		c.touch(c.keyRef(keyName))
		c.awaitIssuerReason(fresh, v1alpha1.ReasonKeysReady)
		c.awaitRevision([]*v1alpha1.JWTRefreshKey{key}, 1)
		c.awaitRevision([]*v1alpha1.JWTRefreshKey{c.keyRef(keyName)}, 2)
	}
}

func damagedKeys(c *canary) {
	for _, damage := range damages {
		backup, err := harness.Get(c.Harness, signingKeysSecret(c.name))
		c.Expect(err).NotTo(gomega.HaveOccurred())
		damage.do(c.issuerFixture, signingKeysSecret(c.name))
		c.awaitIssuerReason(c.name, damage.reason)
		c.restore(backup)
		c.awaitIssuerReason(c.name, v1alpha1.ReasonKeysReady)
	}
	c.awaitRevision([]*v1alpha1.JWTRefreshKey{c.keyRef(keyName)}, 2)
}

func timeAndWithdrawal(c *canary) {
	ends, _ := c.issueKey("ends", lifetime(time.Hour), never)
	renews, _ := c.issueKey("renews", lifetime(90*time.Minute), renewBefore(30*time.Minute))
	orders, err := harness.Get(c.Harness, c.keyRef(keyName))
	c.Expect(err).NotTo(gomega.HaveOccurred())
	c.advance(70*time.Minute, ends, renews, orders)
	c.awaitKeyReason(ends, v1alpha1.ReasonExpired)
	c.awaitRevision([]*v1alpha1.JWTRefreshKey{renews}, 2)
	rings := c.awaitKeysInStatus(c.name)
	signer, err := rings.Signer(keyring.Refresh)
	c.Expect(err).NotTo(gomega.HaveOccurred())
	c.Annotate(c.issuerRef(), v1alpha1.AnnotationWithdrawKey, signer.ID+","+orders.Status.KeyID)
	c.awaitRevision([]*v1alpha1.JWTRefreshKey{renews, orders}, 3)
	c.Expect(c.Admin.Delete(c.Ctx, newKey(c.name, "ends", c.name))).To(gomega.Succeed())
}
