package service

import (
	"encoding/json"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// boundTo binds a refresh key to a ServiceAccount of its namespace.
func boundTo(account string) func(*v1alpha1.JWTRefreshKey) {
	return func(k *v1alpha1.JWTRefreshKey) { k.Spec.Binding = &v1alpha1.BindingSpec{ServiceAccountName: account} }
}

func (h *harness) account(namespace, name string) *corev1.ServiceAccount {
	h.t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	h.create(account)
	return account
}

func (h *harness) foreignToken(namespace, name string, audiences ...string) string {
	h.t.Helper()
	clients, err := kubernetes.NewForConfig(server.Admin)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	issued, err := clients.CoreV1().ServiceAccounts(namespace).CreateToken(h.ctx, name,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}, metav1.CreateOptions{})
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return issued.Status.Token
}

// aged returns a ServiceAccount token with its times moved into the past, signed with the API server's key.
func (h *harness) aged(compact string, by time.Duration) string {
	h.t.Helper()
	key, err := server.AccountSigner()
	h.Expect(err).NotTo(gomega.HaveOccurred())
	claims := h.says(compact)
	for _, name := range []string{"iat", "nbf", "exp"} {
		at, ok := claims[name].(float64)
		h.Expect(ok).To(gomega.BeTrue())
		claims[name] = int64(at) - int64(by/time.Second)
	}
	payload, err := json.Marshal(claims)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	parsed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256})
	h.Expect(err).NotTo(gomega.HaveOccurred())
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: parsed.Signatures[0].Header.KeyID}}, nil)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	signed, err := signer.Sign(payload)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	again, err := signed.CompactSerialize()
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return again
}

// TestBoundToAServiceAccount checks that a bound token is exchanged only for the ServiceAccount, and that an
// assertion that is not required must be valid, too.
func TestBoundToAServiceAccount(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	h.issuer()
	h.manage()
	line := &reviewCounter{}
	r := h.replica(line.wire)
	h.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.name + "-other"}})
	h.account(h.name, "orders")
	h.account(h.name, "billing")
	h.account(h.name+"-other", "orders")
	h.account(h.name, "removed")
	removed := h.accountToken("removed", h.url())
	h.Expect(h.admin.Delete(h.ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: h.name, Name: "removed"}})).To(gomega.Succeed())
	own := h.accountToken("orders", h.url())
	bound, unbound := h.reaches(h.key("bound", boundTo("orders")), 1), h.reaches(h.key("unbound"), 1)
	h.Eventually(func() string { return h.refresh(r, bound, asserting(own)...).outcome() }, patience, pollEvery).Should(gomega.Equal("200"))
	h.outcomes([]*replica{r}, unbound, "200")
	access := h.refresh(r, unbound).text("access_token")
	device := h.device()
	const refused, good = "401 invalid_client", "200"
	for _, c := range []struct {
		name           string
		assertion      string
		bound, unbound string
	}{
		{"none", "", refused, good},
		{"its own", own, good, good},
		{"its own, another one", h.accountToken("orders", h.url()), good, good},
		{"its own, for other audiences as well", h.accountToken("orders", h.url(), "https://elsewhere.example.com"), good, good},
		{"its own, signed again unchanged", h.aged(own, 0), good, good},
		{"its own, expired an hour ago", h.aged(own, 2*time.Hour), refused, refused},
		{"its own, not yet valid", h.aged(own, -2*time.Hour), refused, refused},
		{"of another ServiceAccount of the namespace", h.accountToken("billing", h.url()), refused, good},
		{"of the same name in another namespace", h.foreignToken(h.name+"-other", "orders", h.url()), refused, good},
		{"its own, for another audience", h.accountToken("orders", "https://elsewhere.example.com"), refused, refused},
		{"its own, for the token endpoint", h.accountToken("orders", h.url()+"/token"), refused, refused},
		{"its own, for the API server", h.accountToken("orders"), refused, refused},
		{"of a deleted ServiceAccount", removed, refused, refused},
		{"its payload changed", part(own, 1, func(string) string { return b64(`{"sub":"system:serviceaccount:shop:orders"}`) }), refused, refused},
		{"nonsense", "nonsense", refused, refused},
		{"the refresh token itself", bound, refused, refused},
		{"an access token", access, refused, refused},
		{"a DPoP proof", device.proof(), refused, refused},
	} {
		var more []string
		if c.assertion != "" {
			more = asserting(c.assertion)
		}
		got := h.refresh(r, bound, more...)
		h.Expect(got.outcome()).To(gomega.Equal(c.bound), "bound, and the assertion: %s", c.name)
		if c.bound == good {
			h.Expect(got.text("token_type")).To(gomega.Equal("Bearer"))
			h.Expect(h.says(got.text("access_token"))).NotTo(gomega.HaveKey("cnf"), "the access token is a bearer token without the ServiceAccount")
		}
		h.Expect(h.refresh(r, unbound, more...).outcome()).To(gomega.Equal(c.unbound), "not bound, and the assertion: %s", c.name)
	}
	h.Expect(h.refresh(r, own).outcome()).To(gomega.Equal("400 invalid_grant"), "a ServiceAccount token is no refresh token")
	h.Expect(h.present(r, unbound, []string{own}).outcome()).To(gomega.Equal("400 invalid_dpop_proof"), "nor a DPoP proof")

	// A token that is invalid without the assertion costs no review.
	h.Expect(line.asked(func() {
		another := h.accountToken("orders", h.url())
		h.Expect(h.refresh(r, "nonsense", asserting(another)...).outcome()).To(gomega.Equal("400 invalid_grant"))
		h.Expect(h.refresh(r, access, asserting(another)...).outcome()).To(gomega.Equal("400 invalid_grant"))
		h.Expect(h.refresh(r, unbound).outcome()).To(gomega.Equal("200"))
		h.Expect(h.refresh(r, bound).outcome()).To(gomega.Equal(refused))
		h.Expect(h.post(r, "/revoke", map[string][]string{"token": {"nonsense"}}).outcome()).To(gomega.Equal("200"))
	})).To(gomega.BeZero(), "TokenReviews")

	// A logout requires no proof.
	h.Expect(h.post(r, "/revoke", map[string][]string{"token": {bound}}).outcome()).To(gomega.Equal("200"))
	h.Expect(h.refresh(r, bound, asserting(own)...).outcome()).To(gomega.Equal("400 invalid_grant"))
}

