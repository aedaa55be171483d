package service

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/forge"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

const (
	tokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeJWT       = "urn:ietf:params:oauth:token-type:jwt"
	typeAccess    = "urn:ietf:params:oauth:token-type:access_token"
)

// workload creates a ServiceAccount, and returns a token of it for the issuer.
func (h *fixture) workload(name string) string {
	h.T.Helper()
	h.Create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: h.Name, Name: name}})
	return h.AccountToken(h.Name, name, h.URL())
}

// signIn exchanges a ServiceAccount token. more are further parameters; one with an empty value is left out.
func (h *fixture) signIn(r *operator.Replica, subjectToken string, more ...string) *operator.Answer {
	h.T.Helper()
	form := url.Values{
		"grant_type": {tokenExchange}, "subject_token": {subjectToken}, "subject_token_type": {typeJWT}, "audience": {harness.Audience},
	}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return h.Post(r, "/token", form)
}

// signInWith exchanges a ServiceAccount token with a DPoP proof.
func (h *fixture) signInWith(r *operator.Replica, subjectToken, proof string) *operator.Answer {
	h.T.Helper()
	return h.Post(r, "/token", url.Values{
		"grant_type": {tokenExchange}, "subject_token": {subjectToken}, "subject_token_type": {typeJWT}, "audience": {harness.Audience},
	}, "DPoP", proof)
}

// serves waits until the issuer's signing keys exist and the replicas know them.
func (h *fixture) serves(replicas ...*operator.Replica) {
	h.T.Helper()
	for _, r := range replicas {
		h.Eventually(func() int {
			request, err := http.NewRequestWithContext(h.Ctx, http.MethodGet, r.Server.URL+"/"+h.Name+"/jwks.json", http.NoBody)
			h.Expect(err).NotTo(gomega.HaveOccurred())
			return h.Do(r, request).Status
		}).Should(gomega.Equal(http.StatusOK))
	}
}

// sessions returns the sessions in the harness's namespace.
func (h *fixture) sessions() []v1alpha1.JWTRefreshKey {
	h.T.Helper()
	var list v1alpha1.JWTRefreshKeyList
	h.Expect(h.Admin.List(h.Ctx, &list, client.InNamespace(h.Name), client.HasLabels{v1alpha1.LabelSession})).To(gomega.Succeed())
	return list.Items
}

// TestAWorkloadSignsIn checks that a ServiceAccount token starts a session, which is a refresh key like any other,
// and ends with its ServiceAccount.
func TestAWorkloadSignsIn(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	h.Issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Scopes: []string{"orders:*"}, Subjects: []string{"shop:*"}}}}
	})
	h.Manage()
	one, two := h.Replica(), h.Replica()
	h.serves(one, two)
	shown := h.workload("till")

	got := h.signIn(one, shown, "scope", "orders:read orders:write", "device_id", "till-17")
	h.Expect(got.Outcome()).To(gomega.Equal("200"), got.Raw)
	h.Expect(got.Text("issued_token_type")).To(gomega.Equal(typeAccess))
	h.Expect(got.Text("token_type")).To(gomega.Equal("Bearer"))
	h.Expect(got.Text("scope")).To(gomega.Equal("orders:read orders:write"))
	h.Expect(got.Header.Get("Cache-Control")).To(gomega.Equal("no-store"))

	session := &h.sessions()[0]
	h.Expect(h.sessions()).To(gomega.HaveLen(1))
	h.Expect(session.Spec.Subject).To(gomega.Equal("system:serviceaccount:" + h.Name + ":till"))
	h.Expect(session.Status.Session.Subject).To(gomega.Equal(session.Spec.Subject))
	h.Expect(session.Status.Session.Method).To(gomega.Equal(v1alpha1.LoginServiceAccount))
	h.Expect(session.Status.DeviceInfo.ID).To(gomega.Equal("till-17"))
	h.Expect(session.Spec.DeviceInfo.ID).To(gomega.Equal("till-17"), "the device that signed in")
	h.Expect(session.Spec.Scopes).To(gomega.Equal([]string{"orders:read", "orders:write"}))
	h.Expect(session.Spec.ExpiresAt.Sub(session.Status.CreatedAt.Time)).To(gomega.BeNumerically("~", 720*time.Hour, 2*time.Second), "a session has an absolute end")
	h.Eventually(func() string {
		h.Expect(h.Reload(session)).To(gomega.Succeed())
		return readyReason(session)
	}).Should(gomega.Equal(v1alpha1.ReasonIssued), "kubectl get jrk shows it like any key")

	bearer := h.caller("auditor", "")
	h.Expect(h.Introspect(one, bearer, got.Text("access_token"), "").Body).To(gomega.And(
		gomega.HaveKeyWithValue("active", true), gomega.HaveKeyWithValue("sub", session.Spec.Subject), gomega.HaveKeyWithValue("aud", harness.Audience)))
	next := h.Refresh(two, got.Text("refresh_token"), "scope", "orders:read")
	h.Expect(next.Outcome()).To(gomega.Equal("200"), "the other replica need not have seen it: %s", next.Raw)
	h.Expect(next.Text("refresh_token") == got.Text("refresh_token")).To(gomega.BeTrue(), "the first token of a session is not followed while it is young")
	h.Expect(h.Introspect(one, bearer, next.Text("access_token"), "").Body).To(gomega.HaveKeyWithValue("sub", session.Spec.Subject))

	h.Expect(h.Admin.Delete(h.Ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: h.Name, Name: "till"}})).To(gomega.Succeed())
	h.Expect(h.Refresh(one, next.Text("refresh_token")).Outcome()).To(gomega.Equal("400 invalid_grant"), "its ServiceAccount is deleted")
	h.workload("till")
	h.Expect(h.Refresh(one, next.Text("refresh_token")).Outcome()).To(gomega.Equal("400 invalid_grant"), "one of the same name is another")
}

