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
func (s *attackFixture) presentReplays(t *testing.T) {
	revoked, leaked, dead, spent := s.newKey("revoked"), s.newKey("leaked"), s.newKey("dead"), s.newKey("spent", oneTime(0))
	bound := s.newKey("bound", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Binding = &v1alpha1.BindingSpec{JWKThumbprint: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}
	})
	of := map[*v1alpha1.JWTRefreshKey]string{}
	for _, key := range []*v1alpha1.JWTRefreshKey{revoked, leaked, dead, spent, bound} {
		of[key] = s.secret(s.AwaitRevision(key, 1))
	}
	loggedOut := s.newKey("logged-out")
	of[loggedOut] = s.secret(s.AwaitRevision(loggedOut, 1))
	if got := s.send(t, s.form("/revoke", "token", of[loggedOut])); got.Outcome() != "200" {
		t.Fatalf("the logout gives %s", got.Outcome())
	}
	s.Edit(revoked, func() { revoked.Spec.Revoked = true })
	s.Annotate(leaked, v1alpha1.AnnotationRotateNow, "leaked")
	after := s.secret(s.AwaitRevision(leaked, 2))
	again := s.recreate(dead)
	successor := s.secret(s.send(t, s.exchange(of[spent])).Text("refresh_token"))
	if successor == "" {
		t.Fatal("the one-time token has no successor")
	}
	for _, key := range []*v1alpha1.JWTRefreshKey{revoked, leaked, dead} {
		s.Eventually(func() string { return s.send(t, s.exchange(of[key])).Outcome() }).Should(gomega.Equal("400 invalid_grant"))
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

// newKey calls Key of the fixture, which the field key hides.
func (s *attackFixture) newKey(name string, change ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	s.T.Helper()
	return s.fixture.Key(name, change...)
}

// recreate deletes a key, makes it again under its name, and returns the new token. The garbage collector, which
// would delete the old Secret, does not run here.
func (s *attackFixture) recreate(key *v1alpha1.JWTRefreshKey) string {
	s.T.Helper()
	s.Expect(s.Admin.Delete(s.Ctx, key)).To(gomega.Succeed())
	s.Eventually(func() bool {
		return apierrors.IsNotFound(s.Admin.Get(s.Ctx, client.ObjectKeyFromObject(key), key.DeepCopy()))
	}).Should(gomega.BeTrue())
	s.Expect(s.Admin.Delete(s.Ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}})).To(gomega.Succeed())
	again := s.newKey(key.Name)
	return s.secret(s.AwaitRevision(again, 1))
}

// presentElsewhere presents good tokens at other issuers and endpoints than their own.
func (s *attackFixture) presentElsewhere(t *testing.T) {
	other := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: s.fixture.Name + "-b"}, Spec: v1alpha1.JWTIssuerSpec{URL: s.URL() + "-b"}}
	s.Create(other)
	key := s.newKey("elsewhere", func(k *v1alpha1.JWTRefreshKey) { k.Spec.IssuerRef.Name = other.Name })
	foreign := s.secret(s.AwaitRevision(key, 1))
	at := func(r request) request {
		r.target = strings.Replace(r.target, s.fixture.Name, other.Name, 1)
		return r
	}
	s.Eventually(func() string { return s.send(t, at(s.exchange(foreign))).Outcome() }).Should(gomega.Equal("200"))
	access := s.secret(s.send(t, s.exchange(s.good)).Text("access_token"))
	account := s.secret(s.AccountToken(s.fixture.Name, "orders-api", "https://kubernetes.default.svc"))
	rows := []presented{
		{name: "another issuer's token", compact: foreign, want: malformed},
		refused("the caller's own token", s.caller),
		refused("a token of the cluster", account),
		{name: "an access token of another issuer", want: malformed, compact: s.send(t, at(s.exchange(foreign))).Text("access_token")},
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
func (s *attackFixture) sendWithoutKeys(t *testing.T, issuer *v1alpha1.JWTIssuer, good string, at func(request) request) {
	caller := s.secret(s.AccountToken(s.fixture.Name, "orders-api", issuer.Spec.URL))
	var keys corev1.SecretList
	s.Expect(s.Admin.List(s.Ctx, &keys, client.InNamespace(apiserver.Namespace), client.MatchingLabels{v1alpha1.LabelSigningKeysOf: issuer.Name})).To(gomega.Succeed())
	s.Expect(keys.Items).To(gomega.HaveLen(1))
	s.Edit(&keys.Items[0], func() { keys.Items[0].Data["rings.json"] = []byte("{}") })
	const unknowable = "503 temporarily_unavailable"
	s.Eventually(func() string { return s.send(t, at(s.exchange(good))).Outcome() }).Should(gomega.Equal(unknowable))
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
