package lifecycle

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

func TestForesee(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	lasting := func(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
	at := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: now.Add(d)} }
	type key = v1alpha1.JWTRefreshKey
	issued := func(k *key) {
		k.Status.Issuer, k.Status.CreatedAt, k.Status.ExpiresAt = DefaultIssuer, at(-100*time.Hour), at(620*time.Hour)
	}
	for _, c := range []struct {
		name         string
		before, edit func(*key)
		renewal, end time.Duration
	}{
		{"with all defaults", nil, func(*key) {}, 480 * time.Hour, 0},
		{"with a lifetime and renewBefore", nil, func(k *key) {
			k.Spec.Lifetime, k.Spec.Rotation = lasting(24*time.Hour), &v1alpha1.RotationSpec{RenewBefore: lasting(time.Hour)}
		}, 23 * time.Hour, 0},
		{"one token", nil, func(k *key) { k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationNever} }, 0, 720 * time.Hour},
		{"one token for each use", nil, func(k *key) { k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse} }, 0, 0},
		{"an end before the first renewal", nil, func(k *key) { k.Spec.ExpiresAt = at(time.Hour) }, 0, time.Hour},
		{"a later end", nil, func(k *key) { k.Spec.ExpiresAt = at(1000 * time.Hour) }, 480 * time.Hour, 1000 * time.Hour},
		{"an edit that keeps the token", issued, func(k *key) { k.Spec.DeviceInfo = &v1alpha1.DeviceInfo{ID: "till"} }, 380 * time.Hour, 0},
		{"an edit of renewBefore", issued, func(k *key) { k.Spec.Rotation = &v1alpha1.RotationSpec{RenewBefore: lasting(time.Hour)} }, 619 * time.Hour, 0},
		{"an edit that issues a token", issued, func(k *key) { k.Spec.Audience = "https://other.example.com" }, 480 * time.Hour, 0},
		{"an edit of a revoked key", func(k *key) { issued(k); k.Status.RevokedAt = at(0) }, func(*key) {}, 480 * time.Hour, 0},
	} {
		edited := &key{Spec: v1alpha1.JWTRefreshKeySpec{Audience: "https://orders.example.com"}}
		var before *key
		if c.before != nil {
			c.before(edited)
			before = edited.DeepCopy()
		}
		c.edit(edited)
		got, err := Foresee(edited, before, now)
		want := Forecast{}
		if c.renewal != 0 {
			want.Renewal = now.Add(c.renewal)
		}
		if c.end != 0 {
			want.End = now.Add(c.end)
		}
		if err != nil || !got.Renewal.Equal(want.Renewal) || !got.End.Equal(want.End) {
			t.Errorf("%s: %+v, want %+v: %v", c.name, got, want, err)
		}
	}
}
