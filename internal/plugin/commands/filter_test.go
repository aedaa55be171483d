package commands

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

func keyNamed(name string, change ...func(*v1alpha1.JWTRefreshKey)) v1alpha1.JWTRefreshKey {
	key := issued(change...)
	key.Name = name
	return *key
}

func TestFilter(t *testing.T) {
	keys := []v1alpha1.JWTRefreshKey{
		keyNamed("unused"),
		keyNamed("used", func(k *v1alpha1.JWTRefreshKey) { k.Status.LastUsed = at(-2 * day) }),
		keyNamed("superseded-used", func(k *v1alpha1.JWTRefreshKey) {
			k.Status.LastUsed, k.Status.SupersededLastUsed = at(-3*day), at(-time.Hour)
		}),
		keyNamed("ends-soon", func(k *v1alpha1.JWTRefreshKey) { k.Status.ExpiresAt = at(2 * day) }),
		keyNamed("ends-sooner", func(k *v1alpha1.JWTRefreshKey) { k.Status.ExpiresAt = at(day) }),
		keyNamed("ended", func(k *v1alpha1.JWTRefreshKey) {
			k.Status.ExpiresAt = at(-day)
			ready(k, metav1.ConditionFalse, v1alpha1.ReasonExpired)
		}),
		keyNamed("revoked", revoked(v1alpha1.RevokedRequested), func(k *v1alpha1.JWTRefreshKey) { k.Status.ExpiresAt = at(day) }),
		keyNamed("session", func(k *v1alpha1.JWTRefreshKey) { k.Status.Session = &v1alpha1.SessionStatus{Subject: "jane"} }),
		keyNamed("new", func(k *v1alpha1.JWTRefreshKey) {
			k.CreationTimestamp, k.Status = *at(-time.Minute), v1alpha1.JWTRefreshKeyStatus{}
		}),
		keyNamed("going", func(k *v1alpha1.JWTRefreshKey) { k.DeletionTimestamp = at(0) }),
	}
	days := func(n time.Duration) *time.Duration { d := n * day; return &d }
	for _, c := range []struct {
		name   string
		filter filter
		want   []string
	}{
		{"all, by name", filter{}, []string{"ended", "ends-soon", "ends-sooner", "going", "new", "revoked", "session", "superseded-used", "unused", "used"}},
		{"unused for a day, longest first", filter{unusedFor: days(1)}, []string{"ended", "ends-soon", "ends-sooner", "going", "revoked", "session", "unused", "used"}},
		{"unused for exactly ten days", filter{unusedFor: days(10)}, []string{"ended", "ends-soon", "ends-sooner", "going", "revoked", "session", "unused"}},
		{"unused for eleven days", filter{unusedFor: days(11)}, nil},
		{"ends within exactly two days, soonest first", filter{expiringWithin: days(2)}, []string{"ends-sooner", "ends-soon"}},
		{"of one status, in another case", filter{statuses: []string{"revoked"}}, []string{"revoked"}},
		{"of several statuses", filter{statuses: []string{"Revoked", "Pending", "Deleting"}}, []string{"going", "new", "revoked"}},
		{"sessions", filter{sessions: true}, []string{"session"}},
		{"sessions that were unused and are issued", filter{sessions: true, unusedFor: days(1), statuses: []string{"Issued"}}, []string{"session"}},
		{"nothing fits both", filter{sessions: true, expiringWithin: days(2)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			shown := slices.DeleteFunc(slices.Clone(keys), func(k v1alpha1.JWTRefreshKey) bool { return !c.filter.matches(&k, noon) })
			c.filter.sort(shown)
			var got []string
			for i := range shown {
				got = append(got, shown[i].Name)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
