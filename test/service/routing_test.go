package service

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/forge"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// shared returns the in-cluster URL that the install notes name; several issuers have it as their endpointURL.
func (h *fixture) shared() string { return "https://refreshkeys-tokenserver." + h.Name + ".svc" }

// named creates one more issuer, with the shared in-cluster URL.
func (h *fixture) named(suffix, url string) *v1alpha1.JWTIssuer {
	h.T.Helper()
	issuer := &v1alpha1.JWTIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: h.Name + suffix}, Spec: v1alpha1.JWTIssuerSpec{URL: url, EndpointURL: h.shared()},
	}
	h.Create(issuer)
	return issuer
}

func (h *fixture) three() (issuers []*v1alpha1.JWTIssuer) {
	h.T.Helper()
	return []*v1alpha1.JWTIssuer{
		h.Issuer(func(i *v1alpha1.JWTIssuer) { i.Spec.EndpointURL = h.shared() }),
		h.named("-b", "https://b."+h.Name+".example.com"),
		h.named("-c", h.URL()+"/c"),
	}
}

// newThree returns a fixture with three issuers, a manager and a replica.
func newThree(t *testing.T) (h *fixture, r *operator.Replica, issuers []*v1alpha1.JWTIssuer) {
	t.Helper()
	h = newFixture(t, clock.RealClock{})
	issuers = h.three()
	h.Manage()
	return h, h.Replica(), issuers
}

func ofIssuer(issuer *v1alpha1.JWTIssuer, more ...func(*v1alpha1.JWTRefreshKey)) func(*v1alpha1.JWTRefreshKey) {
	return func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.IssuerRef = &v1alpha1.IssuerReference{Name: issuer.Name}
		for _, change := range more {
			change(k)
		}
	}
}

// at sends a request to the URL of an endpoint, with the host of the URL.
func (h *fixture) at(r *operator.Replica, method, endpoint string, form url.Values, headers ...string) *operator.Answer {
	h.T.Helper()
	rest, ok := strings.CutPrefix(endpoint, "https://")
	h.Expect(ok).To(gomega.BeTrue(), endpoint)
	host, path, _ := strings.Cut(rest, "/")
	request, err := http.NewRequestWithContext(h.Ctx, method, r.Server.URL+"/"+path, strings.NewReader(form.Encode()))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	request.Host = host
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return h.Do(r, request)
}

func refreshForm(compact string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {compact}}
}

// saysNothingOf checks that an answer does not repeat a token.
func (h *fixture) saysNothingOf(got *operator.Answer, compact string) {
	h.T.Helper()
	for _, part := range strings.Split(compact, ".") {
		h.Expect(strings.Contains(got.Raw, part)).To(gomega.BeFalse(), "the answer repeats a part of the token")
	}
}

// becomesKnown waits until the replicas exchange a token at an endpoint.
func (h *fixture) becomesKnown(replicas []*operator.Replica, base, compact string) {
	h.T.Helper()
	for _, r := range replicas {
		h.Eventually(func() string { return h.at(r, http.MethodPost, base+"/token", refreshForm(compact)).Outcome() }).
			Should(gomega.Equal("200"), "%s", base)
	}
}

// TestIssuersThatShareAnEndpoint checks that three issuers with one endpointURL each exchange, introspect and
// revoke their own tokens there, and that no answer makes a client discard a token of another issuer.
func TestIssuersThatShareAnEndpoint(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	issuers := h.three()
	h.Manage()
	replicas := []*operator.Replica{h.Replica(), h.Replica()}
	var tokens []string
	for i, issuer := range issuers {
		tokens = append(tokens, h.AwaitRevision(h.Key("key-"+string(rune('a'+i)), ofIssuer(issuer)), 1))
	}
	for i, issuer := range issuers {
		h.becomesKnown(replicas, issuer.Spec.URL, tokens[i])
	}
	in := "refreshkeys-tokenserver." + h.Name + ".svc"
	for _, r := range replicas {
		for i, issuer := range issuers {
			for _, host := range []string{in, in + ":443", in + ".", in + ".:443", strings.ToUpper(in)} {
				got := h.at(r, http.MethodPost, "https://"+host+"/token", refreshForm(tokens[i]))
				h.Expect(got.Outcome()).To(gomega.Equal("200"), "a token of %s at %s: %s", issuer.Spec.URL, host, got.Text("error_description"))
				h.Expect(h.says(got.Text("access_token"))).To(gomega.HaveKeyWithValue("iss", issuer.Spec.URL))
			}
			h.wrongIssuer(r, issuers, i, tokens)
		}
	}
	h.asksAtTheSharedEndpoint(replicas, issuers, tokens)
	h.Expect(h.at(replicas[0], http.MethodPost, h.shared()+"/revoke", url.Values{"token": {tokens[1]}}).Outcome()).To(gomega.Equal("200"))
	for _, r := range replicas {
		h.Eventually(func() string { return h.at(r, http.MethodPost, h.shared()+"/token", refreshForm(tokens[1])).Outcome() }).
			Should(gomega.Equal("400 invalid_grant"), "the logout at the shared endpoint")
		h.Expect(h.at(r, http.MethodPost, h.shared()+"/token", refreshForm(tokens[0])).Outcome()).To(gomega.Equal("200"), "is of one line alone")
	}
}

