package faults

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// damages lists what can happen to the Secret with the signing keys, and the reason that reports it.
var damages = []struct {
	name   string
	do     func(*issuerFixture, *corev1.Secret)
	reason string
}{
	{"deleted", func(h *issuerFixture, s *corev1.Secret) {
		h.Expect(h.Admin.Delete(h.Ctx, s)).To(gomega.Succeed())
	}, v1alpha1.ReasonKeysLost},
	{"a private key cut short", func(h *issuerFixture, s *corev1.Secret) {
		harness.Edit(h.Harness, s, func(s *corev1.Secret) { entry := onePEM(s); s.Data[entry] = s.Data[entry][:60] })
	}, v1alpha1.ReasonKeysDamaged},
	{"two private keys swapped", func(h *issuerFixture, s *corev1.Secret) {
		harness.Edit(h.Harness, s, func(s *corev1.Secret) {
			names := pems(s)
			s.Data[names[0]], s.Data[names[1]] = s.Data[names[1]], s.Data[names[0]]
		})
	}, v1alpha1.ReasonKeysDamaged},
	{"a private key missing", func(h *issuerFixture, s *corev1.Secret) {
		harness.Edit(h.Harness, s, func(s *corev1.Secret) { delete(s.Data, onePEM(s)) })
	}, v1alpha1.ReasonKeysDamaged},
	{"the description missing", func(h *issuerFixture, s *corev1.Secret) {
		harness.Edit(h.Harness, s, func(s *corev1.Secret) { delete(s.Data, "rings.json") })
	}, v1alpha1.ReasonKeysDamaged},
	{"emptied", func(h *issuerFixture, s *corev1.Secret) {
		harness.Edit(h.Harness, s, func(s *corev1.Secret) { s.Data = nil })
	}, v1alpha1.ReasonKeysDamaged},
	{"other keys in its place", func(h *issuerFixture, s *corev1.Secret) {
		foreign, err := keyring.Advance(nil, keyring.Schedule{Algorithm: keyring.ES256, RotateAfter: time.Hour}, nil, nil, h.clock.Now(), keyring.Generate)
		h.Expect(err).NotTo(gomega.HaveOccurred())
		data, err := keyring.Encode(foreign)
		h.Expect(err).NotTo(gomega.HaveOccurred())
		harness.Edit(h.Harness, s, func(s *corev1.Secret) { s.Data = data })
	}, v1alpha1.ReasonKeysDamaged},
	{"its label taken off", func(h *issuerFixture, s *corev1.Secret) {
		harness.Edit(h.Harness, s, func(s *corev1.Secret) { delete(s.Labels, v1alpha1.LabelSigningKeysOf) })
	}, v1alpha1.ReasonKeysForeign},
}

func pems(s *corev1.Secret) (names []string) {
	for name := range s.Data {
		if strings.HasSuffix(name, ".pem") {
			names = append(names, name)
		}
	}
	return names
}

func onePEM(s *corev1.Secret) string { return pems(s)[0] }

// TestLostKeysAreNeverReplacedSilently damages the Secret with the signing keys while tokens are valid. The
// operator reports the damage and does not write the Secret. A restored Secret makes all tokens valid
// again.
func TestLostKeysAreNeverReplacedSilently(t *testing.T) {
	for _, damage := range damages {
		t.Run(damage.name, func(t *testing.T) {
			h := newIssuerFixture(t)
			key, held := h.issueKey("orders")
			backup, err := harness.Get(h.Harness, signingKeysSecret(h.name))
			h.Expect(err).NotTo(gomega.HaveOccurred())
			writes := len(h.keyWrites())

			damage.do(h, signingKeysSecret(h.name))
			h.awaitIssuerReason(h.name, damage.reason)
			h.awaitKeyReason(key, v1alpha1.ReasonIssuerNotReady)
			late := h.fixture.createKey(h.name, "late", h.name)
			h.awaitKeyReason(late, v1alpha1.ReasonIssuerNotReady)
			// Time and further reconciles change nothing.
			h.advance(24*time.Hour, key, late)
			h.awaitIssuerReason(h.name, damage.reason)
			h.Expect(h.keyWrites()).To(gomega.HaveLen(writes), "the signing keys were replaced")
			now, err := h.tokenIn(h.name, key.Name)
			h.Expect(err).NotTo(gomega.HaveOccurred())
			h.Expect(now).To(gomega.Equal(held), "the token in the Secret changed, although the refusal is reversible")

			h.restore(backup)
			h.awaitIssuerReason(h.name, v1alpha1.ReasonKeysReady)
			h.awaitRevision([]*v1alpha1.JWTRefreshKey{key, late}, 1)
			h.expectAccepted(held, lifecycle.StandingCurrent)
			h.Expect(h.keyWrites()).To(gomega.HaveLen(writes), "the restored signing keys were written")
		})
	}
}

// TestLostKeysGivenUp follows the instruction in status for keys without a backup: the signing keys are
// withdrawn, and everything that they signed is issued again.
func TestLostKeysGivenUp(t *testing.T) {
	for _, damage := range damages {
		if damage.reason == v1alpha1.ReasonKeysForeign {
			continue
		}
		t.Run(damage.name, func(t *testing.T) {
			h := newIssuerFixture(t)
			key, held := h.issueKey("orders")
			damage.do(h, signingKeysSecret(h.name))
			message := h.awaitIssuerReason(h.name, damage.reason)
			if damage.reason == v1alpha1.ReasonKeysDamaged && strings.Contains(message, "or delete it") {
				h.Expect(h.Admin.Delete(h.Ctx, signingKeysSecret(h.name))).To(gomega.Succeed())
				message = h.awaitIssuerReason(h.name, v1alpha1.ReasonKeysLost)
			}
			said := regexp.MustCompile(regexp.QuoteMeta(v1alpha1.AnnotationWithdrawKey) + `=([^ ]+)\.$`).FindStringSubmatch(message)
			h.Expect(said).To(gomega.HaveLen(2), "the message does not name the annotation: %s", message)
			h.Annotate(h.issuerRef(), v1alpha1.AnnotationWithdrawKey, said[1])

			h.awaitRevision([]*v1alpha1.JWTRefreshKey{key}, 2)
			h.expectRefused(held)
			// The next signing key for access tokens is published before it signs.
			h.advance(time.Hour)
			h.awaitIssuerReason(h.name, v1alpha1.ReasonKeysReady)
			now, err := h.tokenIn(h.name, key.Name)
			h.Expect(err).NotTo(gomega.HaveOccurred())
			h.expectAccepted(now, lifecycle.StandingCurrent)
			h.awaitKeysInStatus(h.name)
		})
	}
}

// keyWrites returns the writes of the Secret with the signing keys.
func (h *issuerFixture) keyWrites() []*entry {
	return h.journal.filter(func(e *entry) bool { return e.kind == signingKeys && e.owner == h.name })
}

// restore restores a Secret from a backup, as an administrator does.
func (h *issuerFixture) restore(backup *corev1.Secret) {
	h.T.Helper()
	restored := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: backup.Namespace, Name: backup.Name, Labels: backup.Labels},
		Type:       backup.Type,
		Data:       backup.Data,
	}
	current, err := harness.Get(h.Harness, signingKeysSecret(h.name))
	there, err := exists(err)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	if there {
		h.Expect(h.Admin.Delete(h.Ctx, current)).To(gomega.Succeed())
	}
	h.Expect(h.Admin.Create(h.Ctx, restored)).To(gomega.Succeed())
}
