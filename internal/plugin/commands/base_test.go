package commands

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

const day = 24 * time.Hour

// noon is the current time in these tests.
var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func at(from time.Duration) *metav1.Time { return &metav1.Time{Time: noon.Add(from)} }

func lasting(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }

// issued returns a key of revision 2 with an overlap, created ten days ago and rotated a day ago.
func issued(change ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	key := &v1alpha1.JWTRefreshKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders", UID: types.UID("uid"), CreationTimestamp: *at(-10 * day)},
		Spec:       v1alpha1.JWTRefreshKeySpec{Audience: "https://orders.example.com"},
		Status: v1alpha1.JWTRefreshKeyStatus{
			Issuer: "default",
			Effective: &v1alpha1.EffectiveValues{
				Lifetime: lasting(30 * day), RenewBefore: lasting(10 * day), AccessTokenLifetime: lasting(15 * time.Minute),
				Overlap: &v1alpha1.EffectiveOverlap{Quiet: lasting(20 * time.Minute)},
			},
			TokenLine: v1alpha1.TokenLine{
				Revision: 2, JTI: "two", TokenHash: "sha256:two", CreatedAt: at(-day), ExpiresAt: at(29 * day),
				Previous: []v1alpha1.SupersededToken{{JTI: "one", Revision: 1, TokenHash: "sha256:one", CreatedAt: *at(-10 * day), ExpiresAt: *at(20 * day)}},
			},
			RenewalTime: at(19 * day),
		},
	}
	ready(key, metav1.ConditionTrue, v1alpha1.ReasonIssued)
	for _, c := range change {
		c(key)
	}
	return key
}

func ready(key *v1alpha1.JWTRefreshKey, status metav1.ConditionStatus, reason string) {
	key.Status.Conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionReady, Status: status, Reason: reason, Message: "A message.", LastTransitionTime: *at(-10 * day),
	}}
}

func stalled(key *v1alpha1.JWTRefreshKey, reason string) {
	ready(key, metav1.ConditionFalse, reason)
	key.Status.Conditions = append(key.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: reason, Message: "change the policy.",
	})
}

func revoked(reason v1alpha1.RevocationReason) func(*v1alpha1.JWTRefreshKey) {
	return func(key *v1alpha1.JWTRefreshKey) {
		key.Status.RevokedAt, key.Status.RevocationReason, key.Status.Previous = at(-time.Hour), reason, nil
		ready(key, metav1.ConditionFalse, v1alpha1.ReasonRevoked)
	}
}