// TestReviewsOfAssertions checks that each assertion costs one review in ten seconds, and that an unavailable API
// server returns temporarily_unavailable and not invalid_client.
func TestReviewsOfAssertions(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	h := newHarness(t, clock)
	h.issuer()
	h.manage()
	line := &reviewCounter{}
	r := h.replica(line.wire)
	account := h.account(h.name, "orders")
	assertion := h.accountToken("orders", h.url())
	bound := h.reaches(h.key("bound", boundTo("orders")), 1)
	h.outcomes([]*replica{r}, bound, "401 invalid_client")

	exchanges := func(n int, want string) func() {
		return func() {
			for range n {
				h.Expect(h.refresh(r, bound, asserting(assertion)...).outcome()).To(gomega.Equal(want))
			}
		}
	}
	for range 3 {
		h.Expect(line.asked(exchanges(100, "200"))).To(gomega.BeEquivalentTo(1), "at the same time")
		clock.SetTime(clock.Now().Add(reviewed - time.Second))
		h.Expect(line.asked(exchanges(1, "200"))).To(gomega.BeZero(), "nine seconds later")
		clock.SetTime(clock.Now().Add(time.Second))
	}

	line.cut.Store(true)
	exchanges(1, "503 temporarily_unavailable")()
	line.cut.Store(false)
	exchanges(1, "200")()
	line.cut.Store(true)
	exchanges(1, "200")()
	clock.SetTime(clock.Now().Add(reviewed))
	exchanges(1, "503 temporarily_unavailable")()
	line.cut.Store(false)

	exchanges(1, "200")()
	h.Expect(h.admin.Delete(h.ctx, account)).To(gomega.Succeed())
	// The API server caches a token for some seconds.
	h.Eventually(func() string {
		clock.SetTime(clock.Now().Add(reviewed))
		return h.refresh(r, bound, asserting(assertion)...).outcome()
	}, patience, pollEvery).Should(gomega.Equal("401 invalid_client"), "the ServiceAccount is deleted")
}

