package commands

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// changing returns a change of the harness that changes its key.
func changing(changes ...func(*v1alpha1.JWTRefreshKey)) func(*harness) {
	return func(w *harness) {
		for _, change := range changes {
			change(w.key)
		}
	}
}

// event returns an event about a key.
func event(name, uid, kind, reason, note string, when time.Duration) *eventsv1.Event {
	return &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, EventTime: metav1.NewMicroTime(noon.Add(when)), Type: kind, Reason: reason, Note: note,
		Regarding: corev1.ObjectReference{Kind: keyKind, Namespace: "shop", Name: "orders", UID: "uid"},
	}
}

func TestDescribe(t *testing.T) {
	type key = v1alpha1.JWTRefreshKey
	play(t, "describe", []row{
		{name: "an overlap", args: "describe orders"},
		{name: "an overlap with a use of both tokens", args: "describe orders", with: changing(func(k *key) {
			k.Status.LastUsed, k.Status.LastUsedRevision, k.Status.SupersededLastUsed = at(-time.Minute), 2, at(-10*time.Minute)
			k.Status.DeviceInfo = &v1alpha1.SeenDevice{ID: "till-17", Browser: "Firefox", UserAgent: "Mozilla", OS: "Linux", IPAddress: "192.0.2.1"}
		})},
		{name: "overlap.max", args: "describe orders", with: changing(func(k *key) { k.Status.Effective.Overlap.Max = lasting(2 * day) })},
		{name: "an overlap that is over", args: "describe orders", with: changing(func(k *key) { k.Status.LastUsed, k.Status.LastUsedRevision = at(-time.Minute), 2 })},
		{name: "all of spec", args: "describe orders", with: changing(func(k *key) {
			k.Spec.Scopes, k.Spec.Subject = []string{"orders:read", "orders:write"}, "shop:till"
			k.Spec.IssuerRef = &v1alpha1.IssuerReference{Name: "people"}
			k.Spec.Binding = &v1alpha1.BindingSpec{ServiceAccountName: "till", JWKThumbprint: "thumb"}
			k.Spec.Secret = &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone}
			k.Spec.IdleTimeout, k.Spec.ExpiresAt, k.Status.Previous = lasting(2*time.Hour), at(60*day), nil
		})},
		{name: "not issued yet", args: "describe orders", with: changing(func(k *key) { k.Status = v1alpha1.JWTRefreshKeyStatus{} })},
		{name: "waits for its issuer", args: "describe orders", with: changing(func(k *key) {
			k.Status = v1alpha1.JWTRefreshKeyStatus{}
			ready(k, metav1.ConditionFalse, v1alpha1.ReasonIssuerNotReady)
			k.Status.Conditions = append(k.Status.Conditions, metav1.Condition{
				Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonIssuerNotReady, Message: "The key waits for its issuer.",
			})
		})},
		{name: "a rotation waits", args: "describe orders", with: changing(func(k *key) {
			k.Status.Conditions = append(k.Status.Conditions, metav1.Condition{
				Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonOverlapPending, Message: "The next token waits until noon.",
			})
		})},
		{name: "a rotation is requested", args: "describe orders", with: changing(func(k *key) { k.Annotations = map[string]string{v1alpha1.AnnotationRotate: "now"} })},
		{name: "the renewal is overdue", args: "describe orders", with: changing(func(k *key) { k.Status.RenewalTime = at(-time.Hour) })},
		{name: "a one-time key", args: "describe orders", with: changing(func(k *key) {
			k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
			k.Status.RenewalTime, k.Status.Effective.Overlap = nil, nil
		})},
		{name: "a session", args: "describe orders", with: changing(func(k *key) {
			k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
			k.Status.Session = &v1alpha1.SessionStatus{Subject: "jane", Client: "shop", Method: "Password", StartedAt: *at(-day)}
			k.Status.Previous, k.Status.RenewalTime, k.Status.Effective.Overlap = nil, nil, nil
		})},
		{name: "revoked by its spec", args: "describe orders", with: changing(revoked(v1alpha1.RevokedRequested), func(k *key) { k.Spec.Revoked = true })},
		{name: "revoked with a note", args: "describe orders", with: changing(revoked(v1alpha1.RevokedRequested), func(k *key) {
			k.Spec.Revoked, k.Annotations = true, map[string]string{v1alpha1.AnnotationRevocationNote: "left in\n\x1b[2Ja train\n"}
		})},
		{name: "revoked by its spec, and not on record", args: "describe orders", with: changing(func(k *key) { k.Spec.Revoked = true })},
		{name: "revoked for idleness", args: "describe orders", with: changing(revoked(v1alpha1.RevokedIdleTimeout))},
		{name: "expired", args: "describe orders", with: changing(func(k *key) {
			k.Status.ExpiresAt, k.Spec.ExpiresAt, k.Status.Previous = at(-time.Minute), at(-time.Minute), nil
			ready(k, metav1.ConditionFalse, v1alpha1.ReasonExpired)
		})},
		{name: "stalled", args: "describe orders", with: changing(func(k *key) { stalled(k, v1alpha1.ReasonPolicyDenied) })},
		{name: "being deleted", args: "describe orders", with: changing(func(k *key) {
			k.DeletionTimestamp, k.Finalizers = at(0), []string{"example.com/keeps"}
		})},
		{name: "events", args: "describe orders", with: func(w *harness) {
			old := event("c", "uid", "Normal", "Issued", "Issued revision 1.", 0)
			old.EventTime, old.CreationTimestamp = metav1.MicroTime{}, *at(-10 * day)
			series := event("a", "uid", "Warning", "PolicyDenied", "Twice.", -2*time.Hour)
			series.Series = &eventsv1.EventSeries{Count: 2, LastObservedTime: metav1.NewMicroTime(noon.Add(-time.Hour))}
			other := event("d", "other", "Normal", "Issued", "Of another key.", -time.Hour)
			other.Regarding.UID = "other"
			w.objects = append(w.objects, series, event("b", "uid", "Normal", "Rotated", "Issued revision 2.", -day), old, other)
		}},
		{name: "texts that a terminal would obey", args: "describe orders", with: func(w *harness) {
			w.key.Status.DeviceInfo = &v1alpha1.SeenDevice{UserAgent: "till\x1b]0;owned\x07 17\u202e", Browser: "Fire\rfox\u009b2J"}
			stalled(w.key, v1alpha1.ReasonPolicyDenied)
			w.key.Status.Conditions[0].Message = "No rule\n\x1b[1mgrants it."
			w.objects = append(w.objects, event("a", "uid", "Normal\x1b[31m", "Issued\x08", "Issued\x1b[2J revision 2.\nReady: True", -day))
		}},
		{name: "in YAML", args: "describe orders -o yaml", with: changing(func(k *key) { k.Status = v1alpha1.JWTRefreshKeyStatus{} })},
		{name: "its name", args: "describe orders -o name"},
		{name: "an unknown format", args: "describe orders -o picture", code: cli.ExitUsage},
		{name: "several", args: "describe jrk/fresh jwtrefreshkey.jwt.refreshkeys.dev/denied fresh", with: several},
		{name: "several, in names", args: "describe fresh nothing denied -o name", with: several, code: cli.ExitNotFound},
		{name: "a Secret", args: "describe secret/orders", code: cli.ExitUsage},
		{name: "no such key", args: "describe nothing", code: cli.ExitNotFound},
		{name: "no name", args: "describe", code: cli.ExitUsage},
		{name: "no rights", args: "describe orders --as guest", code: cli.ExitError},
		{name: "an unknown context", args: "describe orders --context nowhere", code: cli.ExitError},
	})
}
