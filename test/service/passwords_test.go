package service

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/onsi/gomega"
	"golang.org/x/crypto/bcrypt"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// passwordFile creates a Secret with htpasswd lines that the issuer can name.
func (h *fixture) passwordFile(lines string) string {
	h.T.Helper()
	name := h.Name + "-passwords"
	h.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "refreshkeys-system", Name: name}, StringData: map[string]string{"htpasswd": lines}})
	return name
}

func htpasswd(t *testing.T, user, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return user + ":" + string(hash) + "\n"
}

// TestPasswords checks that login by password is off unless the issuer enables it, and then works for the users of
// its Secret.
func TestPasswords(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	file := h.passwordFile("# people\n" + htpasswd(t, "jane", "correct horse") + "broken\n" + "system:admin:x\n")
	h.Issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Login = &v1alpha1.LoginSpec{
			SessionNamespace: h.Name, Passwords: &v1alpha1.PasswordLogin{SecretRef: v1alpha1.LocalSecretReference{Name: file}},
		}
	})
	h.Manage()
	r := h.Replica()
	h.serves(r)
	login := func(user, password string) *operator.Answer {
		return h.Post(r, "/token", url.Values{"grant_type": {"password"}, "username": {user}, "password": {password}, "audience": {harness.Audience}})
	}
	got := login("jane", "correct horse")
	h.Expect(got.Outcome()).To(gomega.Equal("200"), got.Raw)
	h.Expect(got.Body).NotTo(gomega.HaveKey("issued_token_type"))
	session := &h.sessions()[0]
	h.Expect(session.Spec.Subject).To(gomega.Equal("jane"))
	h.Expect(session.Status.Session.Method).To(gomega.Equal(v1alpha1.LoginPassword))
	h.Expect(login("jane", "wrong").Outcome()).To(gomega.Equal("400 invalid_grant"))
	h.Expect(h.sessions()).To(gomega.HaveLen(1))

	refreshed := h.Refresh(r, got.Text("refresh_token"))
	h.Expect(refreshed.Outcome()).To(gomega.Equal("200"), refreshed.Raw)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "refreshkeys-system", Name: file}}
	h.Edit(secret, func() { secret.Data = map[string][]byte{"htpasswd": nil} })
	again := h.Replica()
	h.Expect(h.Refresh(again, refreshed.Text("refresh_token")).Outcome()).To(gomega.Equal("400 unauthorized_client"), "the user is removed, and may be added again")

	var last *operator.Answer
	for i := range 25 {
		last = login(fmt.Sprint("user-", i), "x")
	}
	h.Expect(last.Outcome()).To(gomega.Equal("429 slow_down"), "an address does not try any number of users")
}
