package service

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// TestASessionThatIsEdited checks that users with the right to edit keys can neither turn off the one-time use of
// a session, nor extend it beyond the issuer's limit. Undoing the change restores the session.
func TestASessionThatIsEdited(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	h := newFixture(t, clock)
	issuer := h.Issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Login = &v1alpha1.LoginSpec{SessionLifetime: &metav1.Duration{Duration: 2 * time.Hour}}
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Subjects: []string{"shop:*"}}}}
	})
	h.Manage()
	r := h.Replica()
	h.serves(r)
	first := h.signIn(r, h.workload("till")).Text("refresh_token")
	clock.SetTime(clock.Now().Add(lifecycle.DefaultRetryGrace))
	held := h.Refresh(r, first).Text("refresh_token")
	session := &h.sessions()[0]

	h.Edit(session, func() { session.Spec.Subject = "" })
	// A young token is answered from the view.
	outcome := func() string { return h.Refresh(r, held).Outcome() }
	h.Eventually(outcome).Should(gomega.Equal("400 unauthorized_client"), "the session becomes that of a key")
	h.Edit(session, func() { session.Spec.Subject = "shop:orders" })
	h.seesSubject(r, session)
	h.Expect(outcome()).To(gomega.Equal("400 unauthorized_client"), "it becomes that of a subject that the policy grants to keys")
	h.Expect(h.Admin.Delete(h.Ctx, session)).To(gomega.Succeed())

	first = h.signIn(r, h.AccountToken(h.Name, "till", h.URL())).Text("refresh_token")
	clock.SetTime(clock.Now().Add(lifecycle.DefaultRetryGrace))
	held = h.Refresh(r, first).Text("refresh_token")
	session = &h.sessions()[0]
	h.Edit(session, func() { session.Spec.Rotation.Mode = v1alpha1.RotationScheduled })
	// Until the replica receives it, the session's tokens are one-time tokens.
	h.Eventually(func() bool {
		known := r.Key(client.ObjectKeyFromObject(session))
		return known != nil && !lifecycle.OneTime(known)
	}).Should(gomega.BeTrue())
	h.Expect(h.Refresh(r, held).Outcome()).To(gomega.Equal("400 unauthorized_client"), "a token that can be used twice")
	h.Expect(h.Refresh(r, first).Outcome()).NotTo(gomega.Equal("200"), "a used token is good again")
	h.Edit(session, func() {
		session.Spec.Rotation.Mode = v1alpha1.RotationOneTimeUse
		session.Spec.ExpiresAt, session.Spec.Lifetime = nil, &metav1.Duration{Duration: 720 * time.Hour}
	})
	h.Eventually(func() bool { return lifecycle.OneTime(r.Key(client.ObjectKeyFromObject(session))) }).Should(gomega.BeTrue())
	got := h.Refresh(r, held)
	h.Expect(got.Outcome()).To(gomega.Equal("200"), got.Raw)
	held = got.Text("refresh_token")

	clock.SetTime(clock.Now().Add(2 * time.Hour))
	h.Expect(h.Refresh(r, held).Outcome()).To(gomega.Equal("400 unauthorized_client"), "a session of two hours, after two hours")
	h.Edit(issuer, func() { issuer.Spec.Login.SessionLifetime.Duration = 3 * time.Hour })
	h.Eventually(func() string { return h.Refresh(r, held).Outcome() }).Should(gomega.Equal("200"), "the issuer may say otherwise")
}

// seesSubject waits until a replica's view has the current subject of a session.
func (h *fixture) seesSubject(r *operator.Replica, session *v1alpha1.JWTRefreshKey) {
	h.T.Helper()
	h.Eventually(func() bool {
		known := r.Key(client.ObjectKeyFromObject(session))
		return known != nil && known.Spec.Subject == session.Spec.Subject
	}).Should(gomega.BeTrue(), "the replica receives the edit")
}

// unrecorded is the connection to an API server that does not store the status of sessions.
type unrecorded struct{ next http.RoundTripper }

func (u *unrecorded) RoundTrip(request *http.Request) (*http.Response, error) {
	if path := request.URL.Path; request.Method == http.MethodPut && strings.Contains(path, "/session-") && strings.HasSuffix(path, "/status") {
		return nil, errors.New("it is lost")
	}
	return u.next.RoundTrip(request)
}

// TestALoginThatIsNotRecorded checks that a login leaves no object if its first token is not stored.
func TestALoginThatIsNotRecorded(t *testing.T) {
	h := newManaged(t, clock.RealClock{})
	r := h.Replica(func(config *rest.Config, _ *registry.Options) {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &unrecorded{next} })
	})
	h.serves(r)
	h.Expect(h.signIn(r, h.workload("till")).Outcome()).To(gomega.Equal("503 temporarily_unavailable"))
	h.Expect(h.sessions()).To(gomega.BeEmpty())
}

// TestLoginsAtOnce checks that of concurrent logins as many succeed as sessions are allowed.
func TestLoginsAtOnce(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	h.Issuer(func(i *v1alpha1.JWTIssuer) { i.Spec.Login = &v1alpha1.LoginSpec{SessionsPerSubject: 1} })
	h.Manage()
	replicas := []*operator.Replica{h.Replica(), h.Replica()}
	h.serves(replicas...)
	shown := h.workload("till")
	for range 6 {
		var answers [4]*operator.Answer
		var logins sync.WaitGroup
		for i := range answers {
			logins.Go(func() { answers[i] = h.signIn(replicas[i%2], shown) })
		}
		logins.Wait()
		alive := 0
		for i, got := range answers {
			h.Expect(got.Outcome()).To(gomega.BeElementOf("200", "503 temporarily_unavailable"))
			if got.Status == http.StatusOK && h.Refresh(replicas[i%2], got.Text("refresh_token")).Outcome() == "200" {
				alive++
			}
		}
		h.Expect(alive).To(gomega.Equal(1))
		h.Expect(h.sessions()).To(gomega.HaveLen(1))
	}
}

// TestInvalidTokensLeaveAssertionsAlone checks that many invalid tokens at logins do not prevent the review of client
// assertions.
func TestInvalidTokensLeaveAssertionsAlone(t *testing.T) {
	h, r := newReplica(t, clock.RealClock{})
	assertion := h.workload("till")
	bound := h.AwaitRevision(h.Key("bound", boundTo("till")), 1)
	head, rest, _ := strings.Cut(assertion, ".")
	payload, _, _ := strings.Cut(rest, ".")

	var refused atomic.Int64
	var clients sync.WaitGroup
	// All at once, so that a slow API server does not keep the requests below the limit.
	for worker := range 200 {
		clients.Go(func() {
			for i := range 4 {
				forged := fmt.Sprintf("%s.%s.%086d", head, payload, worker*4+i)
				if got := h.signIn(r, forged); got.Outcome() == "503 temporarily_unavailable" {
					refused.Add(1)
				}
			}
		})
	}
	clients.Wait()
	h.Expect(h.Refresh(r, bound, asserting(assertion)...).Outcome()).To(gomega.Equal("200"))
	h.Expect(refused.Load()).To(gomega.BeNumerically(">", 0), "the limit of reviews was not reached")
}
