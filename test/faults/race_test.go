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
	"github.com/refreshkeys/refreshkeys/test/apiserver"
)

// race is a write of the operator that somebody else forestalls: by an own write in the
// moment between the operator's look and its write.
type race struct {
	name string
	// at is the write.
	at func(errand) bool
	// fresh: the key is not issued before.
	fresh bool
	// start makes the operator write.
	start func(*house)
	// meanwhile is what somebody else does first.
	meanwhile func(*house)
	// finish is what has to come of it.
	finish func(*house)
}

var races = []race{
	{
		name: "a Secret of the name is created by somebody", at: writing(http.MethodPost, keySecret), fresh: true,
		start:     func(h *house) { h.scene.key(h.name, keyName, h.name) },
		meanwhile: func(h *house) { h.Expect(h.admin.Create(h.ctx, h.somebodys())).To(gomega.Succeed()) },
		finish: func(h *house) {
			h.keyBecomes(h.theKey(), v1alpha1.ReasonSecretConflict)
			h.isSomebodys()
		},
	},
	{
		name: "the Secret is annotated by somebody", at: writing(http.MethodPut, keySecret),
		start: func(h *house) { annotate(h.scene, h.theKey(), v1alpha1.AnnotationRotate, "once") },
		meanwhile: func(h *house) {
			annotate(h.scene, secretNamed(h.name, keyName), "example.com/theirs", "stays")
		},
		finish: func(h *house) {
			h.allReach([]*v1alpha1.JWTRefreshKey{h.theKey()}, 2)
			secret, err := get(h.scene, secretNamed(h.name, keyName))
			h.Expect(err).NotTo(gomega.HaveOccurred())
			h.Expect(secret.Annotations).To(gomega.HaveKeyWithValue("example.com/theirs", "stays"))
		},
	},
	{
		name: "the Secret is replaced by somebody's own", at: writing(http.MethodPut, keySecret),
		start: func(h *house) { annotate(h.scene, h.theKey(), v1alpha1.AnnotationRotate, "once") },
		meanwhile: func(h *house) {
			h.Expect(h.admin.Delete(h.ctx, secretNamed(h.name, keyName))).To(gomega.Succeed())
			h.Expect(h.admin.Create(h.ctx, h.somebodys())).To(gomega.Succeed())
		},
		finish: func(h *house) {
			h.keyBecomes(h.theKey(), v1alpha1.ReasonSecretConflict)
			h.isSomebodys()
		},
	},
	{
		name: "the old Secret is replaced by somebody's own before it is removed", at: writing(http.MethodDelete, keySecret),
		start: func(h *house) {
			edit(h.scene, h.theKey(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone} })
		},
		meanwhile: func(h *house) {
			h.Expect(h.admin.Delete(h.ctx, secretNamed(h.name, keyName))).To(gomega.Succeed())
			h.Expect(h.admin.Create(h.ctx, h.somebodys())).To(gomega.Succeed())
		},
		finish: func(h *house) {
			h.Eventually(func() (string, error) {
				key, err := get(h.scene, h.theKey())
				return key.Status.SecretName, err
			}, patience, pollEvery).Should(gomega.BeEmpty())
			h.isSomebodys()
		},
	},
	{
		name: "use is reported in status by the token service", at: writing(http.MethodPut, keyStatus),
		start:     func(h *house) { annotate(h.scene, h.theKey(), v1alpha1.AnnotationRotate, "once") },
		meanwhile: func(h *house) { h.reportUse() },
		finish: func(h *house) {
			key := h.theKey()
			h.allReach([]*v1alpha1.JWTRefreshKey{key}, 2)
			h.Expect(key.Status.LastUsedRevision).To(gomega.BeEquivalentTo(1), "the report was not overwritten")
			h.Expect(key.Status.LastUsed).NotTo(gomega.BeNil())
		},
	},
	{
		name: "the key is revoked while it is rotated", at: writing(http.MethodPut, keyStatus),
		start: func(h *house) { annotate(h.scene, h.theKey(), v1alpha1.AnnotationRotate, "once") },
		meanwhile: func(h *house) {
			edit(h.scene, h.theKey(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true })
		},
		finish: func(h *house) {
			h.keyBecomes(h.theKey(), v1alpha1.ReasonRevoked)
			h.Eventually(func() (string, error) { return h.tokenIn(h.name, keyName) }, patience, pollEvery).Should(gomega.BeEmpty())
			for _, compact := range h.journal.tokensOf(h.name) {
				h.refuses(compact)
			}
		},
	},
	{
		name: "the Secret with the signing keys is labelled by somebody", at: writing(http.MethodPut, signingKeys),
		start: func(h *house) {
			edit(h.scene, h.theIssuer(), signing(func(s *v1alpha1.SigningSpec) { s.Algorithm = "ES384" }))
		},
		meanwhile: func(h *house) { annotate(h.scene, keysOf(h.name), "example.com/theirs", "stays") },
		finish: func(h *house) {
			h.Eventually(func() bool {
				issuer, err := get(h.scene, h.theIssuer())
				return err == nil && issuer.Status.ObservedGeneration == issuer.Generation
			}, patience, pollEvery).Should(gomega.BeTrue())
			h.keysOnRecord(h.name)
			secret, err := get(h.scene, keysOf(h.name))
			h.Expect(err).NotTo(gomega.HaveOccurred())
			h.Expect(secret.Annotations).To(gomega.HaveKeyWithValue("example.com/theirs", "stays"))
		},
	},
}

