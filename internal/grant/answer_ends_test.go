package grant_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// TestAnswersTellTheEnds checks that every answer to a refresh and to a login contains a refresh token and its
// earliest end: its own, that of the refresh key, or the idle end.
func TestAnswersTellTheEnds(t *testing.T) {
	in := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: replica.Start.Add(d)} }
	idle := &metav1.Duration{Duration: 5 * time.Hour}
	for name, change := range map[string]func(*v1alpha1.JWTRefreshKey){
		"plain":     func(*v1alpha1.JWTRefreshKey) {},
		"end-later": func(k *v1alpha1.JWTRefreshKey) { k.Spec.ExpiresAt = in(2000 * time.Hour) },
		"idle":      func(k *v1alpha1.JWTRefreshKey) { k.Spec.IdleTimeout = idle },
		"idle-end":  func(k *v1alpha1.JWTRefreshKey) { k.Spec.IdleTimeout, k.Spec.ExpiresAt = idle, in(7*time.Hour) },
		"device":    oneTime(time.Minute),
		"device-idle-end": func(k *v1alpha1.JWTRefreshKey) {
			oneTime(time.Minute)(k)
			k.Spec.IdleTimeout, k.Spec.ExpiresAt = idle, in(7*time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := replica.New(t)
			held := r.Issue(name, change)
			for _, at := range []time.Duration{time.Minute, time.Hour, 3 * time.Hour} {
				r.Clock.SetTime(replica.Start.Add(at))
				answer, outcome := r.Refresh(held)
				checkEnds(t, r, answer, outcome, name)
				held = answer.RefreshToken
			}
			// An earlier end applies at once.
			r.Edit(replica.NameOf(name), func(k *v1alpha1.JWTRefreshKey) { k.Spec.ExpiresAt = in(4 * time.Hour) })
			if answer, outcome := r.Refresh(held); answer.AuthorizationExpiresIn != 3600 {
				t.Errorf("%s, an hour before the new end: %d s", outcome, answer.AuthorizationExpiresIn)
			}
		})
	}
	r := replica.New(t, func(i *v1alpha1.JWTIssuer) {
		i.Spec.Login = &v1alpha1.LoginSpec{SessionLifetime: &metav1.Duration{Duration: 90 * time.Hour}, SessionIdleTimeout: &metav1.Duration{Duration: 8 * time.Hour}}
	})
	answer, outcome := r.SignIn(r.Account("till", replica.URL))
	session := r.All(replica.Name)[0].Name
	checkEnds(t, r, answer, outcome, session)
	forward(r, time.Hour)
	answer, outcome = r.Refresh(answer.RefreshToken)
	checkEnds(t, r, answer, outcome, session)
}

// checkEnds compares the ends in an answer with status and spec of the refresh key.
func checkEnds(t *testing.T, r *replica.Replica, answer *oauth.TokenAnswer, outcome, name string) {
	t.Helper()
	key, now := r.Stored(replica.NameOf(name)), r.Clock.Now()
	end, all := key.Status.ExpiresAt.Time, int64(0)
	if at := key.Spec.ExpiresAt; at != nil {
		all = int64(at.Sub(now).Seconds())
		if at.Time.Before(end) {
			end = at.Time
		}
	}
	if idle := key.Spec.IdleTimeout; idle != nil && now.Add(idle.Duration).Before(end) {
		end = now.Add(idle.Duration)
	}
	want := int64(end.Sub(now).Seconds())
	if outcome != ok || answer.RefreshToken == "" || answer.RefreshTokenExpiresIn != want || answer.RefreshTokenTimeout != want || answer.AuthorizationExpiresIn != all {
		t.Errorf("%s: %s, %+v; want %d s and %d s", name, outcome, answer, want, all)
	}
}