// wrongIssuer sends the token of one issuer to the urls of the others, which must not cost the client its token.
func (h *fixture) wrongIssuer(r *operator.Replica, issuers []*v1alpha1.JWTIssuer, own int, tokens []string) {
	h.T.Helper()
	for i, other := range issuers {
		if i == own {
			continue
		}
		// The first issuer shares only the in-cluster endpoint with the others.
		got := h.at(r, http.MethodPost, other.Spec.URL+"/token", refreshForm(tokens[own]))
		h.Expect(got.Outcome()).To(gomega.Equal("400 invalid_request"), "a token of %s at %s", issuers[own].Spec.URL, other.Spec.URL)
		h.Expect(got.Text("error_description")).To(gomega.ContainSubstring(issuers[own].Spec.URL + "/token"))
		h.saysNothingOf(got, tokens[own])
		got = h.at(r, http.MethodPost, other.Spec.URL+"/revoke", url.Values{"token": {tokens[own]}})
		h.Expect(got.Outcome()).To(gomega.Equal("400 invalid_request"), "a logout that did not happen is not called one")
		h.Expect(got.Text("error_description")).To(gomega.ContainSubstring(issuers[own].Spec.URL + "/revoke"))
	}
	garbage := forge.Part(tokens[own], 2, func(signature string) string { return strings.Repeat("A", len(signature)) })
	for name, compact := range map[string]string{
		"a forged signature": garbage, "nonsense": "nonsense", "an issuer that does not exist": forge.Part(tokens[own], 1, func(string) string { return forge.B64(`{"iss":"https://nowhere.example.com"}`) }),
	} {
		h.Expect(h.at(r, http.MethodPost, h.shared()+"/token", refreshForm(compact)).Outcome()).To(gomega.Equal("400 invalid_grant"), name)
		h.Expect(h.at(r, http.MethodPost, h.shared()+"/revoke", url.Values{"token": {compact}}).Outcome()).To(gomega.Equal("200"), name)
	}
}

// asksAtTheSharedEndpoint checks that the audience of a caller is the issuer's URL at any endpoint, and that a
// token of another issuer is inactive.
func (h *fixture) asksAtTheSharedEndpoint(replicas []*operator.Replica, issuers []*v1alpha1.JWTIssuer, tokens []string) {
	h.T.Helper()
	h.caller("auditor", "")
	for _, r := range replicas {
		ask := func(bearer, compact string) *operator.Answer {
			return h.at(r, http.MethodPost, h.shared()+"/introspect", url.Values{"token": {compact}}, "Authorization", "Bearer "+bearer)
		}
		for i, issuer := range issuers {
			access := h.at(r, http.MethodPost, h.shared()+"/token", refreshForm(tokens[i])).Text("access_token")
			own, foreign := h.AccountToken(h.Name, "auditor", issuer.Spec.URL), h.AccountToken(h.Name, "auditor", issuers[(i+1)%3].Spec.URL)
			got := ask(own, access)
			h.Expect(got.Outcome()).To(gomega.Equal("200"))
			h.Expect(got.Body).To(gomega.And(gomega.HaveKeyWithValue("active", true), gomega.HaveKeyWithValue("iss", issuer.Spec.URL)))
			h.Expect(ask(foreign, access).Raw).To(gomega.MatchJSON(`{"active":false}`), "a caller of another issuer learns nothing")
			h.Expect(ask(own, "nonsense").Raw).To(gomega.MatchJSON(`{"active":false}`))
			h.Expect(ask(h.AccountToken(h.Name, "auditor", issuer.Spec.URL, issuers[(i+1)%3].Spec.URL), access).Body).To(gomega.HaveKeyWithValue("active", true))
			h.Expect(ask(h.AccountToken(h.Name, "auditor"), access).Outcome()).To(gomega.Equal("401 invalid_token"))
			h.Expect(ask("nonsense", "nonsense").Outcome()).To(gomega.Equal("401 invalid_token"))
		}
	}
}

