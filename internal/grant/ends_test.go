package grant

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// TestEndsOfAnAnswer checks that an answer contains the earliest of the known ends, in whole seconds from now.
func TestEndsOfAnAnswer(t *testing.T) {
	const hour = int64(3600)
	noon := time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)
	in := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: noon.Add(d)} }
	for _, c := range []struct {
		name  string
		given func(*v1alpha1.JWTRefreshKey)
		// token is when the token ends, all when the authorization ends, in seconds; 0 for no end.
		token, all int64
	}{
		{"a token of 10 h", func(*v1alpha1.JWTRefreshKey) {}, 10 * hour, 0},
		{"spec.expiresAt after its end", func(k *v1alpha1.JWTRefreshKey) { k.Spec.ExpiresAt = in(20 * time.Hour) }, 10 * hour, 20 * hour},
		{"spec.expiresAt before its end", func(k *v1alpha1.JWTRefreshKey) { k.Spec.ExpiresAt = in(5 * time.Hour) }, 5 * hour, 5 * hour},
		{"spec.expiresAt within a second", func(k *v1alpha1.JWTRefreshKey) { k.Spec.ExpiresAt = in(5*time.Hour + 900*time.Millisecond) }, 5 * hour, 5 * hour},
		{"idleTimeout before its end", func(k *v1alpha1.JWTRefreshKey) { k.Spec.IdleTimeout = &metav1.Duration{Duration: 2 * time.Hour} }, 2 * hour, 0},
		{"idleTimeout after its end", func(k *v1alpha1.JWTRefreshKey) { k.Spec.IdleTimeout = &metav1.Duration{Duration: 20 * time.Hour} }, 10 * hour, 0},
		{"idleTimeout before spec.expiresAt", func(k *v1alpha1.JWTRefreshKey) {
			k.Spec.IdleTimeout, k.Spec.ExpiresAt = &metav1.Duration{Duration: 2 * time.Hour}, in(3*time.Hour)
		}, 2 * hour, 3 * hour},
		{"idleTimeout after spec.expiresAt", func(k *v1alpha1.JWTRefreshKey) {
			k.Spec.IdleTimeout, k.Spec.ExpiresAt = &metav1.Duration{Duration: 4 * time.Hour}, in(3*time.Hour)
		}, 3 * hour, 3 * hour},
		{"a token that nothing follows", func(k *v1alpha1.JWTRefreshKey) {
			k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationNever}
		}, 10 * hour, 10 * hour},
		{"a session that reaches sessionLifetime in 6 h", func(k *v1alpha1.JWTRefreshKey) {
			k.Status.Session = &v1alpha1.SessionStatus{StartedAt: *in(-time.Hour)}
			k.Spec.ExpiresAt = in(30 * time.Hour)
		}, 6 * hour, 6 * hour},
		{"a superseded token, which overlap.max ends in 2 h", func(k *v1alpha1.JWTRefreshKey) {
			k.Status.CreatedAt = in(-time.Hour)
			k.Status.Previous = []v1alpha1.SupersededToken{{JTI: "presented", ExpiresAt: *in(10 * time.Hour)}}
			k.Status.Effective = &v1alpha1.EffectiveValues{Overlap: &v1alpha1.EffectiveOverlap{Max: &metav1.Duration{Duration: 3 * time.Hour}}}
		}, 2 * hour, 0},
		{"an end in this second, which is not one that never comes", func(k *v1alpha1.JWTRefreshKey) { k.Spec.ExpiresAt = in(0) }, 1, 1},
	} {
		key := &v1alpha1.JWTRefreshKey{}
		c.given(key)
		e := &exchange{key: key, issuer: &registry.Issuer{}}
		e.issuer.Login.SessionLifetime = 7 * time.Hour
		var answer oauth.TokenAnswer
		e.setEnds(&answer, &token.Claims{JTI: "presented", ExpiresAt: noon.Add(10 * time.Hour)}, noon)
		if answer.RefreshTokenExpiresIn != c.token || answer.RefreshTokenTimeout != c.token || answer.AuthorizationExpiresIn != c.all {
			t.Errorf("%s: refresh_token_expires_in %d, refresh_token_timeout %d, authorization_expires_in %d; want %d, %d and %d",
				c.name, answer.RefreshTokenExpiresIn, answer.RefreshTokenTimeout, answer.AuthorizationExpiresIn, c.token, c.token, c.all)
		}
	}
}
