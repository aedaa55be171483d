package service

import (
	"strings"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

// presentReplays presents, once each, tokens that were good and are no longer.
func (s *attackHarness) presentReplays(t *testing.T) {
	revoked, leaked, dead, spent := s.newKey("revoked"), s.newKey("leaked"), s.newKey("dead"), s.newKey("spent", oneTime(0))
	bound := s.newKey("bound", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Binding = &v1alpha1.BindingSpec{JWKThumbprint: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}
	})
	of := map[*v1alpha1.JWTRefreshKey]string{}
	for _, key := range []*v1alpha1.JWTRefreshKey{revoked, leaked, dead, spent, bound} {
		of[key] = s.secret(s.reaches(key, 1))
	}
	loggedOut := s.newKey("logged-out")
	of[loggedOut] = s.secret(s.reaches(loggedOut, 1))
	if got := s.send(t, s.form("/revoke", "token", of[loggedOut])); got.outcome() != "200" {
		t.Fatalf("the logout gives %s", got.outcome())
	}
	s.edit(revoked, func() { revoked.Spec.Revoked = true })
	s.annotate(leaked, v1alpha1.AnnotationRotateNow, "leaked")
	after := s.secret(s.reaches(leaked, 2))
	again := s.recreate(dead)
	successor := s.secret(s.send(t, s.exchange(of[spent])).text("refresh_token"))
	if successor == "" {
		t.Fatal("the one-time token has no successor")
	}
	for _, key := range []*v1alpha1.JWTRefreshKey{revoked, leaked, dead} {
		s.Eventually(func() string { return s.send(t, s.exchange(of[key])).outcome() }, patience, pollEvery).Should(gomega.Equal("400 invalid_grant"))
	}
	rows := []presented{
		refused("of a revoked key", of[revoked]),
		refused("of a key that was logged out", of[loggedOut]),
		refused("leaked, and replaced", of[leaked]),
		{"what replaced it", after, "200", true},
		refused("of a key that was deleted and made again", of[dead]),
		{"of the key that was made again", again, "200", true},
		// A stolen bound token is useless without the proof (RFC 9449 §5).
		{"stolen, and bound", of[bound], "400 invalid_dpop_proof", true},
		// One of the two holders of a used token is a thief, and the service cannot tell which (RFC 9700 §4.14.2).
		// The line ends, and with it the successor.
		refused("used before", of[spent]),
		refused("the successor of one that was used again", successor),
	}
	t.Run("replays", func(t *testing.T) { s.presentAll(t, rows) })
}

// newKey calls harness.key, which the field key hides.
func (s *attackHarness) newKey(name string, change ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	s.t.Helper()
	return s.harness.key(name, change...)
}

// recreate deletes a key, makes it again under its name, and returns the new token. The garbage collector, which
// would delete the old Secret, does not run here.
func (s *attackHarness) recreate(key *v1alpha1.JWTRefreshKey) string {
	s.t.Helper()
	s.Expect(s.admin.Delete(s.ctx, key)).To(gomega.Succeed())
	s.Eventually(func() bool {
		return apierrors.IsNotFound(s.admin.Get(s.ctx, client.ObjectKeyFromObject(key), key.DeepCopy()))
	}, patience, pollEvery).Should(gomega.BeTrue())
	s.Expect(s.admin.Delete(s.ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}})).To(gomega.Succeed())
	again := s.newKey(key.Name)
	return s.secret(s.reaches(again, 1))
}