// TestMetadataOfIssuersThatShareAnEndpoint checks that a place serves the metadata and keys of the issuer that has
// it as its url.
func TestMetadataOfIssuersThatShareAnEndpoint(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	issuers := h.three()
	// Its own url serves its metadata, even if another issuer has the same URL as endpointURL.
	guest := &v1alpha1.JWTIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: h.Name + "-guest"},
		Spec:       v1alpha1.JWTIssuerSpec{URL: "https://guest." + h.Name + ".example.com", EndpointURL: issuers[1].Spec.URL},
	}
	h.Create(guest)
	h.Manage()
	r := h.Replica()
	for _, issuer := range append(issuers, guest) {
		h.Eventually(func() string { return h.at(r, http.MethodGet, issuer.Spec.URL+"/jwks.json", nil).Outcome() }).Should(gomega.Equal("200"), issuer.Spec.URL)
		h.Expect(h.at(r, http.MethodGet, issuer.Spec.URL+"/.well-known/openid-configuration", nil).Body).To(gomega.HaveKeyWithValue("issuer", issuer.Spec.URL))
	}
	for _, path := range []string{"/jwks.json", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		got := h.at(r, http.MethodGet, h.shared()+path, nil)
		h.Expect(got.Outcome()).To(gomega.Equal(nowhere), path)
		h.Expect(got.Text("error_description")).To(gomega.ContainSubstring("url"), path)
	}
	held := h.AwaitRevision(h.Key("guest", ofIssuer(guest)), 1)
	got := h.at(r, http.MethodPost, issuers[1].Spec.URL+"/token", refreshForm(held))
	h.Expect(got.Outcome()).To(gomega.Equal("200"), got.Text("error_description"))
	h.Expect(h.says(got.Text("access_token"))).To(gomega.HaveKeyWithValue("iss", guest.Spec.URL))
}

// TestLoginsAtASharedEndpoint checks that the audience of a ServiceAccount token chooses the issuer, if exactly
// one fits.
func TestLoginsAtASharedEndpoint(t *testing.T) {
	h, r, issuers := newThree(t)
	h.account(h.Name, "till")
	login := func(base string, audiences ...string) *operator.Answer {
		return h.at(r, http.MethodPost, base+"/token", url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "audience": {harness.Audience},
			"subject_token": {h.AccountToken(h.Name, "till", audiences...)}, "subject_token_type": {typeJWT},
		})
	}
	for _, issuer := range issuers {
		h.Eventually(func() string { return login(issuer.Spec.URL, issuer.Spec.URL).Outcome() }).Should(gomega.Equal("200"))
		got := login(h.shared(), issuer.Spec.URL)
		h.Expect(got.Outcome()).To(gomega.Equal("200"), "%s: %s", issuer.Spec.URL, got.Text("error_description"))
		h.Expect(h.says(got.Text("access_token"))).To(gomega.HaveKeyWithValue("iss", issuer.Spec.URL))
		next := h.at(r, http.MethodPost, h.shared()+"/token", refreshForm(got.Text("refresh_token")))
		h.Expect(next.Outcome()).To(gomega.Equal("200"), "the session continues there")
	}
	for name, audiences := range map[string][]string{
		"for two of them": {issuers[0].Spec.URL, issuers[1].Spec.URL}, "for none of them": {"https://elsewhere.example.com"},
	} {
		got := login(h.shared(), audiences...)
		h.Expect(got.Outcome()).To(gomega.Equal("400 invalid_request"), name)
		h.Expect(got.Text("error_description")).To(gomega.ContainSubstring("own url"), name)
	}
	got := login(issuers[1].Spec.URL, issuers[0].Spec.URL, issuers[1].Spec.URL)
	h.Expect(got.Outcome()).To(gomega.Equal("200"), "at its own url it is plain which is meant")
	h.Expect(h.says(got.Text("access_token"))).To(gomega.HaveKeyWithValue("iss", issuers[1].Spec.URL))
	password := h.at(r, http.MethodPost, h.shared()+"/token", url.Values{"grant_type": {"password"}, "username": {"jane"}, "password": {"x"}, "audience": {harness.Audience}})
	h.Expect(password.Outcome()).To(gomega.Equal("400 invalid_request"))
	h.Expect(password.Text("error_description")).To(gomega.ContainSubstring("own url"))
}

