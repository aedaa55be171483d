package service

import (
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// ending is a harness with a refresh key, access tokens of it, and two replicas that introspect them.
type ending struct {
	*fixture
	clock    *clocktesting.FakePassiveClock
	stop     func()
	issuerOf *v1alpha1.JWTIssuer
	key      *v1alpha1.JWTRefreshKey
	replicas []*operator.Replica
	caller   string
	// enrolment is the refresh token of revision 1, and held the one that access tokens are issued from.
	enrolment, held string
}

// newEnding enrols a refresh key, changed by the functions.
func newEnding(t *testing.T, change ...func(*v1alpha1.JWTRefreshKey)) *ending {
	t.Helper()
	now := clocktesting.NewFakePassiveClock(time.Now().Truncate(time.Second))
	e := &ending{fixture: newFixture(t, now), clock: now}
	e.issuerOf = e.Issuer()
	e.stop = e.Manage()
	e.replicas = []*operator.Replica{e.fixture.Replica(), e.fixture.Replica()}
	e.key = e.fixture.Key("orders", change...)
	e.enrolment = e.AwaitRevision(e.key, 1)
	e.held = e.enrolment
	e.outcomesOf(e.held)
	e.caller = e.fixture.caller("api", "")
	return e
}

// outcomesOf waits until both replicas accept a token, without using it.
func (e *ending) outcomesOf(held string) {
	e.T.Helper()
	for _, r := range e.replicas {
		e.Eventually(func() string { return e.Refresh(r, "x"+held).Outcome() }).Should(gomega.Equal("400 invalid_grant"))
		e.Eventually(func() bool { return r.Key(types.NamespacedName{Namespace: e.Name, Name: "orders"}) != nil }).Should(gomega.BeTrue())
	}
}

// issue exchanges a refresh token, and stores the next one if there is one.
func (e *ending) issue(r *operator.Replica) string {
	e.T.Helper()
	got := e.Refresh(r, e.held)
	e.Expect(got.Outcome()).To(gomega.Equal("200"))
	if next := got.Text("refresh_token"); next != "" {
		e.held = next
	}
	return got.Text("access_token")
}

// is waits until every replica reports whether an access token is active.
func (e *ending) is(active bool, access, what string) {
	e.T.Helper()
	for i, r := range e.replicas {
		e.Eventually(func() any { return e.Introspect(r, e.caller, access, "").Body["active"] }).
			Should(gomega.Equal(active), "%s at replica %d", what, i+1)
	}
}

// restart replaces the replicas by new ones, without caches.
func (e *ending) restart() {
	e.T.Helper()
	for i, r := range e.replicas {
		r.Stop()
		e.replicas[i] = e.fixture.Replica()
	}
}

func (e *ending) revokedFor(reason v1alpha1.RevocationReason) {
	e.T.Helper()
	e.Eventually(func() v1alpha1.RevocationReason {
		e.Expect(e.Admin.Get(e.Ctx, client.ObjectKeyFromObject(e.key), e.key)).To(gomega.Succeed())
		return e.key.Status.RevocationReason
	}).Should(gomega.Equal(reason))
}

// logOut ends the line with the held token, at one replica.
func (e *ending) logOut() {
	e.T.Helper()
	e.Expect(e.Revoke(e.replicas[0], e.held).Outcome()).To(gomega.Equal("200"))
	e.revokedFor(v1alpha1.RevokedLogout)
}

// rings returns the issuer's signing keys.
func (e *ending) rings() *keyring.Rings {
	e.T.Helper()
	at := e.replicas[0].At("/"+e.Name, "tokens.example.com")
	return at.Owner().Rings
}

// parsed returns the claims of an access token.
func (e *ending) parsed(access string) *token.Claims {
	e.T.Helper()
	claims, err := token.Parse(access, token.Access, e.rings(), e.URL(), e.clock.Now())
	e.Expect(err).NotTo(gomega.HaveOccurred())
	return claims
}

// claimless returns an access token without the revision, as earlier releases issued it, signed with the active
// signing key.
func (e *ending) claimless(access string) string {
	e.T.Helper()
	claims := e.parsed(access)
	claims.Object.Revision = 0
	payload, err := claims.Payload()
	e.Expect(err).NotTo(gomega.HaveOccurred())
	signer, err := e.rings().Signer(keyring.Access)
	e.Expect(err).NotTo(gomega.HaveOccurred())
	made, err := token.Mint(signer, token.Access, payload)
	e.Expect(err).NotTo(gomega.HaveOccurred())
	return made
}

// endings are the events that end everything issued before. revision is that of the next line.
var endings = []struct {
	name     string
	change   []func(*v1alpha1.JWTRefreshKey)
	end      func(*ending)
	revision int64
}{
	{name: "revoked, and restored", revision: 2, end: func(e *ending) {
		e.Edit(e.key, func() { e.key.Spec.Revoked = true })
		e.revokedFor(v1alpha1.RevokedRequested)
		e.Edit(e.key, func() { e.key.Spec.Revoked = false })
	}},
	{name: "rotate after a logout", revision: 2, end: func(e *ending) {
		e.logOut()
		e.Annotate(e.key, v1alpha1.AnnotationRotate, "again")
	}},
	{name: "another enrolment after a reuse", revision: 3, change: []func(*v1alpha1.JWTRefreshKey){oneTime(30 * time.Second)}, end: func(e *ending) {
		e.clock.SetTime(e.clock.Now().Add(time.Minute))
		e.Expect(e.Refresh(e.replicas[1], e.enrolment).Outcome()).To(gomega.Equal("400 invalid_grant"))
		e.revokedFor(v1alpha1.RevokedReuseDetected)
		e.Annotate(e.key, v1alpha1.AnnotationRotate, "again")
	}},
	{name: "rotate-now", revision: 2, end: func(e *ending) { e.Annotate(e.key, v1alpha1.AnnotationRotateNow, "leaked") }},
	{name: "a line that is not trusted", revision: 2, end: func(e *ending) {
		// Only the operator may write status, so the test uses its rights.
		config, err := server.Manager(e.Ctx)
		e.Expect(err).NotTo(gomega.HaveOccurred())
		manager, err := client.New(config, client.Options{Scheme: controllers.Scheme()})
		e.Expect(err).NotTo(gomega.HaveOccurred())
		e.Eventually(func() error {
			if err := e.Admin.Get(e.Ctx, client.ObjectKeyFromObject(e.key), e.key); err != nil {
				return err
			}
			e.key.Status.Content = nil
			return manager.Status().Update(e.Ctx, e.key)
		}).Should(gomega.Succeed())
	}},
	{name: "the signing key withdrawn", revision: 2, end: func(e *ending) {
		e.Annotate(e.issuerOf, v1alpha1.AnnotationWithdrawKey, e.key.Status.KeyID)
	}},
}

// TestWhatWasIssuedBeforeAnEndStaysInactive checks that an access token from before the end of a line never
// becomes active again: at no replica, at none that has just started, and also if an earlier release issued it
// without the revision.
func TestWhatWasIssuedBeforeAnEndStaysInactive(t *testing.T) {
	for _, c := range endings {
		t.Run(c.name, func(t *testing.T) {
			e := newEnding(t, c.change...)
			before := e.issue(e.replicas[0])
			e.is(true, before, "an access token of a living key")
			old := e.claimless(before)
			e.is(true, old, "one without a revision, of a key whose line was never ended")
			c.end(e)
			e.held = e.AwaitRevision(e.key, c.revision)
			e.Expect(e.key.Status.FirstRevision).To(gomega.Equal(c.revision), "status.firstRevision")
			for range 2 {
				e.is(false, before, "an access token issued before")
				e.is(false, old, "one without a revision, issued before")
				after := e.issue(e.replicas[1])
				e.is(true, after, "an access token issued after")
				e.restart()
			}
			e.Expect(e.Admin.Get(e.Ctx, client.ObjectKeyFromObject(e.key), e.key)).To(gomega.Succeed())
			e.Expect(e.key.Status.FirstRevision).To(gomega.Equal(c.revision), "status.firstRevision after uses")
		})
	}
}

// TestWhatWasSupersededStaysActive checks that a rotation, a rotate-now of an active line and the advance of a
// one-time token do not change whether earlier access tokens are active.
func TestWhatWasSupersededStaysActive(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  []func(*v1alpha1.JWTRefreshKey)
		follows func(*ending)
	}{
		{name: "rotate of a living line", follows: func(e *ending) {
			e.Annotate(e.key, v1alpha1.AnnotationRotate, "hygiene")
			e.held = e.AwaitRevision(e.key, 2)
		}},
		{name: "a change of spec, with no overlap", change: []func(*v1alpha1.JWTRefreshKey){func(k *v1alpha1.JWTRefreshKey) {
			k.Spec.Rotation = &v1alpha1.RotationSpec{Overlap: &v1alpha1.OverlapSpec{Max: &metav1.Duration{}}}
		}}, follows: func(e *ending) {
			first := e.held
			e.Edit(e.key, func() { e.key.Spec.Audience = "https://other.example.com" })
			e.held = e.AwaitRevision(e.key, 2)
			e.outcomes(first, "400 invalid_grant", e.replicas...)
		}},
		{name: "the advance of a one-time token", change: []func(*v1alpha1.JWTRefreshKey){oneTime(time.Minute)}, follows: func(e *ending) { e.issue(e.replicas[1]) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEnding(t, c.change...)
			before := e.issue(e.replicas[0])
			old := e.claimless(before)
			c.follows(e)
			for range 2 {
				e.is(true, before, "an access token issued before")
				e.is(true, old, "one without a revision, issued before")
				e.is(true, e.issue(e.replicas[1]), "an access token issued after")
				e.restart()
			}
			e.Expect(e.Admin.Get(e.Ctx, client.ObjectKeyFromObject(e.key), e.key)).To(gomega.Succeed())
			e.Expect(e.key.Status.FirstRevision).To(gomega.BeZero(), "status.firstRevision")
		})
	}
}