func readyReason(key *v1alpha1.JWTRefreshKey) string {
	for _, condition := range key.Status.Conditions {
		if condition.Type == v1alpha1.ConditionReady {
			return condition.Reason
		}
	}
	return ""
}

// TestLoginsThatAreRefused checks that a login that the API server or the policy refuses leaves no object. The table of
// all refusals is that of internal/session.
func TestLoginsThatAreRefused(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	h.Issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Audiences: []string{harness.Audience}, Scopes: []string{"orders:*"}}}}
	})
	h.Manage()
	r := h.Replica()
	h.serves(r)
	good := h.workload("till")
	for _, c := range []struct {
		name, token string
		more        []string
		want        string
	}{
		{"for the API server itself", h.AccountToken(h.Name, "till"), nil, "400 invalid_request"},
		{"for another issuer", h.AccountToken(h.Name, "till", h.URL()+"/other"), nil, "400 invalid_request"},
		{"of no cluster", forge.Part(good, 2, func(signature string) string { return strings.Repeat("A", len(signature)) }), nil, "400 invalid_request"},
		{"an audience that is not granted", good, []string{"audience", "https://billing.example.com"}, "400 invalid_target"},
		{"passwords are off", good, []string{"grant_type", "password", "username", "jane", "password", "x"}, "400 unsupported_grant_type"},
	} {
		if got := h.signIn(r, c.token, c.more...); got.Outcome() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got.Outcome(), c.want)
		}
	}
	h.Expect(h.sessions()).To(gomega.BeEmpty(), "a refused login has signed in")
	h.Expect(h.signIn(r, good, "resource", harness.Audience).Outcome()).To(gomega.Equal("200"), "audience and resource may say the same")
}

// TestSigningOut checks that a revocation, a deletion and spec.revoked end a session permanently, at every replica.
func TestSigningOut(t *testing.T) {
	h, one, two := newReplicas(t, clock.RealClock{})
	h.serves(one, two)
	shown := h.workload("till")
	for _, c := range []struct {
		name string
		end  func(session *v1alpha1.JWTRefreshKey, refresh string)
	}{
		{"revoke", func(_ *v1alpha1.JWTRefreshKey, refresh string) {
			h.Expect(h.Revoke(one, refresh).Outcome()).To(gomega.Equal("200"))
		}},
		{"spec.revoked, there and back", func(session *v1alpha1.JWTRefreshKey, _ string) {
			h.Edit(session, func() { session.Spec.Revoked = true })
			h.Eventually(func() error {
				if err := h.Admin.Get(h.Ctx, client.ObjectKeyFromObject(session), session); err != nil || session.Status.RevokedAt != nil {
					return err
				}
				return fmt.Errorf("the revocation is not on record")
			}).Should(gomega.Succeed())
			h.Edit(session, func() { session.Spec.Revoked = false })
			h.Annotate(session, v1alpha1.AnnotationRotate, "again")
		}},
		{"delete", func(session *v1alpha1.JWTRefreshKey, _ string) {
			h.Expect(h.Admin.Delete(h.Ctx, session)).To(gomega.Succeed())
		}},
	} {
		got := h.signIn(one, shown)
		h.Expect(got.Outcome()).To(gomega.Equal("200"), c.name)
		all := h.sessions()
		session := &all[slices.IndexFunc(all, func(k v1alpha1.JWTRefreshKey) bool { return k.Status.RevokedAt == nil })]
		c.end(session, got.Text("refresh_token"))
		for _, r := range []*operator.Replica{one, two} {
			h.Eventually(func() string { return h.Refresh(r, got.Text("refresh_token")).Outcome() }).
				Should(gomega.Equal("400 invalid_grant"), c.name)
		}
	}
}