// TestProofsAtASharedEndpoint checks that htu and the audience of a client assertion are those of the issuer that
// the token names.
func TestProofsAtASharedEndpoint(t *testing.T) {
	h, r, issuers := newThree(t)
	h.account(h.Name, "orders")
	for i, issuer := range issuers {
		device := h.device()
		bound := h.AwaitRevision(h.Key("device-"+string(rune('a'+i)), ofIssuer(issuer, heldBy(device))), 1)
		present := func(htu string) *operator.Answer {
			got := h.at(r, http.MethodPost, h.shared()+"/token", refreshForm(bound), "DPoP", device.proof(func(claims map[string]any) { claims["htu"] = htu }))
			device.learn(got)
			return got
		}
		h.Eventually(func() string { return present(h.shared() + "/token").Outcome() }).Should(gomega.Equal("200"), issuer.Spec.URL)
		h.Expect(present(issuer.Spec.URL+"/token").Outcome()).To(gomega.Equal("200"), "its own url is an endpoint of the issuer too")
		h.Expect(present(h.shared()+":443/token").Outcome()).To(gomega.Equal("200"), "the same host, written otherwise")
		h.Expect(present(issuers[(i+1)%3].Spec.URL+"/token").Outcome()).To(gomega.Equal("400 invalid_dpop_proof"), "another issuer's")

		held := h.AwaitRevision(h.Key("account-"+string(rune('a'+i)), ofIssuer(issuer, boundTo("orders"))), 1)
		assert := func(audience string) string {
			form := refreshForm(held)
			more := asserting(h.AccountToken(h.Name, "orders", audience))
			for i := 0; i+1 < len(more); i += 2 {
				form.Set(more[i], more[i+1])
			}
			return h.at(r, http.MethodPost, h.shared()+"/token", form).Outcome()
		}
		h.Expect(assert(issuer.Spec.URL)).To(gomega.Equal("200"))
		h.Expect(assert(h.shared())).To(gomega.Equal("401 invalid_client"))
		h.Expect(assert(issuers[(i+1)%3].Spec.URL)).To(gomega.Equal("401 invalid_client"))
	}
}

// TestAnIssuerThatAReplicaLacks checks that a replica with an outdated view does not refuse the tokens of
// a new issuer permanently.
func TestAnIssuerThatAReplicaLacks(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	first := h.Issuer(func(i *v1alpha1.JWTIssuer) { i.Spec.EndpointURL = h.shared() })
	h.Manage()
	l := &apiConnection{}
	r := h.Replica(l.wire(clocktesting.NewFakeClock(time.Now())))
	h.becomesKnown([]*operator.Replica{r}, h.shared(), h.AwaitRevision(h.Key("orders", ofIssuer(first)), 1))
	l.hang(true)
	defer l.hang(false)
	late := h.named("-late", "https://late."+h.Name+".example.com")
	held := h.AwaitRevision(h.Key("late", ofIssuer(late)), 1)
	caller := h.caller("auditor", "")
	for range 3 {
		got := h.at(r, http.MethodPost, h.shared()+"/token", refreshForm(held))
		h.Expect(got.Outcome()).To(gomega.Equal("200"), "a token of a new issuer: %s", got.Text("error_description"))
		got = h.at(r, http.MethodPost, h.URL()+"/token", refreshForm(held))
		h.Expect(got.Outcome()).To(gomega.Equal("400 invalid_request"), "at the url of another issuer")
		asked := h.at(r, http.MethodPost, h.shared()+"/introspect", url.Values{"token": {held}, "token_type_hint": {"refresh_token"}}, "Authorization", "Bearer "+caller)
		h.Expect(asked.Outcome()).To(gomega.Equal("200"), "a caller of another issuer gets only active=false")
		h.Expect(asked.Body).To(gomega.HaveKeyWithValue("active", false))
	}
	// Each issuer is new to the replica, for each kind of first request with its token.
	later := h.named("-later", "https://later."+h.Name+".example.com")
	compact := h.AwaitRevision(h.Key("later", ofIssuer(later)), 1)
	h.Expect(h.at(r, http.MethodPost, h.URL()+"/revoke", url.Values{"token": {compact}}).Outcome()).To(gomega.Equal("400 invalid_request"))
	h.Expect(h.at(r, http.MethodPost, h.shared()+"/revoke", url.Values{"token": {compact}}).Outcome()).To(gomega.Equal("200"))
	key := &v1alpha1.JWTRefreshKey{}
	h.Expect(h.Admin.Get(h.Ctx, client.ObjectKey{Namespace: h.Name, Name: "later"}, key)).To(gomega.Succeed())
	h.Expect(key.Status.RevokedAt).NotTo(gomega.BeNil(), "it reports a revocation that did not happen")
	last := h.named("-last", "https://last."+h.Name+".example.com")
	compact = h.AwaitRevision(h.Key("last", ofIssuer(last)), 1)
	bearer := h.AccountToken(h.Name, "auditor", last.Spec.URL)
	asked := h.at(r, http.MethodPost, h.shared()+"/introspect", url.Values{"token": {compact}, "token_type_hint": {"refresh_token"}}, "Authorization", "Bearer "+bearer)
	h.Expect(asked.Body).To(gomega.HaveKeyWithValue("active", true), "its issuer is new to the replica")
}