// TestAReplicaThatIsBehindAsksAboutALaterRevision checks that a replica accepts an access token of a revision that
// it has not received yet. An access token that a replica issues before it receives a rotate-now is inactive at
// the others.
func TestAReplicaThatIsBehindAsksAboutALaterRevision(t *testing.T) {
	e := newEnding(t)
	behind, line := e.fixture.behind()
	e.outcomes(e.held, "200", behind)
	line.hang(true)
	defer line.hang(false)
	e.Annotate(e.key, v1alpha1.AnnotationRotateNow, "leaked")
	e.held = e.AwaitRevision(e.key, 2)
	after := e.issue(e.replicas[0])
	e.Expect(e.Introspect(behind, e.caller, after, "").Body["active"]).To(gomega.Equal(true), "a replica that is behind, of a later revision")

	other := e.fixture.Key("second")
	leaked := e.AwaitRevision(other, 1)
	line.hang(false)
	e.outcomes(leaked, "200", behind)
	line.hang(true)
	e.Annotate(other, v1alpha1.AnnotationRotateNow, "leaked")
	e.AwaitRevision(other, 2)
	late := e.Refresh(behind, leaked)
	e.Expect(late.Outcome()).To(gomega.Equal("200"), "the replica has not received rotate-now")
	e.is(false, late.Text("access_token"), "an access token that was issued late")
}

