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
	"golang.org/x/crypto/bcrypt"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

const (
	tokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeJWT       = "urn:ietf:params:oauth:token-type:jwt"
	typeAccess    = "urn:ietf:params:oauth:token-type:access_token"
)

// workload creates a ServiceAccount, and returns a token of it for the issuer.
func (h *harness) workload(name string) string {
	h.t.Helper()
	h.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: h.name, Name: name}})
	return h.accountToken(name, h.url())
}

// signIn exchanges a ServiceAccount token. more are further parameters; one with an empty value is left out.
func (h *harness) signIn(r *replica, subjectToken string, more ...string) *answer {
	h.t.Helper()
	form := url.Values{
		"grant_type": {tokenExchange}, "subject_token": {subjectToken}, "subject_token_type": {typeJWT}, "audience": {audience},
	}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return h.post(r, "/token", form)
}

// serves waits until the issuer's signing keys exist and the replicas know them.
func (h *harness) serves(replicas ...*replica) {
	h.t.Helper()
	for _, r := range replicas {
		h.Eventually(func() int {
			request, err := http.NewRequestWithContext(h.ctx, http.MethodGet, r.server.URL+"/"+h.name+"/jwks.json", http.NoBody)
			h.Expect(err).NotTo(gomega.HaveOccurred())
			return h.do(r, request).status
		}, patience, pollEvery).Should(gomega.Equal(http.StatusOK))
	}
}

// sessions returns the sessions in the harness's namespace.
func (h *harness) sessions() []v1alpha1.JWTRefreshKey {
	h.t.Helper()
	var list v1alpha1.JWTRefreshKeyList
	h.Expect(h.admin.List(h.ctx, &list, client.InNamespace(h.name), client.HasLabels{v1alpha1.LabelSession})).To(gomega.Succeed())
	return list.Items
}

// TestAWorkloadSignsIn checks that a ServiceAccount token starts a session, which is a refresh key like any other,
// and ends with its ServiceAccount.
func TestAWorkloadSignsIn(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	h.issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Scopes: []string{"orders:*"}, Subjects: []string{"shop:*"}}}}
	})
	h.manage()
	one, two := h.replica(), h.replica()
	h.serves(one, two)
	shown := h.workload("till")

	got := h.signIn(one, shown, "scope", "orders:read orders:write", "device_id", "till-17")
	h.Expect(got.outcome()).To(gomega.Equal("200"), got.raw)
	h.Expect(got.text("issued_token_type")).To(gomega.Equal(typeAccess))
	h.Expect(got.text("token_type")).To(gomega.Equal("Bearer"))
	h.Expect(got.text("scope")).To(gomega.Equal("orders:read orders:write"))
	h.Expect(got.header.Get("Cache-Control")).To(gomega.Equal("no-store"))

	session := &h.sessions()[0]
	h.Expect(h.sessions()).To(gomega.HaveLen(1))
	h.Expect(session.Spec.Subject).To(gomega.Equal("system:serviceaccount:" + h.name + ":till"))
	h.Expect(session.Status.Session.Subject).To(gomega.Equal(session.Spec.Subject))
	h.Expect(session.Status.Session.Method).To(gomega.Equal(v1alpha1.LoginServiceAccount))
	h.Expect(session.Status.DeviceInfo.ID).To(gomega.Equal("till-17"))
	h.Expect(session.Spec.DeviceInfo.ID).To(gomega.Equal("till-17"), "the device that signed in")
	h.Expect(session.Spec.Scopes).To(gomega.Equal([]string{"orders:read", "orders:write"}))
	h.Expect(session.Spec.ExpiresAt.Sub(session.Status.CreatedAt.Time)).To(gomega.BeNumerically("~", 720*time.Hour, 2*time.Second), "a session has an absolute end")
	h.Eventually(func() string {
		h.Expect(h.admin.Get(h.ctx, client.ObjectKeyFromObject(session), session)).To(gomega.Succeed())
		return readyReason(session)
	}, patience, pollEvery).Should(gomega.Equal(v1alpha1.ReasonIssued), "kubectl get jrk shows it like any key")

	bearer := h.caller("auditor", "")
	h.Expect(h.introspect(one, bearer, got.text("access_token"), "").body).To(gomega.And(
		gomega.HaveKeyWithValue("active", true), gomega.HaveKeyWithValue("sub", session.Spec.Subject), gomega.HaveKeyWithValue("aud", audience)))
	next := h.refresh(two, got.text("refresh_token"), "scope", "orders:read")
	h.Expect(next.outcome()).To(gomega.Equal("200"), "the other replica need not have seen it: %s", next.raw)
	h.Expect(next.text("refresh_token") == got.text("refresh_token")).To(gomega.BeTrue(), "the first token of a session is not followed while it is young")
	h.Expect(h.introspect(one, bearer, next.text("access_token"), "").body).To(gomega.HaveKeyWithValue("sub", session.Spec.Subject))

	h.Expect(h.admin.Delete(h.ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: h.name, Name: "till"}})).To(gomega.Succeed())
	h.Expect(h.refresh(one, next.text("refresh_token")).outcome()).To(gomega.Equal("400 invalid_grant"), "its ServiceAccount is deleted")
	h.workload("till")
	h.Expect(h.refresh(one, next.text("refresh_token")).outcome()).To(gomega.Equal("400 invalid_grant"), "one of the same name is another")
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
	h := newHarness(t, clock.RealClock{})
	h.issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Audiences: []string{audience}, Scopes: []string{"orders:*"}}}}
	})
	h.manage()
	r := h.replica()
	h.serves(r)
	good := h.workload("till")
	for _, c := range []struct {
		name, token string
		more        []string
		want        string
	}{
		{"for the API server itself", h.accountToken("till"), nil, "400 invalid_request"},
		{"for another issuer", h.accountToken("till", h.url()+"/other"), nil, "400 invalid_request"},
		{"of no cluster", part(good, 2, func(signature string) string { return strings.Repeat("A", len(signature)) }), nil, "400 invalid_request"},
		{"an audience that is not granted", good, []string{"audience", "https://billing.example.com"}, "400 invalid_target"},
		{"passwords are off", good, []string{"grant_type", "password", "username", "jane", "password", "x"}, "400 unsupported_grant_type"},
	} {
		if got := h.signIn(r, c.token, c.more...); got.outcome() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got.outcome(), c.want)
		}
	}
	h.Expect(h.sessions()).To(gomega.BeEmpty(), "a refused login has signed in")
	h.Expect(h.signIn(r, good, "resource", audience).outcome()).To(gomega.Equal("200"), "audience and resource may say the same")
}

