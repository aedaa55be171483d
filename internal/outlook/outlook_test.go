package outlook

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// relative returns a time as a duration from noon.
func relative(at time.Time) string {
	if at.After(noon) {
		return "in " + duration.HumanDuration(at.Sub(noon))
	}
	return duration.HumanDuration(noon.Sub(at)) + " ago"
}

func TestOf(t *testing.T) {
	const (
		renewed = "in 19d: the next token is issued; the current one stays valid for the overlap"
		ends    = "in 29d: revision 2, the current token, ends"
	)
	type key = v1alpha1.JWTRefreshKey
	for _, c := range []struct {
		name string
		key  *key
		want []string
	}{
		{"an overlap without a use of the current token", issued(), []string{
			"revision 1 retires once revision 2 has been used and revision 1 has been unused for 20m",
			renewed, "in 20d: revision 1 is refused from then on, even if it is still in use", ends,
		}},
		{"an overlap with a maximum", issued(func(k *key) { k.Status.Effective.Overlap.Max = lasting(2 * day) }), []string{
			"revision 1 retires once revision 2 has been used and revision 1 has been unused for 20m",
			"in 24h: revision 1 is refused from then on, even if it is still in use", renewed, ends,
		}},
		{"the current token is used, the superseded one was ten minutes ago", issued(func(k *key) {
			k.Status.LastUsed, k.Status.LastUsedRevision, k.Status.SupersededLastUsed = at(-time.Minute), 2, at(-10*time.Minute)
		}), []string{"in 10m: revision 1 retires, unless it is used before then", renewed, ends}},
		{"the current token is used, the superseded one never", issued(func(k *key) { k.Status.LastUsed, k.Status.LastUsedRevision = at(-time.Minute), 2 }), []string{
			"revision 1 retires when the operator next reconciles the key", renewed, ends,
		}},
		{"two superseded tokens: each counts from its successor", issued(func(k *key) {
			k.Status.Effective.Overlap.Max = lasting(2 * day)
			k.Status.Revision = 3
			k.Status.Previous = append(k.Status.Previous, v1alpha1.SupersededToken{Revision: 2, CreatedAt: *at(-36 * time.Hour), ExpiresAt: *at(28 * day)})
		}), []string{
			"revision 1 retires once revision 3 has been used and revision 1 has been unused for 20m",
			"revision 2 retires once revision 3 has been used and revision 2 has been unused for 20m",
			"in 12h: revision 1 is refused from then on, even if it is still in use",
			"in 24h: revision 2 is refused from then on, even if it is still in use",
			renewed, "in 29d: revision 3, the current token, ends",
		}},
		{"idle: two minutes after the timeout since the last use", issued(func(k *key) {
			k.Status.Previous = nil
			k.Spec.IdleTimeout = lasting(time.Hour)
			k.Status.LastUsed, k.Status.LastUsedRevision = at(-30*time.Minute), 2
		}), []string{"in 32m: the key is revoked, unless it is used before then", renewed, ends}},
		{"an absolute end", issued(func(k *key) { k.Status.Previous, k.Spec.ExpiresAt = nil, at(60*day) }), []string{renewed, ends, "in 60d: the key ends permanently (spec.expiresAt)"}},
		{"the token lasts to the absolute end", issued(func(k *key) { k.Status.Previous, k.Spec.ExpiresAt, k.Status.RenewalTime = nil, at(29*day), nil }), []string{"in 29d: the key ends permanently (spec.expiresAt)"}},
		{"renewal overdue", issued(func(k *key) { k.Status.Previous, k.Status.RenewalTime = nil, at(-time.Hour) }), []string{"60m ago: the next token is overdue: is the manager running?", ends}},
		{"a rotation is requested", issued(func(k *key) {
			k.Status.Previous, k.Annotations = nil, map[string]string{v1alpha1.AnnotationRotate: "now"}
		}), []string{"the operator carries out the requested rotation", renewed, ends}},
		{"a rotation was requested and is done", issued(func(k *key) {
			k.Status.Previous, k.Annotations = nil, map[string]string{v1alpha1.AnnotationRotate: "one", v1alpha1.AnnotationRotateNow: "two"}
			k.Status.LastHandledRotate = "one now:two"
		}), []string{renewed, ends}},
		{"a rotation waits", issued(func(k *key) {
			k.Status.Previous = nil
			k.Status.Conditions = append(k.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonOverlapPending, Message: "The next token waits until noon."})
		}), []string{"The next token waits until noon. [rotate-now]", renewed, ends}},
		{"waits for its issuer", issued(func(k *key) {
			k.Status = v1alpha1.JWTRefreshKeyStatus{Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonIssuerNotReady, Message: "The key waits for its issuer."}}}
		}), []string{"The key waits for its issuer."}},
		{"not issued yet", issued(func(k *key) { k.Status = v1alpha1.JWTRefreshKeyStatus{} }), []string{"the first token is issued"}},
		{"one-time use", issued(func(k *key) {
			k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
			k.Status.Previous, k.Status.RenewalTime, k.Status.Effective.Overlap = nil, nil, nil
		}), []string{"each use returns the next token; a token that is used again after retryGrace revokes the key", ends}},
		{"revoked by its spec, not on record", issued(func(k *key) { k.Spec.Revoked = true }), []string{"every token is already refused; the operator records the revocation"}},
		{"revoked by its spec", issued(revoked(v1alpha1.RevokedRequested), func(k *key) { k.Spec.Revoked = true }), []string{"nothing, until spec.revoked is set to false: then a new token is issued"}},
		{"reinstated", issued(revoked(v1alpha1.RevokedRequested)), []string{"the key is no longer revoked, and a new token is issued"}},
		{"revoked for idleness", issued(revoked(v1alpha1.RevokedIdleTimeout)), []string{"nothing by itself [rotate]"}},
		{"revoked for reuse, and rotated", issued(revoked(v1alpha1.RevokedReuseDetected), func(k *key) {
			k.Annotations, k.Status.RenewalTime = map[string]string{v1alpha1.AnnotationRotate: "now"}, nil
		}), []string{"the operator carries out the requested rotation"}},
		{"a session that is over", issued(revoked(v1alpha1.RevokedLogout), func(k *key) { k.Status.Session = &v1alpha1.SessionStatus{} }), []string{
			"the session is over; the operator removes it a day later. Sign in again to start a new one",
		}},
		{"expired", issued(func(k *key) {
			ready(k, metav1.ConditionFalse, v1alpha1.ReasonExpired)
			k.Spec.ExpiresAt = at(-time.Hour)
		}), []string{"nothing, until spec.expiresAt is set to a later time or removed"}},
		{"expired, in mode Never", issued(func(k *key) {
			ready(k, metav1.ConditionFalse, v1alpha1.ReasonExpired)
			k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationNever}
		}), []string{"nothing by itself [rotate]"}},
		{"stalled", issued(func(k *key) { stalled(k, v1alpha1.ReasonPolicyDenied) }), []string{"nothing, until the cause is fixed: change the policy."}},
		{"being deleted", issued(func(k *key) { k.DeletionTimestamp = at(0) }), []string{"the key is being deleted; its tokens are already refused"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, one := range Of(c.key, noon) {
				text := one.Sentence + map[Action]string{NoAction: "", Rotate: " [rotate]", RotateNow: " [rotate-now]"}[one.Action]
				if !one.At.IsZero() {
					text = relative(one.At) + ": " + text
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStatus(t *testing.T) {
	for want, key := range map[string]*v1alpha1.JWTRefreshKey{
		"Pending": {}, "Issued": issued(), "Revoked": issued(revoked(v1alpha1.RevokedRequested)),
		"Deleting": issued(func(k *v1alpha1.JWTRefreshKey) { k.DeletionTimestamp = at(0) }),
	} {
		if got := Status(key); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestWhat checks the kinds of the events, in their order.
func TestWhat(t *testing.T) {
	type key = v1alpha1.JWTRefreshKey
	for _, c := range []struct {
		name string
		key  *key
		want []What
	}{
		{"revoked", issued(func(k *key) { k.Spec.Revoked = true }), []What{Blocked}},
		{"all that has a time", issued(func(k *key) {
			k.Spec.IdleTimeout, k.Spec.ExpiresAt = lasting(40*day), at(50*day)
			k.Status.LastUsed, k.Status.LastUsedRevision, k.Status.SupersededLastUsed = at(-time.Minute), 2, at(-10*time.Minute)
		}), []What{Retirement, Renewal, TokenEnd, IdleEnd, KeyEnd}},
		{"an overlap without evidence", issued(), []What{Retirement, Renewal, SupersededEnd, TokenEnd}},
		{"one-time, and a rotation is requested", issued(func(k *key) {
			k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
			k.Status.Previous, k.Annotations = nil, map[string]string{v1alpha1.AnnotationRotate: "now"}
		}), []What{Waiting, Use, TokenEnd}},
	} {
		var got []What
		for _, one := range Of(c.key, noon) {
			got = append(got, one.What)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}
