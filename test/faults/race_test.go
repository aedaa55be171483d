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
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
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
	start func(*issuerFixture)
	// meanwhile is the write of the other client.
	meanwhile func(*issuerFixture)
	// finish checks the outcome.
	finish func(*issuerFixture)
}

var races = []race{
	{
		name: "another client creates a Secret with this name", write: matchWrite(http.MethodPost, keySecret), unissued: true,
		start:     func(h *issuerFixture) { h.fixture.createKey(h.name, keyName, h.name) },
		meanwhile: func(h *issuerFixture) { h.Expect(h.Admin.Create(h.Ctx, h.foreignSecret())).To(gomega.Succeed()) },
		finish: func(h *issuerFixture) {
			h.awaitKeyReason(h.keyRef(), v1alpha1.ReasonSecretConflict)
			h.expectForeignSecret()
		},
	},
	{
		name: "another client annotates the Secret", write: matchWrite(http.MethodPut, keySecret),
		start: func(h *issuerFixture) { h.Annotate(h.keyRef(), v1alpha1.AnnotationRotate, "once") },
		meanwhile: func(h *issuerFixture) {
			h.Annotate(secretNamed(h.name, keyName), "example.com/theirs", "stays")
		},
		finish: func(h *issuerFixture) {
			h.awaitRevision([]*v1alpha1.JWTRefreshKey{h.keyRef()}, 2)
			secret, err := harness.Get(h.Harness, secretNamed(h.name, keyName))
			h.Expect(err).NotTo(gomega.HaveOccurred())
			h.Expect(secret.Annotations).To(gomega.HaveKeyWithValue("example.com/theirs", "stays"))
		},
	},
	{
		name: "another client replaces the Secret with its own", write: matchWrite(http.MethodPut, keySecret),
		start: func(h *issuerFixture) { h.Annotate(h.keyRef(), v1alpha1.AnnotationRotate, "once") },
		meanwhile: func(h *issuerFixture) {
			h.Expect(h.Admin.Delete(h.Ctx, secretNamed(h.name, keyName))).To(gomega.Succeed())
			h.Expect(h.Admin.Create(h.Ctx, h.foreignSecret())).To(gomega.Succeed())
		},
		finish: func(h *issuerFixture) {
			h.awaitKeyReason(h.keyRef(), v1alpha1.ReasonSecretConflict)
			h.expectForeignSecret()
		},
	},
	{
		name: "another client replaces the old Secret before its removal", write: matchWrite(http.MethodDelete, keySecret),
		start: func(h *issuerFixture) {
			harness.Edit(h.Harness, h.keyRef(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone} })
		},
		meanwhile: func(h *issuerFixture) {
			h.Expect(h.Admin.Delete(h.Ctx, secretNamed(h.name, keyName))).To(gomega.Succeed())
			h.Expect(h.Admin.Create(h.Ctx, h.foreignSecret())).To(gomega.Succeed())
		},
		finish: func(h *issuerFixture) {
			h.Eventually(func() (string, error) {
				key, err := harness.Get(h.Harness, h.keyRef())
				return key.Status.SecretName, err
			}).Should(gomega.BeEmpty())
			h.expectForeignSecret()
		},
	},
	{
		name: "the token service reports use in status", write: matchWrite(http.MethodPut, keyStatus),
		start:     func(h *issuerFixture) { h.Annotate(h.keyRef(), v1alpha1.AnnotationRotate, "once") },
		meanwhile: func(h *issuerFixture) { h.reportUse() },
		finish: func(h *issuerFixture) {
			key := h.keyRef()
			h.awaitRevision([]*v1alpha1.JWTRefreshKey{key}, 2)
			h.Expect(key.Status.LastUsedRevision).To(gomega.BeEquivalentTo(1), "the reported use was overwritten")
			h.Expect(key.Status.LastUsed).NotTo(gomega.BeNil())
		},
	},
	{
		name: "the key is revoked while it is rotated", write: matchWrite(http.MethodPut, keyStatus),
		start: func(h *issuerFixture) { h.Annotate(h.keyRef(), v1alpha1.AnnotationRotate, "once") },
		meanwhile: func(h *issuerFixture) {
			harness.Edit(h.Harness, h.keyRef(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true })
		},
		finish: func(h *issuerFixture) {
			h.awaitKeyReason(h.keyRef(), v1alpha1.ReasonRevoked)
			h.Eventually(func() (string, error) { return h.tokenIn(h.name, keyName) }).Should(gomega.BeEmpty())
			for _, compact := range h.journal.tokensOf(h.name) {
				h.expectRefused(compact)
			}
		},
	},
	{
		name: "another client annotates the Secret with the signing keys", write: matchWrite(http.MethodPut, signingKeys),
		start: func(h *issuerFixture) {
			harness.Edit(h.Harness, h.issuerRef(), signing(func(s *v1alpha1.SigningSpec) { s.Algorithm = "ES384" }))
		},
		meanwhile: func(h *issuerFixture) { h.Annotate(signingKeysSecret(h.name), "example.com/theirs", "stays") },
		finish: func(h *issuerFixture) {
			h.Eventually(func() bool {
				issuer, err := harness.Get(h.Harness, h.issuerRef())
				return err == nil && issuer.Status.ObservedGeneration == issuer.Generation
			}).Should(gomega.BeTrue())
			h.awaitKeysInStatus(h.name)
			secret, err := harness.Get(h.Harness, signingKeysSecret(h.name))
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
			h := newIssuerFixtureWithoutManager(t)
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
func (h *issuerFixture) firstWrite(known int, of func(apiCall) bool) (first *entry) {
	h.T.Helper()
	h.Eventually(func() bool {
		writes := h.journal.ofOwner(h.name)[known:]
		i := slices.IndexFunc(writes, func(e *entry) bool { return of(e.apiCall) })
		if i >= 0 {
			first = writes[i]
		}
		return i >= 0
	}).Should(gomega.BeTrue(), func() string { return "the operator made no such write\n" + h.log.tail(h.name) })
	return first
}

func (h *issuerFixture) keyRef() *v1alpha1.JWTRefreshKey { return newKey(h.name, keyName, h.name) }

// foreignSecret returns a Secret with the name of the key's Secret that the operator does not own.
func (h *issuerFixture) foreignSecret() *corev1.Secret {
	secret := secretNamed(h.name, keyName)
	secret.Data = map[string][]byte{"password": []byte("theirs")}
	return secret
}

// expectForeignSecret checks that the foreign Secret is unchanged.
func (h *issuerFixture) expectForeignSecret() {
	h.T.Helper()
	secret, err := harness.Get(h.Harness, secretNamed(h.name, keyName))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(secret.Data).To(gomega.Equal(map[string][]byte{"password": []byte("theirs")}))
	h.Expect(secret.Labels).To(gomega.BeEmpty())
	h.Expect(secret.OwnerReferences).To(gomega.BeEmpty())
}

// reportUse writes the last use to status as the token service does: with a patch without a resource
// version.
func (h *issuerFixture) reportUse() {
	h.T.Helper()
	// The user name is the token service's. The group grants all rights, which this test does not check.
	config := server.As("system:serviceaccount:"+apiserver.Namespace+":"+apiserver.TokenServer, "system:masters")
	service, err := client.New(config, client.Options{Scheme: controllers.Scheme()})
	h.Expect(err).NotTo(gomega.HaveOccurred())
	patch := `{"status":{"lastUsedRevision":1,"lastUsed":"` + h.clock.Now().UTC().Format(time.RFC3339) + `"}}`
	h.Expect(service.Status().Patch(h.Ctx, h.keyRef(), client.RawPatch(types.MergePatchType, []byte(patch)))).To(gomega.Succeed())
}
