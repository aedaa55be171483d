package interop

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

const (
	// peopleIssuer is an issuer of which the API server trusts the sessions of people only, which are in peopleNamespace.
	peopleIssuer    = "interop-people"
	peopleNamespace = "interop-people-sessions"
	// peoplePrefix and providerPrefix are the prefixes of the names of the issuer, and of the provider.
	peoplePrefix, providerPrefix = "sessions:", "oidc:"
	consoleClient                = "console"
	userAgent                    = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
)

// trustForConsole returns the issuers that docs/console-sign-in.md lets the API server trust: the provider, and a JWTIssuer for the
// people that signed in there.
func trustForConsole(authority string) []cluster.Trusted {
	return []cluster.Trusted{
		{URL: fmt.Sprintf("https://%s:%d", host, suite.providerPort), Audience: consoleClient, Authority: authority, Prefix: providerPrefix, Groups: true},
		{
			URL: fmt.Sprintf("https://%s:%d/%s", host, suite.peoplePort, peopleIssuer), Audience: clusterAudience, Authority: authority,
			Prefix: peoplePrefix, SessionNamespace: peopleNamespace,
		},
	}
}

// TestConsoleForwardsIDTokens checks that a person acts with the id_token where the API server trusts the provider, that it is
// renewed, and that a sign-out also ends the session at the provider.
func TestConsoleForwardsIDTokens(t *testing.T) {
	if suite.server.Existing() {
		t.Skip("an existing cluster is not configured to trust the provider")
	}
	p := newPage(t, suite.server.Admin, false, "scopes: [openid, profile, offline_access]\n")
	me := p.me()
	p.Expect(me).To(gomega.And(gomega.HaveField("User", providerPrefix+"id-jane"), gomega.HaveField("Means", wire.IDToken),
		gomega.HaveField("Groups", gomega.ContainElement(providerPrefix+"auditors")), gomega.HaveField("OwnSessions", false)))
	p.Expect(p.signInAs("jane").String()).To(gomega.Equal(p.url + "/keys"))
	first := p.signIn.credential
	next, err := first.Renew(t.Context())
	p.Expect(err).NotTo(gomega.HaveOccurred())
	p.Expect(p.whoIs(next)).To(gomega.Equal(providerPrefix + "id-jane"))
	again, err := next.Renew(t.Context())
	p.Expect(err).NotTo(gomega.HaveOccurred(), "the refresh token that followed is not known")
	p.Expect(p.whoIs(again)).To(gomega.Equal(providerPrefix + "id-jane"))
	p.Expect(p.signOut().String()).To(gomega.HavePrefix(p.url + "/signin"))
	_, err = again.Renew(t.Context())
	p.Expect(err).To(gomega.HaveOccurred(), "the sign-in goes on after the sign-out")
}