// TestSigningOut checks that a revocation, a deletion and spec.revoked end a session permanently, at every replica.
func TestSigningOut(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	h.issuer()
	h.manage()
	one, two := h.replica(), h.replica()
	h.serves(one, two)
	shown := h.workload("till")
	for _, c := range []struct {
		name string
		end  func(session *v1alpha1.JWTRefreshKey, refresh string)
	}{
		{"revoke", func(_ *v1alpha1.JWTRefreshKey, refresh string) {
			h.Expect(h.post(one, "/revoke", url.Values{"token": {refresh}}).outcome()).To(gomega.Equal("200"))
		}},
		{"spec.revoked, there and back", func(session *v1alpha1.JWTRefreshKey, _ string) {
			h.edit(session, func() { session.Spec.Revoked = true })
			h.Eventually(func() error {
				if err := h.admin.Get(h.ctx, client.ObjectKeyFromObject(session), session); err != nil || session.Status.RevokedAt != nil {
					return err
				}
				return fmt.Errorf("the revocation is not on record")
			}, patience, pollEvery).Should(gomega.Succeed())
			h.edit(session, func() { session.Spec.Revoked = false })
			h.annotate(session, v1alpha1.AnnotationRotate, "again")
		}},
		{"delete", func(session *v1alpha1.JWTRefreshKey, _ string) {
			h.Expect(h.admin.Delete(h.ctx, session)).To(gomega.Succeed())
		}},
	} {
		got := h.signIn(one, shown)
		h.Expect(got.outcome()).To(gomega.Equal("200"), c.name)
		all := h.sessions()
		session := &all[slices.IndexFunc(all, func(k v1alpha1.JWTRefreshKey) bool { return k.Status.RevokedAt == nil })]
		c.end(session, got.text("refresh_token"))
		for _, r := range []*replica{one, two} {
			h.Eventually(func() string { return h.refresh(r, got.text("refresh_token")).outcome() }, patience, pollEvery).
				Should(gomega.Equal("400 invalid_grant"), c.name)
		}
	}
}

