package session_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// TestASessionThatDoesNotRemain checks what ends a session, or keeps it although it is not exchanged now.
func TestASessionThatDoesNotRemain(t *testing.T) {
	till := replica.NameOf("till")
	edit := func(change func(*v1alpha1.JWTRefreshKey)) func(*replica.Replica) {
		return func(r *replica.Replica) { r.Edit(replica.NameOf(sessions(r)[0].Name), change) }
	}
	for name, c := range map[string]struct {
		change func(*replica.Replica)
		want   string
	}{
		"nothing":                   {func(*replica.Replica) {}, ok},
		"its account is deleted":    {func(r *replica.Replica) { r.DeleteAccount(till) }, invalidGrant},
		"its account is made again": {func(r *replica.Replica) { r.PutAccount(till) }, invalidGrant},
		"no API server":             {func(r *replica.Replica) { r.Away(true) }, unavailable},
		"another subject":           {edit(func(k *v1alpha1.JWTRefreshKey) { k.Spec.Subject = "system:serviceaccount:tenant:other" }), unauthorized},
		"another subject on record": {edit(func(k *v1alpha1.JWTRefreshKey) { k.Status.Session.Subject = "jane" }), unauthorized},
		"another method on record":  {edit(func(k *v1alpha1.JWTRefreshKey) { k.Status.Session.Method = v1alpha1.LoginOIDC }), unauthorized},
		"another mode":              {edit(func(k *v1alpha1.JWTRefreshKey) { k.Spec.Rotation.Mode = v1alpha1.RotationScheduled }), unauthorized},
		"another end":               {edit(func(k *v1alpha1.JWTRefreshKey) { k.Spec.ExpiresAt = nil }), ok},
		"an end after the issuer's": {func(r *replica.Replica) {
			edit(func(k *v1alpha1.JWTRefreshKey) { k.Spec.ExpiresAt = nil })(r)
			r.Issuer.Spec.Login.SessionLifetime = &metav1.Duration{Duration: time.Minute}
			r.PutIssuer(r.Issuer, r.Rings)
			forward(r, time.Minute)
		}, unauthorized},
		"revoked": {edit(func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true }), invalidGrant},
		"deleted": {func(r *replica.Replica) { r.Delete(replica.NameOf(sessions(r)[0].Name)) }, invalidGrant},
	} {
		t.Run(name, func(t *testing.T) {
			r := replica.New(t, login(func(*v1alpha1.LoginSpec) {}))
			answer, outcome := r.SignIn(r.Account("till", replica.URL))
			expect(t, outcome, ok, "the login")
			c.change(r)
			_, outcome = r.Refresh(answer.RefreshToken)
			expect(t, outcome, c.want, name)
		})
	}
}