func writing(verb string, kind kind) func(errand) bool {
	return func(e errand) bool { return e.verb == verb && e.kind == kind }
}

// TestWhoeverIsQuickerIsNotOverwritten: what the operator decided on an old state is refused
// by the API server, and decided anew.
func TestWhoeverIsQuickerIsNotOverwritten(t *testing.T) {
	for _, race := range races {
		t.Run(race.name, func(t *testing.T) {
			h := newHouseWithout(t)
			wire := newWire(h.journal, 1)
			var armed atomic.Bool
			wire.ahead = func(e errand) {
				if e.owner == h.name && race.at(e) && armed.CompareAndSwap(true, false) {
					race.meanwhile(h)
				}
			}
			h.stop = h.startManager(wire.wrap)
			h.issuerBecomes(h.name, v1alpha1.ReasonKeysReady)
			if !race.fresh {
				h.issued(keyName)
			}
			known := len(h.journal.of(h.name))
			armed.Store(true)
			race.start(h)
			h.Expect(h.firstWrite(known, race.at).answer).To(gomega.Equal(http.StatusConflict), "the write went through:\n%s", told(h.journal.of(h.name)[known:]))
			h.Expect(armed.Load()).To(gomega.BeFalse(), "nobody was quicker")
			race.finish(h)
		})
	}
}

// firstWrite waits for the first write of a kind after those that are known, and its answer.
func (h *house) firstWrite(known int, of func(errand) bool) (first *entry) {
	h.t.Helper()
	h.Eventually(func() bool {
		writes := h.journal.of(h.name)[known:]
		i := slices.IndexFunc(writes, func(e *entry) bool { return of(e.errand) })
		if i >= 0 {
			first = writes[i]
		}
		return i >= 0
	}, patience, pollEvery).Should(gomega.BeTrue(), func() string { return "there was no such write\n" + h.log.tail(h.name) })
	return first
}

func (h *house) theKey() *v1alpha1.JWTRefreshKey { return newKey(h.name, keyName, h.name) }

// somebodys is a Secret of the key's name that the operator did not make.
func (h *house) somebodys() *corev1.Secret {
	secret := secretNamed(h.name, keyName)
	secret.Data = map[string][]byte{"password": []byte("theirs")}
	return secret
}

func (h *house) isSomebodys() {
	h.t.Helper()
	secret, err := get(h.scene, secretNamed(h.name, keyName))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(secret.Data).To(gomega.Equal(map[string][]byte{"password": []byte("theirs")}))
	h.Expect(secret.Labels).To(gomega.BeEmpty())
	h.Expect(secret.OwnerReferences).To(gomega.BeEmpty())
}

// reportUse writes what the token service writes, as it does: a blind patch.
func (h *house) reportUse() {
	h.t.Helper()
	// By its name alone: its rights are of no concern here.
	config := server.As("system:serviceaccount:"+apiserver.Namespace+":"+apiserver.TokenServer, "system:masters")
	service, err := client.New(config, client.Options{Scheme: controllers.Scheme()})
	h.Expect(err).NotTo(gomega.HaveOccurred())
	patch := `{"status":{"lastUsedRevision":1,"lastUsed":"` + h.clock.Now().UTC().Format(time.RFC3339) + `"}}`
	h.Expect(service.Status().Patch(h.ctx, h.theKey(), client.RawPatch(types.MergePatchType, []byte(patch)))).To(gomega.Succeed())
}
