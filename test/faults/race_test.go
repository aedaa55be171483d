package faults

import (
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

// race is a write of the operator that conflicts with another client's write between the operator's read
// and its write.
type race struct {
	name string
	// write matches the write of the operator.
	write func(apiCall) bool
	// unissued: the refresh key is not issued before the race.
	unissued bool
	// start makes the operator write.
	start func(*issuerHarness)
	// meanwhile is the write of the other client.
	meanwhile func(*issuerHarness)
	// finish checks the outcome.
	finish func(*issuerHarness)
}

var races = []race{
	{
		name: "another client creates a Secret with this name", write: matchWrite(http.MethodPost, keySecret), unissued: true,
		start:     func(h *issuerHarness) { h.harness.createKey(h.name, keyName, h.name) },
		meanwhile: func(h *issuerHarness) { h.Expect(h.admin.Create(h.ctx, h.foreignSecret())).To(gomega.Succeed()) },
		finish: func(h *issuerHarness) {
			h.awaitKeyReason(h.keyRef(), v1alpha1.ReasonSecretConflict)
			h.expectForeignSecret()
		},
	},
	{
		name: "another client annotates the Secret", write: matchWrite(http.MethodPut, keySecret),
		start: func(h *issuerHarness) { annotate(h.harness, h.keyRef(), v1alpha1.AnnotationRotate, "once") },
		meanwhile: func(h *issuerHarness) {
			annotate(h.harness, secretNamed(h.name, keyName), "example.com/theirs", "stays")
		},
		finish: func(h *issuerHarness) {
			h.awaitRevision([]*v1alpha1.JWTRefreshKey{h.keyRef()}, 2)
			secret, err := get(h.harness, secretNamed(h.name, keyName))
			h.Expect(err).NotTo(gomega.HaveOccurred())
			h.Expect(secret.Annotations).To(gomega.HaveKeyWithValue("example.com/theirs", "stays"))
		},
	},
	{
		name: "another client replaces the Secret with its own", write: matchWrite(http.MethodPut, keySecret),
		start: func(h *issuerHarness) { annotate(h.harness, h.keyRef(), v1alpha1.AnnotationRotate, "once") },
		meanwhile: func(h *issuerHarness) {
			h.Expect(h.admin.Delete(h.ctx, secretNamed(h.name, keyName))).To(gomega.Succeed())
			h.Expect(h.admin.Create(h.ctx, h.foreignSecret())).To(gomega.Succeed())
		},
		finish: func(h *issuerHarness) {
			h.awaitKeyReason(h.keyRef(), v1alpha1.ReasonSecretConflict)
			h.expectForeignSecret()
		},
	},
	{
		name: "another client replaces the old Secret before its removal", write: matchWrite(http.MethodDelete, keySecret),
		start: func(h *issuerHarness) {
			edit(h.harness, h.keyRef(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone} })
		},
		meanwhile: func(h *issuerHarness) {
			h.Expect(h.admin.Delete(h.ctx, secretNamed(h.name, keyName))).To(gomega.Succeed())
			h.Expect(h.admin.Create(h.ctx, h.foreignSecret())).To(gomega.Succeed())
		},
		finish: func(h *issuerHarness) {
			h.Eventually(func() (string, error) {
				key, err := get(h.harness, h.keyRef())
				return key.Status.SecretName, err
			}, waitTimeout, pollEvery).Should(gomega.BeEmpty())
			h.expectForeignSecret()
		},
	},
	{
		name: "the token service reports use in status", write: matchWrite(http.MethodPut, keyStatus),
		start:     func(h *issuerHarness) { annotate(h.harness, h.keyRef(), v1alpha1.AnnotationRotate, "once") },
		meanwhile: func(h *issuerHarness) { h.reportUse() },
		finish: func(h *issuerHarness) {
			key := h.keyRef()
			h.awaitRevision([]*v1alpha1.JWTRefreshKey{key}, 2)
			h.Expect(key.Status.LastUsedRevision).To(gomega.BeEquivalentTo(1), "the reported use was overwritten")
			h.Expect(key.Status.LastUsed).NotTo(gomega.BeNil())
		},
	},
	{
		name: "the key is revoked while it is rotated", write: matchWrite(http.MethodPut, keyStatus),
		start: func(h *issuerHarness) { annotate(h.harness, h.keyRef(), v1alpha1.AnnotationRotate, "once") },
		meanwhile: func(h *issuerHarness) {
			edit(h.harness, h.keyRef(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true })
		},
		finish: func(h *issuerHarness) {
			h.awaitKeyReason(h.keyRef(), v1alpha1.ReasonRevoked)
			h.Eventually(func() (string, error) { return h.tokenIn(h.name, keyName) }, waitTimeout, pollEvery).Should(gomega.BeEmpty())
			for _, compact := range h.journal.tokensOf(h.name) {
				h.expectRefused(compact)
			}
		},
	},
	{
		name: "another client annotates the Secret with the signing keys", write: matchWrite(http.MethodPut, signingKeys),
		start: func(h *issuerHarness) {
			edit(h.harness, h.issuerRef(), signing(func(s *v1alpha1.SigningSpec) { s.Algorithm = "ES384" }))
		},
		meanwhile: func(h *issuerHarness) { annotate(h.harness, signingKeysSecret(h.name), "example.com/theirs", "stays") },
		finish: func(h *issuerHarness) {
			h.Eventually(func() bool {
				issuer, err := get(h.harness, h.issuerRef())
				return err == nil && issuer.Status.ObservedGeneration == issuer.Generation
			}, waitTimeout, pollEvery).Should(gomega.BeTrue())
			h.awaitKeysInStatus(h.name)
			secret, err := get(h.harness, signingKeysSecret(h.name))
			h.Expect(err).NotTo(gomega.HaveOccurred())
			h.Expect(secret.Annotations).To(gomega.HaveKeyWithValue("example.com/theirs", "stays"))
		},
	},
}