// TestConsoleExchangesIDTokens checks that a person acts with an access token of the token service where the API server trusts
// a JWTIssuer, that this is a session there, and that the API server accepts the sessions of people only.
func TestConsoleExchangesIDTokens(t *testing.T) {
	if suite.server.Existing() {
		t.Skip("an existing cluster is not configured to trust the issuer")
	}
	p := newPage(t, suite.server.Admin, false, fmt.Sprintf("forward: Exchange\ntokenService: {issuerURL: 'https://%s:%d/%s', audience: '%s', caFile: %s}\n",
		host, suite.peoplePort, peopleIssuer, clusterAudience, suite.trustedFile))
	h := newFixture(t, time.Now(), suite.peoplePort, func(i *v1alpha1.JWTIssuer) {
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Audiences: []string{clusterAudience}}}}
		i.Spec.Login = &v1alpha1.LoginSpec{SessionNamespace: peopleNamespace, OIDC: []v1alpha1.OIDCProvider{{
			IssuerURL: p.provider.issuer, CABundle: string(suite.bundle), Audiences: []string{consoleClient}, SubjectPrefix: "people:",
		}}}
	})
	h.CreateNamespace(peopleNamespace, nil)
	p.now = func() { h.clock.SetTime(time.Now()) }
	me := p.me()
	const jane = peoplePrefix + "people:id-jane"
	p.Expect(me).To(gomega.And(gomega.HaveField("User", jane), gomega.HaveField("Means", wire.Exchange), gomega.HaveField("OwnSessions", true)))

	sessions := func() (living []v1alpha1.JWTRefreshKey) {
		var list v1alpha1.JWTRefreshKeyList
		p.Expect(h.Admin.List(h.Ctx, &list, client.InNamespace(peopleNamespace), client.HasLabels{v1alpha1.LabelSession})).To(gomega.Succeed())
		for _, one := range list.Items {
			if !one.Spec.Revoked && one.Status.RevokedAt == nil {
				living = append(living, one)
			}
		}
		return living
	}
	p.Eventually(func() int { return len(sessions()) }).WithTimeout(patience).Should(gomega.Equal(1), "the sessions of earlier sign-ins of the browser go on")
	p.Expect(sessions()[0].Status.Session).To(gomega.HaveValue(gomega.And(
		gomega.HaveField("Subject", "people:id-jane"), gomega.HaveField("Provider", p.provider.issuer))))
	p.Expect(sessions()[0].Spec.DeviceInfo).To(gomega.HaveValue(gomega.HaveField("Browser", gomega.ContainSubstring("Firefox"))))

	// A token that is younger than the grace is not followed.
	h.clock.SetTime(h.clock.Now().Add(time.Minute))
	next, err := p.signIn.credential.Renew(t.Context())
	p.Expect(err).NotTo(gomega.HaveOccurred())
	p.Expect(next.OwnSessions).NotTo(gomega.BeNil())
	h.clock.SetTime(h.clock.Now().Add(time.Minute))
	again, err := next.Renew(t.Context())
	p.Expect(err).NotTo(gomega.HaveOccurred(), "the refresh token that followed is not known")
	p.Expect(p.whoIs(again)).To(gomega.Equal(jane))

	t.Run("a tenant's key of the same audience", func(t *testing.T) {
		h := *h
		h.T, h.WithT = t, gomega.NewWithT(t)
		key := h.key("ci", func(key *v1alpha1.JWTRefreshKey) { key.Spec.Audience = clusterAudience })
		_, err := h.kubectl(h.exchange(h.discovery(), key), "auth", "whoami")
		h.Expect(err).To(gomega.MatchError(gomega.ContainSubstring("Unauthorized")))
	})

	t.Run("my sessions", func(t *testing.T) { ownSessions(p.within(t)) })

	p.Expect(p.signOut().String()).To(gomega.HavePrefix(p.url + "/signin"))
	p.Expect(len(sessions())).To(gomega.BeZero(), "the session goes on after the sign-out")
	_, err = again.Renew(t.Context())
	p.Expect(err).To(gomega.HaveOccurred())
}

// ownSessions checks that a person sees their own sessions and ends one in another browser, without rights in the namespace of sessions.
func ownSessions(p *page) {
	p.t.Helper()
	person := p.client(p.signIn.credential)
	p.Expect(apierrors.IsForbidden(person.List(p.t.Context(), &v1alpha1.JWTRefreshKeyList{}, client.InNamespace(peopleNamespace)))).
		To(gomega.BeTrue(), "the person may list the namespace of sessions")
	mine := func(p *page) (living []wire.OwnSession) {
		var said wire.Mine
		p.Expect(p.call(http.MethodGet, "/api/mine", "", &said)).To(gomega.Equal(http.StatusOK))
		for _, one := range said.Sessions {
			if one.RevokedAt == "" {
				living = append(living, one)
			}
		}
		return living
	}
	p.Expect(mine(p)).To(gomega.ConsistOf(gomega.And(gomega.HaveField("Current", true), gomega.HaveField("Audience", clusterAudience),
		gomega.HaveField("Provider", p.provider.issuer), gomega.HaveField("Device.Browser", gomega.ContainSubstring("Firefox")))))
	other := p.elsewhere()
	p.Expect(other.signInAs("jane").String()).To(gomega.Equal(p.url + "/keys"))
	p.Expect(mine(other)).To(gomega.ConsistOf(gomega.HaveField("Current", true), gomega.HaveField("Current", false)))

	var ended wire.Ended
	p.Expect(p.call(http.MethodPost, "/api/mine/end", `{"others":true}`, &ended)).To(gomega.Equal(http.StatusOK))
	p.Expect(ended.Ended).To(gomega.Equal(1))
	p.Expect(mine(p)).To(gomega.ConsistOf(gomega.HaveField("Current", true)))
	var refused wire.Failure
	p.Expect(other.call(http.MethodGet, "/api/mine", "", &refused)).To(gomega.Equal(http.StatusUnauthorized))
}

