package lifecycle

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

func TestStandingOf(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: now.Add(d)} }
	tests := []struct {
		name   string
		change func(*v1alpha1.JWTRefreshKey)
		token  Presented
		want   Standing
	}{
		{name: "the current token", token: Presented{"uid", "current", 3}, want: StandingCurrent},
		{name: "a superseded token", token: Presented{"uid", "older", 2}, want: StandingSuperseded},
		{name: "a retired token", token: Presented{"uid", "oldest", 1}, want: StandingRefused},
		{name: "the current token, of a revision of the future", token: Presented{"uid", "current", 4}, want: StandingRefused},
		{name: "a superseded token, of the current revision", token: Presented{"uid", "older", 3}, want: StandingRefused},
		{name: "the token of an earlier key of the same name", token: Presented{"dead", "current", 3}, want: StandingRefused},
		{name: "a first token before it is recorded", token: Presented{"uid", "new", 1}, want: StandingUnrecorded,
			change: func(k *v1alpha1.JWTRefreshKey) { k.Status = v1alpha1.JWTRefreshKeyStatus{} }},
		{name: "a later token of a key without a line", token: Presented{"uid", "new", 2}, want: StandingRefused,
			change: func(k *v1alpha1.JWTRefreshKey) { k.Status = v1alpha1.JWTRefreshKeyStatus{} }},
		{name: "revoked before the first token was recorded", token: Presented{"uid", "new", 1}, want: StandingRefused,
			change: func(k *v1alpha1.JWTRefreshKey) { k.Status = v1alpha1.JWTRefreshKeyStatus{RevokedAt: at(0)} }},
		{name: "the current token, at the first revision", token: Presented{"uid", "current", 3}, want: StandingCurrent,
			change: func(k *v1alpha1.JWTRefreshKey) { k.Status.FirstRevision = 3 }},
		{name: "a superseded token below the first revision", token: Presented{"uid", "older", 2}, want: StandingRefused,
			change: func(k *v1alpha1.JWTRefreshKey) { k.Status.FirstRevision = 3 }},
		{name: "the current token below the first revision, which cannot be", token: Presented{"uid", "current", 3}, want: StandingRefused,
			change: func(k *v1alpha1.JWTRefreshKey) { k.Status.FirstRevision = 4 }},
		{name: "a first token before it is recorded, of a key with an ended line", token: Presented{"uid", "new", 1}, want: StandingRefused,
			change: func(k *v1alpha1.JWTRefreshKey) { k.Status = v1alpha1.JWTRefreshKeyStatus{FirstRevision: 2} }},
		{name: "revoked in spec", token: Presented{"uid", "current", 3}, want: StandingRefused,
			change: func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true }},
		{name: "revoked in status", token: Presented{"uid", "current", 3}, want: StandingRefused,
			change: func(k *v1alpha1.JWTRefreshKey) { k.Status.RevokedAt = at(0) }},
		{name: "being deleted", token: Presented{"uid", "current", 3}, want: StandingRefused,
			change: func(k *v1alpha1.JWTRefreshKey) { k.DeletionTimestamp = at(0) }},
		{name: "past the absolute end", token: Presented{"uid", "current", 3}, want: StandingRefused,
			change: func(k *v1alpha1.JWTRefreshKey) { k.Spec.ExpiresAt = at(0) }},
		{name: "before the absolute end", token: Presented{"uid", "current", 3}, want: StandingCurrent,
			change: func(k *v1alpha1.JWTRefreshKey) { k.Spec.ExpiresAt = at(time.Second) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{UID: "uid"}}
			key.Status.TokenLine = v1alpha1.TokenLine{
				Revision: 3, JTI: "current", Previous: []v1alpha1.SupersededToken{{JTI: "older", Revision: 2}},
			}
			if tt.change != nil {
				tt.change(key)
			}
			if got := StandingOf(key, tt.token, now); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