func matchWrite(verb string, kind kind) func(apiCall) bool {
	return func(e apiCall) bool { return e.verb == verb && e.kind == kind }
}

// TestConcurrentWritesAreNotOverwritten checks that the API server refuses a write that the operator based
// on an old state, and that the operator decides again.
func TestConcurrentWritesAreNotOverwritten(t *testing.T) {
	for _, race := range races {
		t.Run(race.name, func(t *testing.T) {
			h := newIssuerHarnessWithoutManager(t)
			wire := newWire(h.journal, 1)
			var armed atomic.Bool
			wire.beforeWrite = func(e apiCall) {
				if e.owner == h.name && race.write(e) && armed.CompareAndSwap(true, false) {
					race.meanwhile(h)
				}
			}
			h.stop = h.startManager(wire.wrap)
			h.awaitIssuerReason(h.name, v1alpha1.ReasonKeysReady)
			if !race.unissued {
				h.issueKey(keyName)
			}
			known := len(h.journal.ofOwner(h.name))
			armed.Store(true)
			race.start(h)
			h.Expect(h.firstWrite(known, race.write).answer).To(gomega.Equal(http.StatusConflict), "the operator's write did not conflict:\n%s", formatEntries(h.journal.ofOwner(h.name)[known:]))
			h.Expect(armed.Load()).To(gomega.BeFalse(), "the other client did not write")
			race.finish(h)
		})
	}
}

// firstWrite waits for the first matching write after the known ones, and returns it.
func (h *issuerHarness) firstWrite(known int, of func(apiCall) bool) (first *entry) {
	h.t.Helper()
	h.Eventually(func() bool {
		writes := h.journal.ofOwner(h.name)[known:]
		i := slices.IndexFunc(writes, func(e *entry) bool { return of(e.apiCall) })
		if i >= 0 {
			first = writes[i]
		}
		return i >= 0
	}, waitTimeout, pollEvery).Should(gomega.BeTrue(), func() string { return "the operator made no such write\n" + h.log.tail(h.name) })
	return first
}

func (h *issuerHarness) keyRef() *v1alpha1.JWTRefreshKey { return newKey(h.name, keyName, h.name) }

// foreignSecret returns a Secret with the name of the key's Secret that the operator does not own.
func (h *issuerHarness) foreignSecret() *corev1.Secret {
	secret := secretNamed(h.name, keyName)
	secret.Data = map[string][]byte{"password": []byte("theirs")}
	return secret
}

// expectForeignSecret checks that the foreign Secret is unchanged.
func (h *issuerHarness) expectForeignSecret() {
	h.t.Helper()
	secret, err := get(h.harness, secretNamed(h.name, keyName))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(secret.Data).To(gomega.Equal(map[string][]byte{"password": []byte("theirs")}))
	h.Expect(secret.Labels).To(gomega.BeEmpty())
	h.Expect(secret.OwnerReferences).To(gomega.BeEmpty())
}

// reportUse writes the last use to status as the token service does: with a patch without a resource
// version.
func (h *issuerHarness) reportUse() {
	h.t.Helper()
	// The user name is the token service's. The group grants all rights, which this test does not check.
	config := server.As("system:serviceaccount:"+apiserver.Namespace+":"+apiserver.TokenServer, "system:masters")
	service, err := client.New(config, client.Options{Scheme: controllers.Scheme()})
	h.Expect(err).NotTo(gomega.HaveOccurred())
	patch := `{"status":{"lastUsedRevision":1,"lastUsed":"` + h.clock.Now().UTC().Format(time.RFC3339) + `"}}`
	h.Expect(service.Status().Patch(h.ctx, h.keyRef(), client.RawPatch(types.MergePatchType, []byte(patch)))).To(gomega.Succeed())
}
