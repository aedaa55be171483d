package grant_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

var device = replica.NameOf("device")

// TestOneTimeUse checks that a token is followed by the next, that a retry in the grace gets the same one, that the
// grace does not slide, and that a later use of a used token ends the line.
func TestOneTimeUse(t *testing.T) {
	r := replica.New(t)
	enrolment := r.Issue("device", oneTime(time.Minute))
	second := next(t, r, enrolment, "an enrolment is followed at its first use")
	if second == enrolment {
		t.Error("the enrolment is not followed")
	}
	writes := r.Counts().Writes
	for _, after := range []time.Duration{0, 25 * time.Second, 50 * time.Second, 64 * time.Second} {
		r.Clock.SetTime(replica.Start.Add(after))
		same(t, next(t, r, enrolment, "a retry"), second, "a retry after "+after.String())
	}
	if status := &r.Stored(device).Status; status.Revision != 2 || status.LastUsedRevision != 1 {
		t.Errorf("recorded are revision %d and the use of %d, want 2 and 1", status.Revision, status.LastUsedRevision)
	}
	if cost := r.Counts().Writes - writes; cost != 0 {
		t.Errorf("the retries cost %d writes, want none", cost)
	}
	third := next(t, r, second, "as old as the grace")
	if third == second {
		t.Error("a token as old as the grace is not followed")
	}
	r.Clock.SetTime(replica.Start.Add(65 * time.Second))
	expect(t, r, enrolment, invalidGrant, "the grace is over")
	if got := r.Stored(device).Status.RevocationReason; got != v1alpha1.RevokedReuseDetected {
		t.Errorf("the line is revoked for %q", got)
	}
	expect(t, r, third, invalidGrant, "the living token ends with it")
}

// TestAYoungTokenOfAnotherContent checks that a young token is followed if spec has changed.
func TestAYoungTokenOfAnotherContent(t *testing.T) {
	r := replica.New(t, granting("orders:*"))
	first := r.Issue("device", oneTime(10*time.Minute))
	second := next(t, r, first, "the enrolment")
	scope := func(compact string) string {
		claims, err := token.Made(compact)
		if err != nil {
			t.Fatal(err)
		}
		return claims.Scope
	}
	r.Edit(device, scoped("orders:read"))
	third := next(t, r, second, "young, and of another content than spec")
	same(t, scope(third), "orders:read", "the scope of the third")

	// Both earlier tokens are in their grace, and a line keeps at most two: the next change waits for them.
	r.Edit(device, scoped("orders:write"))
	same(t, next(t, r, third, "it waits"), third, "an advance would drop a token in its grace")
	same(t, next(t, r, first, "in its grace"), third, "the holder of the first")
	forward(r, 10*time.Minute+6*time.Second)
	same(t, scope(next(t, r, third, "the grace of both is over")), "orders:write", "the scope of the fourth")
}

// TestASuccessorThatIsNotGranted checks that a changed spec that the policy does not grant refuses the advance, and
// that the client keeps its token.
func TestASuccessorThatIsNotGranted(t *testing.T) {
	r := replica.New(t, granting("orders:*"))
	enrolment := r.Issue("device", oneTime(time.Minute))
	r.Edit(device, scoped("billing:read"))
	expect(t, r, enrolment, unauthorized, "the successor has a scope that is not granted")
	if got := r.Stored(device).Status; got.Revision != 1 || got.RevokedAt != nil {
		t.Errorf("the line is at revision %d, revoked %v", got.Revision, got.RevokedAt)
	}
	r.Edit(device, scoped("orders:read"))
	expect(t, r, enrolment, ok, "repaired")
}

