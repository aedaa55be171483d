package service

import (
	"encoding/json"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/forge"
)

// boundTo binds a refresh key to a ServiceAccount of its namespace.
func boundTo(account string) func(*v1alpha1.JWTRefreshKey) {
	return func(k *v1alpha1.JWTRefreshKey) { k.Spec.Binding = &v1alpha1.BindingSpec{ServiceAccountName: account} }
}

func (h *fixture) account(namespace, name string) *corev1.ServiceAccount {
	h.T.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	h.Create(account)
	return account
}

// aged returns a ServiceAccount token with its times moved into the past, signed with the API server's key.
func (h *fixture) aged(compact string, by time.Duration) string {
	h.T.Helper()
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
	h := newManaged(t, clock.RealClock{})
	line := &reviewCounter{}
	r := h.Replica(line.wire)
	h.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.Name + "-other"}})
	h.account(h.Name, "orders")
	h.account(h.Name, "billing")
	h.account(h.Name+"-other", "orders")
	h.account(h.Name, "removed")
	removed := h.AccountToken(h.Name, "removed", h.URL())
	h.Expect(h.Admin.Delete(h.Ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: h.Name, Name: "removed"}})).To(gomega.Succeed())
	own := h.AccountToken(h.Name, "orders", h.URL())
	bound, unbound := h.AwaitRevision(h.Key("bound", boundTo("orders")), 1), h.AwaitRevision(h.Key("unbound"), 1)
	h.Eventually(func() string { return h.Refresh(r, bound, asserting(own)...).Outcome() }).Should(gomega.Equal("200"))
	h.outcomes(unbound, "200", r)
	access := h.Refresh(r, unbound).Text("access_token")
	device := h.device()
	const refused, good = "401 invalid_client", "200"
	for _, c := range []struct {
		name           string
		assertion      string
		bound, unbound string
	}{
		{"none", "", refused, good},
		{"its own", own, good, good},
		{"its own, another one", h.AccountToken(h.Name, "orders", h.URL()), good, good},
		{"its own, for other audiences as well", h.AccountToken(h.Name, "orders", h.URL(), "https://elsewhere.example.com"), good, good},
		{"its own, signed again unchanged", h.aged(own, 0), good, good},
		{"its own, expired an hour ago", h.aged(own, 2*time.Hour), refused, refused},
		{"its own, not yet valid", h.aged(own, -2*time.Hour), refused, refused},
		{"of another ServiceAccount of the namespace", h.AccountToken(h.Name, "billing", h.URL()), refused, good},
		{"of the same name in another namespace", h.AccountToken(h.Name+"-other", "orders", h.URL()), refused, good},
		{"its own, for another audience", h.AccountToken(h.Name, "orders", "https://elsewhere.example.com"), refused, refused},
		{"its own, for the token endpoint", h.AccountToken(h.Name, "orders", h.URL()+"/token"), refused, refused},
		{"its own, for the API server", h.AccountToken(h.Name, "orders"), refused, refused},
		{"of a deleted ServiceAccount", removed, refused, refused},
		{"its payload changed", forge.Part(own, 1, func(string) string { return forge.B64(`{"sub":"system:serviceaccount:shop:orders"}`) }), refused, refused},
		{"nonsense", "nonsense", refused, refused},
		{"the refresh token itself", bound, refused, refused},
		{"an access token", access, refused, refused},
		{"a DPoP proof", device.proof(), refused, refused},
	} {
		var more []string
		if c.assertion != "" {
			more = asserting(c.assertion)
		}
		got := h.Refresh(r, bound, more...)
		h.Expect(got.Outcome()).To(gomega.Equal(c.bound), "bound, and the assertion: %s", c.name)
		if c.bound == good {
			h.Expect(got.Text("token_type")).To(gomega.Equal("Bearer"))
			h.Expect(h.says(got.Text("access_token"))).NotTo(gomega.HaveKey("cnf"), "the access token is a bearer token without the ServiceAccount")
		}
		h.Expect(h.Refresh(r, unbound, more...).Outcome()).To(gomega.Equal(c.unbound), "not bound, and the assertion: %s", c.name)
	}
	h.Expect(h.Refresh(r, own).Outcome()).To(gomega.Equal("400 invalid_grant"), "a ServiceAccount token is no refresh token")
	h.Expect(h.present(r, unbound, []string{own}).Outcome()).To(gomega.Equal("400 invalid_dpop_proof"), "nor a DPoP proof")

	// A token that is invalid without the assertion costs no review.
	h.Expect(line.asked(func() {
		another := h.AccountToken(h.Name, "orders", h.URL())
		h.Expect(h.Refresh(r, "nonsense", asserting(another)...).Outcome()).To(gomega.Equal("400 invalid_grant"))
		h.Expect(h.Refresh(r, access, asserting(another)...).Outcome()).To(gomega.Equal("400 invalid_grant"))
		h.Expect(h.Refresh(r, unbound).Outcome()).To(gomega.Equal("200"))
		h.Expect(h.Refresh(r, bound).Outcome()).To(gomega.Equal(refused))
		h.Expect(h.Revoke(r, "nonsense").Outcome()).To(gomega.Equal("200"))
	})).To(gomega.BeZero(), "TokenReviews")

	// A logout requires no proof.
	h.Expect(h.Revoke(r, bound).Outcome()).To(gomega.Equal("200"))
	h.Expect(h.Refresh(r, bound, asserting(own)...).Outcome()).To(gomega.Equal("400 invalid_grant"))
}