// TestAThiefOfAOneTimeToken checks that a thief without the assertion neither uses the token nor ends its line.
func TestAThiefOfAOneTimeToken(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	h.issuer()
	h.manage()
	r := h.replica()
	h.account(h.name, "orders")
	own := asserting(h.accountToken("orders", h.url()))
	key := h.key("device", oneTime(0), boundTo("orders"))
	first := h.reaches(key, 1)
	h.outcomes([]*replica{r}, first, "401 invalid_client")
	got := h.refresh(r, first, own...)
	h.Expect(got.outcome()).To(gomega.Equal("200"), "the thief did not use it")
	second := got.text("refresh_token")
	h.Expect(h.says(second)).To(gomega.HaveKeyWithValue("cnf", map[string]any{"refreshkeys.dev/service-account": "orders"}))
	h.Expect(h.refresh(r, first).outcome()).To(gomega.Equal("401 invalid_client"))
	h.Expect(h.refresh(r, second).outcome()).To(gomega.Equal("401 invalid_client"))
	h.Expect(h.refresh(r, second, own...).outcome()).To(gomega.Equal("200"), "and did not end the line by using a used one")
	h.Expect(h.refresh(r, first, own...).outcome()).To(gomega.Equal("400 invalid_grant"), "the client itself ends it")
	h.Expect(h.admin.Get(h.ctx, client.ObjectKeyFromObject(key), key)).To(gomega.Succeed())
	h.Expect(key.Status.RevocationReason).To(gomega.Equal(v1alpha1.RevokedReuseDetected))
}

// TestBindingAKeyThatIsInUse checks that the binding also applies to the earlier token, which is not exchanged for
// the bound one.
func TestBindingAKeyThatIsInUse(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	h.issuer()
	h.manage()
	r := h.replica()
	h.account(h.name, "orders")
	own := asserting(h.accountToken("orders", h.url()))
	key := h.key("orders")
	first := h.reaches(key, 1)
	h.outcomes([]*replica{r}, first, "200")
	h.edit(key, func() { boundTo("orders")(key) })
	second := h.reaches(key, 2)
	h.outcomes([]*replica{r}, first, "401 invalid_client")
	h.Expect(h.refresh(r, second).outcome()).To(gomega.Equal("401 invalid_client"))
	got := h.refresh(r, first, own...)
	h.Expect(got.outcome()).To(gomega.Equal("200"))
	h.Expect(got.text("refresh_token") == first).To(gomega.BeTrue(), "a token is not traded for one with another binding")
	h.Expect(h.refresh(r, second, own...).outcome()).To(gomega.Equal("200"))

	// Tokens that were issued with the binding keep it after its removal.
	h.edit(key, func() { key.Spec.Binding = nil })
	third := h.reaches(key, 3)
	h.outcomes([]*replica{r}, third, "200")
	h.Expect(h.refresh(r, second).outcome()).To(gomega.Equal("401 invalid_client"))
}

// TestAThiefAtAReplicaThatIsBehind checks that a replica that has not yet received a new binding records nothing
// for the token of a thief.
func TestAThiefAtAReplicaThatIsBehind(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	h.issuer()
	h.manage()
	line := &apiConnection{}
	r := h.replica(line.wire(clock.RealClock{}))
	h.account(h.name, "orders")
	own := asserting(h.accountToken("orders", h.url()))
	key := h.key("device", oneTime(0))
	first := h.reaches(key, 1)
	h.Eventually(func() bool {
		return r.Key(client.ObjectKeyFromObject(key)) != nil && r.Key(client.ObjectKeyFromObject(key)).Status.Revision == 1
	},
		patience, pollEvery).Should(gomega.BeTrue())
	second := h.refresh(r, first).text("refresh_token")
	h.Expect(second).NotTo(gomega.BeEmpty())

	line.hang(true)
	defer line.hang(false)
	h.edit(key, func() { boundTo("orders")(key) })
	h.Expect(r.Key(client.ObjectKeyFromObject(key)).Spec.Binding).To(gomega.BeNil(), "the replica has received it")
	h.Expect(h.refresh(r, first).outcome()).To(gomega.Equal("401 invalid_client"), "a used one does not end the line")
	h.Expect(h.admin.Get(h.ctx, client.ObjectKeyFromObject(key), key)).To(gomega.Succeed())
	h.Expect(key.Status.RevokedAt).To(gomega.BeNil())
	h.Expect(h.refresh(r, second).outcome()).To(gomega.Equal("401 invalid_client"))
	h.Expect(h.refresh(r, second, own...).outcome()).To(gomega.Equal("200"))
}
