// Package sample has a refresh key in its states, for tests of what people read about one.
package sample

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// Day is 24 hours.
const Day = 24 * time.Hour

// Noon is the current time of the samples.
var Noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// At returns the time that is from after Noon.
func At(from time.Duration) *metav1.Time { return &metav1.Time{Time: Noon.Add(from)} }

// Lasting returns a duration of the API.
func Lasting(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }

// Issued returns a key of revision 2 with an overlap, created ten days ago and rotated a Day ago.
func Issued(change ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	key := &v1alpha1.JWTRefreshKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders", UID: types.UID("uid"), CreationTimestamp: *At(-10 * Day)},
		Spec:       v1alpha1.JWTRefreshKeySpec{Audience: "https://orders.example.com"},
		Status: v1alpha1.JWTRefreshKeyStatus{
			Issuer: "default",
			Effective: &v1alpha1.EffectiveValues{
				Lifetime: Lasting(30 * Day), RenewBefore: Lasting(10 * Day), AccessTokenLifetime: Lasting(15 * time.Minute),
				Overlap: &v1alpha1.EffectiveOverlap{Quiet: Lasting(20 * time.Minute)},
			},
			TokenLine: v1alpha1.TokenLine{
				Revision: 2, JTI: "two", TokenHash: "sha256:two", CreatedAt: At(-Day), ExpiresAt: At(29 * Day),
				Previous: []v1alpha1.SupersededToken{{JTI: "one", Revision: 1, TokenHash: "sha256:one", CreatedAt: *At(-10 * Day), ExpiresAt: *At(20 * Day)}},
			},
			RenewalTime: At(19 * Day),
		},
	}
	Ready(key, metav1.ConditionTrue, v1alpha1.ReasonIssued)
	for _, c := range change {
		c(key)
	}
	return key
}

// Ready sets the condition Ready.
func Ready(key *v1alpha1.JWTRefreshKey, status metav1.ConditionStatus, reason string) {
	key.Status.Conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionReady, Status: status, Reason: reason, Message: "A message.", LastTransitionTime: *At(-10 * Day),
	}}
}

// Stalled sets the conditions of a refresh key that waits for a user.
func Stalled(key *v1alpha1.JWTRefreshKey, reason string) {
	Ready(key, metav1.ConditionFalse, reason)
	key.Status.Conditions = append(key.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: reason, Message: "change the policy.",
	})
}

// Revoked returns a change: the refresh key was revoked an hour ago.
func Revoked(reason v1alpha1.RevocationReason) func(*v1alpha1.JWTRefreshKey) {
	return func(key *v1alpha1.JWTRefreshKey) {
		key.Status.RevokedAt, key.Status.RevocationReason, key.Status.Previous = At(-time.Hour), reason, nil
		Ready(key, metav1.ConditionFalse, v1alpha1.ReasonRevoked)
	}
}