// TestSessionsHaveTheirNumber checks the limits of sessions, for one subject and for an issuer, also with
// concurrent logins at two replicas. Sessions that were not used are ended first. Each use is recorded at once,
// since each is followed.
func TestSessionsHaveTheirNumber(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	issuer := h.Issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Login = &v1alpha1.LoginSpec{SessionsPerSubject: 3, SessionRetryGrace: &metav1.Duration{}}
	})
	h.Manage()
	replicas := []*operator.Replica{h.Replica(), h.Replica()}
	h.serves(replicas...)
	shown := h.workload("till")

	kept := h.signIn(replicas[0], shown, "device_id", "kept")
	h.Expect(kept.Outcome()).To(gomega.Equal("200"))
	var others sync.WaitGroup
	for i := range 12 {
		others.Go(func() {
			if got := h.signIn(replicas[i%2], shown); got.Outcome() != "200" && got.Status != 503 {
				t.Errorf("login %d: %s", i, got.Raw)
			}
		})
	}
	others.Wait()
	h.Expect(len(h.sessions())).To(gomega.BeNumerically("<=", 3))

	kept = h.signIn(replicas[0], shown, "device_id", "kept")
	for i := range 6 {
		kept = h.Refresh(replicas[i%2], kept.Text("refresh_token"))
		h.Expect(kept.Outcome()).To(gomega.Equal("200"), "the one that is used stays")
		h.Expect(h.signIn(replicas[i%2], shown).Outcome()).To(gomega.Equal("200"))
		h.Expect(len(h.sessions())).To(gomega.Equal(3))
	}

	h.Edit(issuer, func() { issuer.Spec.Login.MaxSessions = 4 })
	another := h.workload("scanner")
	h.Eventually(func() string {
		h.signIn(replicas[0], another)
		return h.signIn(replicas[0], another).Outcome()
	}).Should(gomega.Equal("503 temporarily_unavailable"))
	h.Expect(len(h.sessions())).To(gomega.BeNumerically("<=", 6))
}

// TestASessionIsRemovedAfterItsEnd checks that a session is removed a day after its end, so that its condition can
// be read.
func TestASessionIsRemovedAfterItsEnd(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	h, r := newReplica(t, clock)
	h.serves(r)
	got := h.signIn(r, h.workload("till"))
	h.Expect(got.Outcome()).To(gomega.Equal("200"), got.Raw)
	session := &h.sessions()[0]
	h.Expect(h.Revoke(r, got.Text("refresh_token")).Outcome()).To(gomega.Equal("200"))

	reason := func() string {
		h.Expect(h.Reload(session)).To(gomega.Succeed())
		return readyReason(session)
	}
	// The manager records the end with the clock, so the clock must not move before.
	h.Eventually(reason).Should(gomega.Equal(v1alpha1.ReasonRevoked))
	h.forward(clock, 23*time.Hour, session)
	h.Consistently(reason, time.Second, harness.PollEvery).Should(gomega.Equal(v1alpha1.ReasonRevoked))
	h.forward(clock, time.Hour, session)
	h.Eventually(h.sessions).Should(gomega.BeEmpty())
}