// TestAUsedTokenOfAnEarlierEnrolmentEndsNothing checks that a holder from before a revocation cannot sign out the
// holder who enrolled after it.
func TestAUsedTokenOfAnEarlierEnrolmentEndsNothing(t *testing.T) {
	e := newEnding(t, oneTime(30*time.Second))
	e.issue(e.replicas[0])
	e.logOut()
	e.Annotate(e.key, v1alpha1.AnnotationRotate, "again")
	e.held = e.AwaitRevision(e.key, 3)
	for range 3 {
		e.issue(e.replicas[0])
		e.clock.SetTime(e.clock.Now().Add(time.Minute))
		for i, r := range e.replicas {
			e.Expect(e.Refresh(r, e.enrolment).Outcome()).To(gomega.Equal("400 invalid_grant"), "at replica %d", i+1)
		}
	}
	e.Expect(e.Admin.Get(e.Ctx, client.ObjectKeyFromObject(e.key), e.key)).To(gomega.Succeed())
	e.Expect(e.key.Status.RevokedAt).To(gomega.BeNil(), "a token of the earlier enrolment ended the line: %s", e.key.Status.RevocationReason)
	e.Expect(e.key.Status.FirstRevision).To(gomega.BeEquivalentTo(3))
}

// TestTheAccessTokenInTheSecretSaysItsRevision checks that the access token in the Secret has its revision, and
// becomes inactive after a rotate-now.
func TestTheAccessTokenInTheSecretSaysItsRevision(t *testing.T) {
	e := newEnding(t, func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{AccessToken: true} })
	kept := func(revision int64) string {
		t.Helper()
		e.AwaitRevision(e.key, revision)
		secret := &corev1.Secret{}
		e.Expect(e.Admin.Get(e.Ctx, types.NamespacedName{Namespace: e.Name, Name: "orders"}, secret)).To(gomega.Succeed())
		access := string(secret.Data[v1alpha1.SecretAccessToken])
		e.Expect(e.parsed(access).Object.Revision).To(gomega.Equal(revision))
		return access
	}
	first := kept(1)
	e.is(true, first, "the access token of the Secret")
	e.Annotate(e.key, v1alpha1.AnnotationRotateNow, "leaked")
	second := kept(2)
	e.is(false, first, "the access token that was in the Secret before")
	e.is(true, second, "the access token that is in the Secret now")
}
