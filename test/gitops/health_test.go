package gitops

import (
	"net/url"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

const (
	healthy     = "Healthy"
	progressing = "Progressing"
	suspended   = "Suspended"
	degraded    = "Degraded"
)

// TestBeforeAnybodyLooked checks that tools do not report a new or changed object as healthy before a manager reconciles it.
func TestBeforeAnybodyLooked(t *testing.T) {
	s := newFixture(t, "unseen")
	issuer, key := s.issuer(), s.key("orders")
	s.is(issuer, status.InProgressStatus, progressing)
	s.is(key, status.InProgressStatus, progressing)
	stop := s.Manage()
	s.becomes(issuer, "Ready=True KeysReady")
	s.becomes(key, "Ready=True Issued")
	s.is(issuer, status.CurrentStatus, healthy)
	s.is(key, status.CurrentStatus, healthy)
	stop()
	s.Edit(issuer, func() { issuer.Spec.EndpointURL = "https://inside.example.com" })
	s.Edit(key, func() { key.Spec.Audience = "https://other.example.com" })
	s.is(issuer, status.InProgressStatus, progressing)
	s.is(key, status.InProgressStatus, progressing)
}

// TestKeys checks the health that the tools report for each state of a refresh key.
func TestKeys(t *testing.T) {
	s, _ := newManaged(t, "keys")

	rotated := s.key("rotated")
	for _, value := range []string{"once", "twice"} {
		s.becomes(rotated, "Ready=True Issued")
		s.Annotate(rotated, v1alpha1.AnnotationRotate, value)
		s.Eventually(func() string { s.becomes(rotated, "Ready=True Issued"); return rotated.Status.LastHandledRotate }).Should(gomega.Equal(value))
	}
	s.Annotate(rotated, v1alpha1.AnnotationRotate, "thrice")
	s.becomes(rotated, "Ready=True Issued", "Reconciling=True OverlapPending")
	// kstatus waits for the rotation; the application has nothing to wait for.
	s.is(rotated, status.InProgressStatus, healthy)

	waits := s.key("waits", func(k *v1alpha1.JWTRefreshKey) { k.Spec.IssuerRef = &v1alpha1.IssuerReference{Name: s.Name + "-later"} })
	s.becomes(waits, "Ready=False IssuerNotFound", "Reconciling=True IssuerNotFound")
	s.is(waits, status.InProgressStatus, progressing)

	denied := s.key("denied", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Scopes = []string{"billing:read"} })
	s.becomes(denied, "Ready=False PolicyDenied", "Stalled=True PolicyDenied")
	s.is(denied, status.FailedStatus, degraded)

	s.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.Name, Name: "taken"}})
	taken := s.key("taken")
	s.becomes(taken, "Ready=False SecretConflict", "Stalled=True SecretConflict")
	s.is(taken, status.FailedStatus, degraded)

	ends := s.key("ends", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationNever}
		k.Spec.Lifetime = &metav1.Duration{Duration: time.Hour}
	})
	s.becomes(ends, "Ready=True Issued")
	s.clock.SetTime(s.clock.Now().Add(2 * time.Hour))
	s.Edit(ends, func() { ends.Spec.DeviceInfo = &v1alpha1.DeviceInfo{ID: "the manager looks again"} })
	s.becomes(ends, "Ready=False Expired", "Stalled=True Expired")
	s.is(ends, status.FailedStatus, degraded)

	gone := s.key("gone", func(k *v1alpha1.JWTRefreshKey) { k.Finalizers = []string{"example.com/kept"} })
	s.becomes(gone, "Ready=True Issued")
	s.Expect(s.Admin.Delete(s.Ctx, gone)).To(gomega.Succeed())
	s.is(gone, status.TerminatingStatus, progressing)
}

// TestRevokedKeys checks that tools do not report a requested revocation as degraded.
func TestRevokedKeys(t *testing.T) {
	s, issuer := newManaged(t, "revoked")
	revoked := []string{"Ready=False Revoked", "Stalled=True Revoked"}

	requested := s.key("requested")
	s.becomes(requested, "Ready=True Issued")
	s.Edit(requested, func() { requested.Spec.Revoked = true })
	s.becomes(requested, revoked...)
	s.is(requested, status.FailedStatus, suspended)

	idle := s.key("idle", func(k *v1alpha1.JWTRefreshKey) { k.Spec.IdleTimeout = &metav1.Duration{Duration: time.Hour} })
	signedOut, reused, withdrawn := s.key("signed-out"), s.key("reused", oneTime), s.key("withdrawn", oneTime)
	for _, key := range []*v1alpha1.JWTRefreshKey{idle, signedOut, reused, withdrawn} {
		s.becomes(key, "Ready=True Issued")
	}
	r := s.serve()
	s.Expect(s.Post(r, "/revoke", url.Values{"token": {s.held(signedOut)}}).Outcome()).To(gomega.Equal("200"))
	s.becomes(signedOut, revoked...)
	s.is(signedOut, status.FailedStatus, suspended)

	first := s.held(reused)
	outcome, second := s.refresh(r, first)
	s.Expect(outcome).To(gomega.Equal("200"))
	outcome, _ = s.refresh(r, second)
	s.Expect(outcome).To(gomega.Equal("200"))
	outcome, _ = s.refresh(r, first)
	s.Expect(outcome).To(gomega.Equal("400 invalid_grant"))
	s.becomes(reused, revoked...)
	s.Expect(reused.Status.RevocationReason).To(gomega.Equal(v1alpha1.RevokedReuseDetected))
	s.is(reused, status.FailedStatus, degraded)

	s.Annotate(issuer, v1alpha1.AnnotationWithdrawKey, withdrawn.Status.KeyID)
	s.becomes(withdrawn, revoked...)
	s.Expect(withdrawn.Status.RevocationReason).To(gomega.Equal(v1alpha1.RevokedKeyWithdrawn))
	s.is(withdrawn, status.FailedStatus, degraded)

	s.becomes(idle, "Ready=True Issued")
	s.clock.SetTime(s.clock.Now().Add(2 * time.Hour))
	s.Edit(idle, func() { idle.Spec.DeviceInfo = &v1alpha1.DeviceInfo{ID: "the manager looks again"} })
	s.becomes(idle, revoked...)
	s.Expect(idle.Status.RevocationReason).To(gomega.Equal(v1alpha1.RevokedIdleTimeout))
	s.is(idle, status.FailedStatus, suspended)
}

func oneTime(key *v1alpha1.JWTRefreshKey) {
	key.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse, RetryGrace: &metav1.Duration{}}
}

// TestIssuers checks the health that the tools report for each state of an issuer.
func TestIssuers(t *testing.T) {
	s, issuer := newManaged(t, "issuers")

	second := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: s.Name + "-second"}, Spec: issuer.Spec}
	s.create(second)
	s.becomes(second, "Ready=False URLConflict", "Stalled=True URLConflict")
	s.is(second, status.FailedStatus, degraded)

	var active string
	for _, key := range issuer.Status.Keys {
		if key.Use == "access" && key.State == "Active" {
			active = key.KID
		}
	}
	s.Annotate(issuer, v1alpha1.AnnotationWithdrawKey, active)
	s.becomes(issuer, "Ready=False KeyPending", "Reconciling=True KeyPending")
	s.is(issuer, status.InProgressStatus, progressing)

	s.Edit(second, func() { second.Finalizers = []string{"example.com/kept"} })
	s.Expect(client.IgnoreNotFound(s.Admin.Delete(s.Ctx, second))).To(gomega.Succeed())
	s.is(second, status.TerminatingStatus, progressing)
}