// TestSessionsOfNoLogin checks that status of a session without a login does not count as signed in. It is written
// without the admission policy that allows only the operator to write it.
func TestSessionsOfNoLogin(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	h.Issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Login = &v1alpha1.LoginSpec{SessionNamespace: h.Name}
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{}}}
	})
	h.Manage()
	r := h.Replica()
	operator, err := server.TokenServer(h.Ctx)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	forger, err := client.New(operator, client.Options{Scheme: h.Admin.Scheme()})
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.workload("victim")
	victim := &corev1.ServiceAccount{}
	h.Expect(h.Admin.Get(h.Ctx, client.ObjectKey{Namespace: h.Name, Name: "victim"}, victim)).To(gomega.Succeed())
	for _, c := range []struct {
		name    string
		session v1alpha1.SessionStatus
	}{
		{"a ServiceAccount's", v1alpha1.SessionStatus{
			Subject: "system:serviceaccount:" + h.Name + ":victim", Method: v1alpha1.LoginServiceAccount, UID: string(victim.UID),
		}},
		{"a person's", v1alpha1.SessionStatus{Subject: "jane", Method: v1alpha1.LoginOIDC, Provider: "https://idp.example.com"}},
	} {
		key := h.Key("forged-"+strings.ToLower(string(c.session.Method)), func(k *v1alpha1.JWTRefreshKey) {
			k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
		})
		held := h.AwaitRevision(key, 1)
		// The token service would not write this status; the test only uses its rights.
		c.session.StartedAt = metav1.NewTime(time.Now().Truncate(time.Second))
		h.Expect(forger.Get(h.Ctx, client.ObjectKeyFromObject(key), key)).To(gomega.Succeed())
		patch := client.MergeFrom(key.DeepCopy())
		key.Status.Session = &c.session
		h.Expect(forger.Status().Patch(h.Ctx, key, patch)).To(gomega.Succeed())
		if c.session.Method != v1alpha1.LoginServiceAccount {
			h.Edit(key, func() { key.Spec.Subject = c.session.Subject })
		}
		for range 3 {
			got := h.Refresh(r, held)
			h.Expect(got.Outcome()).To(gomega.Equal("400 unauthorized_client"), "%s: %s", c.name, got.Raw)
		}
	}
}

// TestASessionOfADevice checks that the session of a login with a DPoP proof is bound to the client key.
func TestASessionOfADevice(t *testing.T) {
	h, one, two := newReplicas(t, clock.RealClock{})
	h.serves(one, two)
	shown := h.workload("till")
	device, thief := h.device(), h.device()
	login := func(r *operator.Replica, proofs ...string) *operator.Answer {
		form := url.Values{
			"grant_type": {tokenExchange}, "subject_token": {shown}, "subject_token_type": {typeJWT}, "audience": {harness.Audience},
		}
		request, err := http.NewRequestWithContext(h.Ctx, http.MethodPost, r.Server.URL+"/"+h.Name+"/token", strings.NewReader(form.Encode()))
		h.Expect(err).NotTo(gomega.HaveOccurred())
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header["Dpop"] = proofs
		return h.Do(r, request)
	}
	first := login(one, device.proof())
	h.Expect(first.Outcome()).To(gomega.Equal("400 use_dpop_nonce"))
	h.Expect(h.sessions()).To(gomega.BeEmpty(), "nothing is made before the proof is good")
	device.learn(first)
	h.Expect(login(one, device.proof(), device.proof()).Outcome()).To(gomega.Equal("400 invalid_dpop_proof"))
	proof := device.proof()
	got := login(two, proof)
	h.Expect(got.Outcome()).To(gomega.Equal("200"), got.Raw)
	h.Expect(got.Text("token_type")).To(gomega.Equal("DPoP"))
	for _, name := range []string{"access_token", "refresh_token"} {
		h.Expect(h.says(got.Text(name))).To(gomega.HaveKeyWithValue("cnf", map[string]any{"jkt": device.thumbprint}), name)
	}
	h.Expect(login(two, proof).Outcome()).To(gomega.Equal("400 invalid_dpop_proof"), "a proof is for one request")
	h.Expect(h.sessions()).To(gomega.HaveLen(1))

	held := got.Text("refresh_token")
	thief.nonce = device.nonce
	h.Expect(h.Refresh(one, held).Outcome()).To(gomega.Equal("400 invalid_dpop_proof"))
	h.Expect(thief.refresh(one, held).Outcome()).To(gomega.Equal("400 invalid_dpop_proof"))
	got = device.refresh(one, held)
	h.Expect(got.Outcome()).To(gomega.Equal("200"), "a refused use was counted: %s", got.Raw)
	h.Expect(got.Text("refresh_token") == held).To(gomega.BeTrue(), "it is young")
}