// TestReviewsOfAssertions checks that each assertion costs one review in ten seconds, and that an unavailable API
// server returns temporarily_unavailable and not invalid_client.
func TestReviewsOfAssertions(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	h := newManaged(t, clock)
	line := &reviewCounter{}
	r := h.Replica(line.wire)
	account := h.account(h.Name, "orders")
	assertion := h.AccountToken(h.Name, "orders", h.URL())
	bound := h.AwaitRevision(h.Key("bound", boundTo("orders")), 1)
	h.outcomes(bound, "401 invalid_client", r)

	exchanges := func(n int, want string) func() {
		return func() {
			for range n {
				h.Expect(h.Refresh(r, bound, asserting(assertion)...).Outcome()).To(gomega.Equal(want))
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
	h.Expect(h.Admin.Delete(h.Ctx, account)).To(gomega.Succeed())
	// The API server caches a token for some seconds.
	h.Eventually(func() string {
		clock.SetTime(clock.Now().Add(reviewed))
		return h.Refresh(r, bound, asserting(assertion)...).Outcome()
	}).Should(gomega.Equal("401 invalid_client"), "the ServiceAccount is deleted")
}

// TestAThiefOfAOneTimeToken checks that a thief without the assertion neither uses the token nor ends its line.
func TestAThiefOfAOneTimeToken(t *testing.T) {
	h, r := newReplica(t, clock.RealClock{})
	h.account(h.Name, "orders")
	own := asserting(h.AccountToken(h.Name, "orders", h.URL()))
	key := h.Key("device", oneTime(0), boundTo("orders"))
	first := h.AwaitRevision(key, 1)
	h.outcomes(first, "401 invalid_client", r)
	got := h.Refresh(r, first, own...)
	h.Expect(got.Outcome()).To(gomega.Equal("200"), "the thief did not use it")
	second := got.Text("refresh_token")
	h.Expect(h.says(second)).To(gomega.HaveKeyWithValue("cnf", map[string]any{"refreshkeys.dev/service-account": "orders"}))
	h.Expect(h.Refresh(r, first).Outcome()).To(gomega.Equal("401 invalid_client"))
	h.Expect(h.Refresh(r, second).Outcome()).To(gomega.Equal("401 invalid_client"))
	h.Expect(h.Refresh(r, second, own...).Outcome()).To(gomega.Equal("200"), "and did not end the line by using a used one")
	h.Expect(h.Refresh(r, first, own...).Outcome()).To(gomega.Equal("400 invalid_grant"), "the client itself ends it")
	h.Expect(h.status(key).RevocationReason).To(gomega.Equal(v1alpha1.RevokedReuseDetected))
}

// TestBindingAKeyThatIsInUse checks that the binding also applies to the earlier token, which is not exchanged for
// the bound one.
func TestBindingAKeyThatIsInUse(t *testing.T) {
	h, r := newReplica(t, clock.RealClock{})
	h.account(h.Name, "orders")
	own := asserting(h.AccountToken(h.Name, "orders", h.URL()))
	key := h.Key("orders")
	first := h.AwaitRevision(key, 1)
	h.outcomes(first, "200", r)
	h.Edit(key, func() { boundTo("orders")(key) })
	second := h.AwaitRevision(key, 2)
	h.outcomes(first, "401 invalid_client", r)
	h.Expect(h.Refresh(r, second).Outcome()).To(gomega.Equal("401 invalid_client"))
	got := h.Refresh(r, first, own...)
	h.Expect(got.Outcome()).To(gomega.Equal("200"))
	h.Expect(got.Text("refresh_token") == first).To(gomega.BeTrue(), "a token is not traded for one with another binding")
	h.Expect(h.Refresh(r, second, own...).Outcome()).To(gomega.Equal("200"))

	// Tokens that were issued with the binding keep it after its removal.
	h.Edit(key, func() { key.Spec.Binding = nil })
	third := h.AwaitRevision(key, 3)
	h.outcomes(third, "200", r)
	h.Expect(h.Refresh(r, second).Outcome()).To(gomega.Equal("401 invalid_client"))
}

// TestAThiefAtAReplicaThatIsBehind checks that a replica that has not yet received a new binding records nothing
// for the token of a thief.
func TestAThiefAtAReplicaThatIsBehind(t *testing.T) {
	h := newManaged(t, clock.RealClock{})
	line := &apiConnection{}
	r := h.Replica(line.wire(clock.RealClock{}))
	h.account(h.Name, "orders")
	own := asserting(h.AccountToken(h.Name, "orders", h.URL()))
	key := h.Key("device", oneTime(0))
	first := h.AwaitRevision(key, 1)
	h.Eventually(func() bool {
		return r.Key(client.ObjectKeyFromObject(key)) != nil && r.Key(client.ObjectKeyFromObject(key)).Status.Revision == 1
	},
	).Should(gomega.BeTrue())
	second := h.Refresh(r, first).Text("refresh_token")
	h.Expect(second).NotTo(gomega.BeEmpty())

	line.hang(true)
	defer line.hang(false)
	h.Edit(key, func() { boundTo("orders")(key) })
	h.Expect(r.Key(client.ObjectKeyFromObject(key)).Spec.Binding).To(gomega.BeNil(), "the replica has received it")
	h.Expect(h.Refresh(r, first).Outcome()).To(gomega.Equal("401 invalid_client"), "a used one does not end the line")
	h.Expect(h.status(key).RevokedAt).To(gomega.BeNil())
	h.Expect(h.Refresh(r, second).Outcome()).To(gomega.Equal("401 invalid_client"))
	h.Expect(h.Refresh(r, second, own...).Outcome()).To(gomega.Equal("200"))
}