// TestASessionOfSeveralHolders checks that sessionRetryGrace applies to sessions that begin later, and that the
// first token of a session is not followed while it is young.
func TestASessionOfSeveralHolders(t *testing.T) {
	r := replica.New(t, func(i *v1alpha1.JWTIssuer) {
		i.Spec.Login = &v1alpha1.LoginSpec{SessionRetryGrace: &metav1.Duration{Duration: 5 * time.Minute}}
	})
	answer, outcome := r.SignIn(r.Account("till", replica.URL))
	if outcome != ok {
		t.Fatal(outcome)
	}
	first := answer.RefreshToken
	if got := r.All(replica.Name)[0].Spec.Rotation.RetryGrace.Duration; got != 5*time.Minute {
		t.Errorf("the grace of the session is %s", got)
	}
	writes := r.Counts().Writes
	forward(r, 5*time.Minute-time.Second)
	same(t, next(t, r, first, "young"), first, "the first token of a session is not followed while it is young")
	if cost := r.Counts().Writes - writes; cost != 0 {
		t.Errorf("the use of a young token costs %d writes, want none", cost)
	}
	forward(r, time.Second)
	second := next(t, r, first, "as old as the grace")
	if second == first {
		t.Error("it is not followed")
	}
	forward(r, 4*time.Minute)
	same(t, next(t, r, first, "another process, minutes late"), second, "it gets the current token")
}

// TestAUsedTokenIsNotForgotten checks that a used token stays used after another enrolment with an overlap.
func TestAUsedTokenIsNotForgotten(t *testing.T) {
	r := replica.New(t)
	used := r.Issue("device", oneTime(time.Minute))
	held := next(t, r, used, "the enrolment")
	r.Edit(device, func(k *v1alpha1.JWTRefreshKey) { k.Status.LastUsedRevision = 0; k.Status.Previous = nil })
	enrolment := r.Next(device)
	expect(t, r, used, invalidGrant, "it was used before")
	same(t, next(t, r, held, "it was not, and is in overlap"), enrolment, "the holder is given the token that follows")
}

// TestConcurrentUses checks that of concurrent uses of a one-time token all get the same successor, by one write.
func TestConcurrentUses(t *testing.T) {
	r := replica.New(t)
	enrolment := r.Issue("device", oneTime(time.Minute))
	before := r.Counts()
	const holders = 16
	got := make(chan string, holders)
	for range holders {
		go func() { answer, _ := r.Refresh(enrolment); got <- answer.RefreshToken }()
	}
	first := <-got
	for range holders - 1 {
		same(t, <-got, first, "one of the concurrent uses")
	}
	if revision := r.Stored(device).Status.Revision; revision != 2 || first == "" {
		t.Errorf("the line is at revision %d", revision)
	}
	// Uses that decide at the same time each send their write, and all but one lose it.
	after := r.Counts()
	if won := after.Writes - after.Lost - before.Writes + before.Lost; won != 1 {
		t.Errorf("%d concurrent uses won %d writes, want 1", holders, won)
	}
}

// TestAOneTimeTokenWithoutAnAPIServer checks that a token that must be followed is unavailable, and keeps its value.
func TestAOneTimeTokenWithoutAnAPIServer(t *testing.T) {
	r := replica.New(t)
	enrolment := r.Issue("device", oneTime(time.Minute))
	r.Away(true)
	expect(t, r, enrolment, unavailable, "the advance cannot be recorded")
	r.Away(false)
	expect(t, r, enrolment, ok, "afterwards")
}

// TestALostRaceIsDecidedAgain checks that an advance on an outdated view is decided again on what is stored.
func TestALostRaceIsDecidedAgain(t *testing.T) {
	r := replica.New(t)
	enrolment := r.Issue("device", oneTime(time.Minute))
	r.Hold(true)
	r.Edit(device, func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.AccessToken = &v1alpha1.KeyAccessTokenSpec{Lifetime: &metav1.Duration{Duration: time.Minute}}
	})
	answer, outcome := r.Refresh(enrolment)
	if outcome != ok || answer.RefreshToken == enrolment {
		t.Errorf("a key that was changed since: %s", outcome)
	}
	// A revocation that the view lacks is found when the advance is lost.
	forward(r, 2*time.Minute)
	held := answer.RefreshToken
	r.Edit(device, func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true })
	expect(t, r, held, invalidGrant, "a key that was revoked since")
}
