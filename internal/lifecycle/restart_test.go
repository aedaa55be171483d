package lifecycle

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

func TestFollow(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: now.Add(-d)} }
	old := Workload{CreatedAt: now.Add(-24 * time.Hour), SecretHolds: "sha256:7"}
	rotated := func() *v1alpha1.JWTRefreshKey {
		key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Name: "orders", UID: "uid"}}
		key.Status.Revision, key.Status.TokenHash, key.Status.CreatedAt = 7, "sha256:7", ago(time.Minute)
		return key
	}
	tests := []struct {
		name          string
		change        func(*v1alpha1.JWTRefreshKey, *Workload)
		mark, restart bool
	}{
		{"a workload that has the token before", func(_ *v1alpha1.JWTRefreshKey, f *Workload) { f.Mark = "uid.6" }, true, true},
		{"a workload that was restarted for it", func(_ *v1alpha1.JWTRefreshKey, f *Workload) { f.Mark = "uid.7" }, false, false},
		{"a key that was made again under the name", func(_ *v1alpha1.JWTRefreshKey, f *Workload) { f.Mark = "another.7" }, true, true},
		{"a Secret that does not hold it yet", func(_ *v1alpha1.JWTRefreshKey, f *Workload) { f.Mark, f.SecretHolds = "uid.6", "sha256:6" }, false, false},
		{"no Secret", func(_ *v1alpha1.JWTRefreshKey, f *Workload) { f.Mark, f.SecretHolds = "uid.6", "" }, false, false},
		{"a key without a token", func(k *v1alpha1.JWTRefreshKey, f *Workload) {
			k.Status, f.Mark, f.SecretHolds = v1alpha1.JWTRefreshKeyStatus{}, "uid.6", ""
		}, false, false},
		{"a revoked key", func(k *v1alpha1.JWTRefreshKey, f *Workload) { k.Status.RevokedAt, f.Mark = ago(0), "uid.6" }, false, false},
		{"a key that is being deleted", func(k *v1alpha1.JWTRefreshKey, f *Workload) { k.DeletionTimestamp, f.Mark = ago(0), "uid.6" }, false, false},
		{"tokens for one use", func(k *v1alpha1.JWTRefreshKey, f *Workload) {
			k.Spec.Rotation, f.Mark = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}, "uid.6"
		}, false, false},
		{"no mark, and a rotation just now", func(*v1alpha1.JWTRefreshKey, *Workload) {}, true, true},
		{"no mark, and a rotation long ago", func(k *v1alpha1.JWTRefreshKey, _ *Workload) { k.Status.CreatedAt = ago(time.Hour) }, true, false},
		{"no mark, and a workload younger than the token", func(_ *v1alpha1.JWTRefreshKey, f *Workload) { f.CreatedAt = now }, true, false},
		{"no mark, and a workload of the same second", func(k *v1alpha1.JWTRefreshKey, f *Workload) { f.CreatedAt = k.Status.CreatedAt.Time }, true, true},
		{"no mark, and a first token", func(k *v1alpha1.JWTRefreshKey, _ *Workload) { k.Status.Revision = 1 }, true, false},
		{"no mark, and a token of unknown age", func(k *v1alpha1.JWTRefreshKey, _ *Workload) { k.Status.CreatedAt = nil }, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key, workload := rotated(), old
			tt.change(key, &workload)
			if mark, restart := DecideRestart(key, workload, now); mark != tt.mark || restart != tt.restart {
				t.Errorf("marked %v, restarted %v; want %v, %v", mark, restart, tt.mark, tt.restart)
			}
		})
	}
}