// TestSessionsHaveTheirNumber checks the limits of sessions, for one subject and for an issuer, also with
// concurrent logins at two replicas. Sessions that were not used are ended first. Each use is recorded at once,
// since each is followed.
func TestSessionsHaveTheirNumber(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	issuer := h.issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Login = &v1alpha1.LoginSpec{SessionsPerSubject: 3, SessionRetryGrace: &metav1.Duration{}}
	})
	h.manage()
	replicas := []*replica{h.replica(), h.replica()}
	h.serves(replicas...)
	shown := h.workload("till")

	kept := h.signIn(replicas[0], shown, "device_id", "kept")
	h.Expect(kept.outcome()).To(gomega.Equal("200"))
	var others sync.WaitGroup
	for i := range 12 {
		others.Go(func() {
			if got := h.signIn(replicas[i%2], shown); got.outcome() != "200" && got.status != 503 {
				t.Errorf("login %d: %s", i, got.raw)
			}
		})
	}
	others.Wait()
	h.Expect(len(h.sessions())).To(gomega.BeNumerically("<=", 3))

	kept = h.signIn(replicas[0], shown, "device_id", "kept")
	for i := range 6 {
		kept = h.refresh(replicas[i%2], kept.text("refresh_token"))
		h.Expect(kept.outcome()).To(gomega.Equal("200"), "the one that is used stays")
		h.Expect(h.signIn(replicas[i%2], shown).outcome()).To(gomega.Equal("200"))
		h.Expect(len(h.sessions())).To(gomega.Equal(3))
	}

	h.edit(issuer, func() { issuer.Spec.Login.MaxSessions = 4 })
	another := h.workload("scanner")
	h.Eventually(func() string {
		h.signIn(replicas[0], another)
		return h.signIn(replicas[0], another).outcome()
	}, patience, pollEvery).Should(gomega.Equal("503 temporarily_unavailable"))
	h.Expect(len(h.sessions())).To(gomega.BeNumerically("<=", 6))
}

// passwordFile creates a Secret with htpasswd lines that the issuer can name.
func (h *harness) passwordFile(lines string) string {
	h.t.Helper()
	name := h.name + "-passwords"
	h.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "refreshkeys-system", Name: name}, StringData: map[string]string{"htpasswd": lines}})
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
	h := newHarness(t, clock.RealClock{})
	file := h.passwordFile("# people\n" + htpasswd(t, "jane", "correct horse") + "broken\n" + "system:admin:x\n")
	h.issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Login = &v1alpha1.LoginSpec{
			SessionNamespace: h.name, Passwords: &v1alpha1.PasswordLogin{SecretRef: v1alpha1.LocalSecretReference{Name: file}},
		}
	})
	h.manage()
	r := h.replica()
	h.serves(r)
	login := func(user, password string) *answer {
		return h.post(r, "/token", url.Values{"grant_type": {"password"}, "username": {user}, "password": {password}, "audience": {audience}})
	}
	got := login("jane", "correct horse")
	h.Expect(got.outcome()).To(gomega.Equal("200"), got.raw)
	h.Expect(got.body).NotTo(gomega.HaveKey("issued_token_type"))
	session := &h.sessions()[0]
	h.Expect(session.Spec.Subject).To(gomega.Equal("jane"))
	h.Expect(session.Status.Session.Method).To(gomega.Equal(v1alpha1.LoginPassword))
	h.Expect(login("jane", "wrong").outcome()).To(gomega.Equal("400 invalid_grant"))
	h.Expect(h.sessions()).To(gomega.HaveLen(1))

	refreshed := h.refresh(r, got.text("refresh_token"))
	h.Expect(refreshed.outcome()).To(gomega.Equal("200"), refreshed.raw)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "refreshkeys-system", Name: file}}
	h.edit(secret, func() { secret.Data = map[string][]byte{"htpasswd": nil} })
	again := h.replica()
	h.Expect(h.refresh(again, refreshed.text("refresh_token")).outcome()).To(gomega.Equal("400 unauthorized_client"), "the user is removed, and may be added again")

	var last *answer
	for i := range 25 {
		last = login(fmt.Sprint("user-", i), "x")
	}
	h.Expect(last.outcome()).To(gomega.Equal("429 slow_down"), "an address does not try any number of users")
}

// TestASessionIsRemovedAfterItsEnd checks that a session is removed a day after its end, so that its condition can
// be read.
func TestASessionIsRemovedAfterItsEnd(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	h := newHarness(t, clock)
	h.issuer()
	h.manage()
	r := h.replica()
	h.serves(r)
	got := h.signIn(r, h.workload("till"))
	h.Expect(got.outcome()).To(gomega.Equal("200"), got.raw)
	session := &h.sessions()[0]
	h.Expect(h.post(r, "/revoke", url.Values{"token": {got.text("refresh_token")}}).outcome()).To(gomega.Equal("200"))

	reason := func() string {
		h.Expect(h.admin.Get(h.ctx, client.ObjectKeyFromObject(session), session)).To(gomega.Succeed())
		return readyReason(session)
	}
	// The manager records the end with the clock, so the clock must not move before.
	h.Eventually(reason, patience, pollEvery).Should(gomega.Equal(v1alpha1.ReasonRevoked))
	h.forward(clock, 23*time.Hour, session)
	h.Consistently(reason, time.Second, pollEvery).Should(gomega.Equal(v1alpha1.ReasonRevoked))
	h.forward(clock, time.Hour, session)
	h.Eventually(h.sessions, patience, pollEvery).Should(gomega.BeEmpty())
}