// TestConsoleImpersonates checks that the console's ServiceAccount acts as a person for refresh keys and issuers, and for nothing
// else, also where the person may do everything.
func TestConsoleImpersonates(t *testing.T) {
	h := newFixture(t, time.Now(), 0)
	h.Create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.Namespace, Name: "refreshkeys-console"}})
	h.Expect(suite.server.Apply(h.Ctx, filepath.Join("config", "console-impersonation"))).To(gomega.Succeed())
	api, err := suite.server.ServiceAccount(h.Ctx, apiserver.Namespace, "refreshkeys-console")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	p := newPage(t, api, true, "forward: Impersonation\ngroupsClaim: groups\n")
	const jane = "oidc:id-jane"
	h.Create(&rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "interop-jane-"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: jane}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
	})
	me := p.me()
	p.Expect(me).To(gomega.And(gomega.HaveField("User", jane), gomega.HaveField("Means", wire.Impersonation), gomega.HaveField("Reveal", false),
		gomega.HaveField("Groups", gomega.ContainElement("oidc:auditors"))))

	person, inNamespace := p.client(p.signIn.credential), client.InNamespace(h.Name)
	key := h.Key("orders")
	named := metav1.ObjectMeta{Namespace: h.Name, Name: "made"}
	for _, may := range []struct {
		name string
		do   func(ctx context.Context) error
	}{
		{"list keys", func(ctx context.Context) error { return person.List(ctx, &v1alpha1.JWTRefreshKeyList{}) }},
		{"list issuers", func(ctx context.Context) error { return person.List(ctx, &v1alpha1.JWTIssuerList{}) }},
		{"list namespaces", func(ctx context.Context) error { return person.List(ctx, &corev1.NamespaceList{}) }},
		{"change a key", func(ctx context.Context) error {
			return person.Patch(ctx, key, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"revoked":true}}`)))
		}},
		{"delete a key", func(ctx context.Context) error { return person.Delete(ctx, key) }},
	} {
		p.Eventually(func() error { return may.do(t.Context()) }).WithTimeout(patience).Should(gomega.Succeed(), "%s", may.name)
	}
	for _, mayNot := range []struct {
		name string
		do   func(ctx context.Context) error
	}{
		{"list Secrets", func(ctx context.Context) error { return person.List(ctx, &corev1.SecretList{}, inNamespace) }},
		{"get a Secret", func(ctx context.Context) error {
			return person.Get(ctx, client.ObjectKey{Namespace: h.Name, Name: "orders"}, &corev1.Secret{})
		}},
		{"list pods", func(ctx context.Context) error { return person.List(ctx, &corev1.PodList{}, inNamespace) }},
		{"create a pod", func(ctx context.Context) error {
			return person.Create(ctx, &corev1.Pod{ObjectMeta: named, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}}})
		}},
		{"list ServiceAccounts", func(ctx context.Context) error { return person.List(ctx, &corev1.ServiceAccountList{}, inNamespace) }},
		{"create a ServiceAccount", func(ctx context.Context) error { return person.Create(ctx, &corev1.ServiceAccount{ObjectMeta: named}) }},
		{"create a namespace", func(ctx context.Context) error {
			return person.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.Name + "-made"}})
		}},
		{"delete a namespace", func(ctx context.Context) error {
			return person.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.Name}})
		}},
		{"create an issuer", func(ctx context.Context) error {
			return person.Create(ctx, &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: h.Name + "-made"}, Spec: v1alpha1.JWTIssuerSpec{URL: "https://made.example.com"}})
		}},
		{"bind a role", func(ctx context.Context) error {
			return person.Create(ctx, &rbacv1.RoleBinding{ObjectMeta: named, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"}})
		}},
	} {
		p.Expect(apierrors.IsForbidden(mayNot.do(t.Context()))).To(gomega.BeTrue(), "the console can %s", mayNot.name)
	}

	own, err := client.New(api, client.Options{Scheme: controllers.Scheme(), Mapper: h.Admin.RESTMapper()})
	p.Expect(err).NotTo(gomega.HaveOccurred())
	p.Expect(apierrors.IsForbidden(own.List(t.Context(), &v1alpha1.JWTRefreshKeyList{}))).To(gomega.BeTrue(), "the console has rights of its own")
	p.signOut()
}