// presentElsewhere presents good tokens at other issuers and endpoints than their own.
func (s *attackHarness) presentElsewhere(t *testing.T) {
	other := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: s.name + "-b"}, Spec: v1alpha1.JWTIssuerSpec{URL: s.url() + "-b"}}
	s.create(other)
	key := s.newKey("elsewhere", func(k *v1alpha1.JWTRefreshKey) { k.Spec.IssuerRef.Name = other.Name })
	foreign := s.secret(s.reaches(key, 1))
	at := func(r request) request {
		r.target = strings.Replace(r.target, s.name, other.Name, 1)
		return r
	}
	s.Eventually(func() string { return s.send(t, at(s.exchange(foreign))).outcome() }, patience, pollEvery).Should(gomega.Equal("200"))
	access := s.secret(s.send(t, s.exchange(s.good)).text("access_token"))
	account := s.secret(s.accountToken("orders-api", "https://kubernetes.default.svc"))
	rows := []presented{
		{name: "another issuer's token", compact: foreign, want: malformed},
		refused("the caller's own token", s.caller),
		refused("a token of the cluster", account),
		{name: "an access token of another issuer", want: malformed, compact: s.send(t, at(s.exchange(foreign))).text("access_token")},
	}
	t.Run("tokens of elsewhere", func(t *testing.T) { s.presentAll(t, rows) })
	asking := func(bearer string) request {
		return s.form("/introspect", "token", access).with("Authorization", "Bearer "+bearer)
	}
	const unknown = "401 invalid_token"
	crossed := []attack{
		{"an access token exchanged", s.exchange(access), "400 invalid_grant", nil},
		{"an access token under another name", s.form("/token", "grant_type", "refresh_token", "access_token", access), malformed, nil},
		{"our token at another issuer", at(s.exchange(s.good)), malformed, nil},
		{"our token given up at another issuer", at(s.form("/revoke", "token", s.good)), malformed, nil},
		{"a caller of another issuer", at(s.ask(access)), unknown, nil},
		{"a refresh token as bearer", asking(s.good), unknown, nil},
		{"an access token as bearer", asking(access), unknown, nil},
		{"a token of the cluster that is for the cluster", asking(account), unknown, nil},
		{"a token of the cluster, its payload changed", asking(part(s.caller, 1, func(string) string { return b64(`{"sub":"system:admin"}`) })), unknown, nil},
	}
	t.Run("elsewhere", func(t *testing.T) { s.sendAll(t, crossed) })
	s.sendWithoutKeys(t, other, foreign, at)
}

// sendWithoutKeys checks that a service that cannot read the signing keys neither refuses a token nor claims to
// have revoked one: a client would discard it.
func (s *attackHarness) sendWithoutKeys(t *testing.T, issuer *v1alpha1.JWTIssuer, good string, at func(request) request) {
	caller := s.secret(s.accountToken("orders-api", issuer.Spec.URL))
	var keys corev1.SecretList
	s.Expect(s.admin.List(s.ctx, &keys, client.InNamespace(apiserver.Namespace), client.MatchingLabels{v1alpha1.LabelSigningKeysOf: issuer.Name})).To(gomega.Succeed())
	s.Expect(keys.Items).To(gomega.HaveLen(1))
	s.edit(&keys.Items[0], func() { keys.Items[0].Data["rings.json"] = []byte("{}") })
	const unknowable = "503 temporarily_unavailable"
	s.Eventually(func() string { return s.send(t, at(s.exchange(good))).outcome() }, patience, pollEvery).Should(gomega.Equal(unknowable))
	get := func(endpoint string) request { return at(request{method: "GET", target: s.at(endpoint)}) }
	asking := s.form("/introspect", "token", good).with("Authorization", "Bearer "+caller)
	rows := []attack{
		{"a good token without keys", at(s.exchange(good)), unknowable, nil},
		{"a malformed token without keys", at(s.exchange("no.to.ken")), unknowable, nil},
		{"a token of another issuer, for which no key is needed", at(s.exchange(s.good)), malformed, nil},
		{"a revocation without keys", at(s.form("/revoke", "token", good)), unknowable, nil},
		{"a question without keys", at(asking), unknowable, nil},
		{"the key set without keys", get("/jwks.json"), unknowable, nil},
		{"the metadata without keys", get("/.well-known/openid-configuration"), unknowable, nil},
	}
	t.Run("without keys", func(t *testing.T) { s.sendAll(t, rows) })
}