// TestATokenOfAnIssuerThatIsAway checks that clients keep the tokens of a deleted issuer, since the issuer may be
// created again.
func TestATokenOfAnIssuerThatIsAway(t *testing.T) {
	h, r, issuers := newThree(t)
	held := h.AwaitRevision(h.Key("orders", ofIssuer(issuers[1])), 1)
	h.becomesKnown([]*operator.Replica{r}, h.shared(), held)
	h.Expect(h.Admin.Delete(h.Ctx, issuers[1])).To(gomega.Succeed())
	for _, base := range []string{h.shared(), issuers[0].Spec.URL} {
		h.Eventually(func() string { return h.at(r, http.MethodPost, base+"/token", refreshForm(held)).Outcome() }).
			Should(gomega.Equal("400 invalid_request"), base)
	}
	h.Expect(h.at(r, http.MethodPost, h.shared()+"/revoke", url.Values{"token": {held}}).Outcome()).To(gomega.Equal("400 invalid_request"))

	// Meanwhile another issuer has its url, with other signing keys.
	heir := h.named("-heir", issuers[1].Spec.URL)
	h.becomesKnown([]*operator.Replica{r}, heir.Spec.URL, h.AwaitRevision(h.Key("heir", ofIssuer(heir)), 1))
	h.Expect(h.at(r, http.MethodPost, heir.Spec.URL+"/token", refreshForm(held)).Outcome()).To(gomega.Equal("400 invalid_request"), "the token comes back with its issuer")
	h.Expect(h.Admin.Delete(h.Ctx, heir)).To(gomega.Succeed())
	h.named("-b", issuers[1].Spec.URL)
	h.becomesKnown([]*operator.Replica{r}, h.shared(), held)
}

// TestEndpointConflict checks that the younger of two issuers with the same URLs is not Ready and names the other.
// Clients keep their tokens, and the younger issuer is served after the older one is deleted.
func TestEndpointConflict(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	older := h.named("-older", "https://one."+h.Name+".example.com")
	h.Manage()
	r := h.Replica()
	held := h.AwaitRevision(h.Key("older", ofIssuer(older)), 1)
	younger := h.named("-younger", older.Spec.URL+":443")
	condition := func() *metav1.Condition {
		h.Expect(h.Reload(younger)).To(gomega.Succeed())
		if ready := meta.FindStatusCondition(younger.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
			return ready
		}
		return &metav1.Condition{}
	}
	h.Eventually(func() string { return condition().Reason }).Should(gomega.Equal("EndpointConflict"))
	h.Expect(condition().Message).To(gomega.And(gomega.ContainSubstring(older.Name), gomega.ContainSubstring(older.Spec.URL)))
	h.Expect(meta.IsStatusConditionTrue(younger.Status.Conditions, v1alpha1.ConditionStalled)).To(gomega.BeTrue())
	h.becomesKnown([]*operator.Replica{r}, older.Spec.URL, held)
	h.becomesKnown([]*operator.Replica{r}, older.Spec.URL+":443", held)

	h.Expect(h.Admin.Delete(h.Ctx, older)).To(gomega.Succeed())
	h.Eventually(func() string { return condition().Reason }).Should(gomega.Equal(v1alpha1.ReasonKeysReady))
	next := h.AwaitRevision(h.Key("younger", ofIssuer(younger)), 1)
	h.becomesKnown([]*operator.Replica{r}, older.Spec.URL, next)
	// An issuer that is created again with the older name is now the younger one. Kubernetes records whole seconds, and in
	// the same second the name decides.
	h.Eventually(func() time.Duration { return time.Since(younger.CreationTimestamp.Time) }).Should(gomega.BeNumerically(">", time.Second))
	h.named("-older", older.Spec.URL)
	h.Eventually(func() string {
		return h.at(r, http.MethodPost, older.Spec.URL+"/token", refreshForm(held)).Outcome()
	}).Should(gomega.Equal("400 invalid_request"), "its issuer is not served now, which can be repaired")
}