// TestSessionsOfNoLogin checks that status of a session without a login does not count as signed in. It is written
// without the admission policy that allows only the operator to write it.
func TestSessionsOfNoLogin(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	h.issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Login = &v1alpha1.LoginSpec{SessionNamespace: h.name}
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{}}}
	})
	h.manage()
	r := h.replica()
	operator, err := server.TokenServer(h.ctx)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	forger, err := client.New(operator, client.Options{Scheme: h.admin.Scheme()})
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.workload("victim")
	victim := &corev1.ServiceAccount{}
	h.Expect(h.admin.Get(h.ctx, client.ObjectKey{Namespace: h.name, Name: "victim"}, victim)).To(gomega.Succeed())
	for _, c := range []struct {
		name    string
		session v1alpha1.SessionStatus
	}{
		{"a ServiceAccount's", v1alpha1.SessionStatus{
			Subject: "system:serviceaccount:" + h.name + ":victim", Method: v1alpha1.LoginServiceAccount, UID: string(victim.UID),
		}},
		{"a person's", v1alpha1.SessionStatus{Subject: "jane", Method: v1alpha1.LoginOIDC, Provider: "https://idp.example.com"}},
	} {
		key := h.key("forged-"+strings.ToLower(string(c.session.Method)), func(k *v1alpha1.JWTRefreshKey) {
			k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
		})
		held := h.reaches(key, 1)
		// The token service would not write this status; the test only uses its rights.
		c.session.StartedAt = metav1.NewTime(time.Now().Truncate(time.Second))
		h.Expect(forger.Get(h.ctx, client.ObjectKeyFromObject(key), key)).To(gomega.Succeed())
		patch := client.MergeFrom(key.DeepCopy())
		key.Status.Session = &c.session
		h.Expect(forger.Status().Patch(h.ctx, key, patch)).To(gomega.Succeed())
		if c.session.Method != v1alpha1.LoginServiceAccount {
			h.edit(key, func() { key.Spec.Subject = c.session.Subject })
		}
		for range 3 {
			got := h.refresh(r, held)
			h.Expect(got.outcome()).To(gomega.Equal("400 unauthorized_client"), "%s: %s", c.name, got.raw)
		}
	}
}

// TestASessionOfADevice checks that the session of a login with a DPoP proof is bound to the client key.
func TestASessionOfADevice(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	h.issuer()
	h.manage()
	one, two := h.replica(), h.replica()
	h.serves(one, two)
	shown := h.workload("till")
	device, thief := h.device(), h.device()
	login := func(r *replica, proofs ...string) *answer {
		form := url.Values{
			"grant_type": {tokenExchange}, "subject_token": {shown}, "subject_token_type": {typeJWT}, "audience": {audience},
		}
		request, err := http.NewRequestWithContext(h.ctx, http.MethodPost, r.server.URL+"/"+h.name+"/token", strings.NewReader(form.Encode()))
		h.Expect(err).NotTo(gomega.HaveOccurred())
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header["Dpop"] = proofs
		return h.do(r, request)
	}
	first := login(one, device.proof())
	h.Expect(first.outcome()).To(gomega.Equal("400 use_dpop_nonce"))
	h.Expect(h.sessions()).To(gomega.BeEmpty(), "nothing is made before the proof is good")
	device.learn(first)
	h.Expect(login(one, device.proof(), device.proof()).outcome()).To(gomega.Equal("400 invalid_dpop_proof"))
	proof := device.proof()
	got := login(two, proof)
	h.Expect(got.outcome()).To(gomega.Equal("200"), got.raw)
	h.Expect(got.text("token_type")).To(gomega.Equal("DPoP"))
	for _, name := range []string{"access_token", "refresh_token"} {
		h.Expect(h.says(got.text(name))).To(gomega.HaveKeyWithValue("cnf", map[string]any{"jkt": device.thumbprint}), name)
	}
	h.Expect(login(two, proof).outcome()).To(gomega.Equal("400 invalid_dpop_proof"), "a proof is for one request")
	h.Expect(h.sessions()).To(gomega.HaveLen(1))

	held := got.text("refresh_token")
	thief.nonce = device.nonce
	h.Expect(h.refresh(one, held).outcome()).To(gomega.Equal("400 invalid_dpop_proof"))
	h.Expect(thief.refresh(one, held).outcome()).To(gomega.Equal("400 invalid_dpop_proof"))
	got = device.refresh(one, held)
	h.Expect(got.outcome()).To(gomega.Equal("200"), "a refused use was counted: %s", got.raw)
	h.Expect(got.text("refresh_token") == held).To(gomega.BeTrue(), "it is young")
}
