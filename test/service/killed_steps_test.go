package service

import (
	"fmt"
	"slices"
	"testing"

	"github.com/onsi/gomega"
	"k8s.io/utils/clock"
)

// The results of a sign-in during which a replica is killed: the person notices nothing, or has to start again, and then finishes.
const (
	finishes    = "finishes"
	startsAgain = "starts again"
)

// signIns are the ways to sign in, each until a refresh shows that the tokens are good. want is the result if a replica is killed between any two
// steps.
var signIns = []struct {
	name, want string
	steps      []step
}{
	{"a password", finishes, []step{openShop, typePassword, allow, redeemCode, refreshOnce, refreshAgain}},
	{"a pushed request", finishes, []step{push, openPushed, typePassword, allow, redeemCode, refreshOnce}},
	{"a provider", finishes, []step{openShop, chooseProvider, returnFrom, allow, redeemCode, refreshOnce}},
	{"a device", finishes, []step{beginDevice, openDevice, typePassword, typeCode, allowDevice, claimTokens, refreshOnce}},
}

// TestAReplicaKilledBetweenSteps kills one of two replicas between any two steps of a sign-in: the one that took the last step, or the other
// one. It is started again later. In a last sign-in a replica is killed after each step, so that each step is taken by a replica that started after
// the step before. Nothing that a step has sealed is lost, and the person has one session.
func TestAReplicaKilledBetweenSteps(t *testing.T) {
	newFixture(t, clock.RealClock{}).Manage()
	for _, c := range signIns {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			for at := range len(c.steps) - 1 {
				for name, choose := range map[string]func(*front) *process{"took it": (*front).answered, "did not take it": (*front).other} {
					t.Run(fmt.Sprintf("after %s the replica that %s", c.steps[at].name, name), func(t *testing.T) {
						a := s.begin(t)
						defer s.restore()
						said := a.through(c.steps, func(n int) {
							switch n {
							case at:
								choose(s.front).kill()
							case at + 1:
								s.start()
							}
						})
						a.h.Expect(said).To(gomega.Equal(c.want))
						a.checkSessions(0)
					})
				}
			}
			t.Run("after each step", func(t *testing.T) {
				a := s.begin(t)
				defer s.restore()
				said := a.through(c.steps, func(int) {
					last := s.front.answered()
					s.restore()
					last.kill()
				})
				a.h.Expect(said).To(gomega.Equal(c.want))
				a.checkSessions(0)
			})
		})
	}
}

// TestAReplicaKilledWithinAStep kills a replica after each write of a sign-in, before it can answer. The browser, the application or the device
// sends its request again. Only a code that was redeemed without an answer makes the person start again: nothing shows who has the tokens, so the
// second redemption ends the session. TestAReplicaKilledBetweenClaimAndAnswer kills a replica within a refresh.
func TestAReplicaKilledWithinAStep(t *testing.T) {
	newFixture(t, clock.RealClock{}).Manage()
	s := newService(t)
	code := []step{openShop, typePassword, allow, redeemCode}
	device := []step{beginDevice, openDevice, typePassword, typeCode, allowDevice, claimTokens}
	for _, c := range []struct {
		name string
		// The replica is killed in the last one of steps, at the trap. rest are the steps after it.
		steps, rest []step
		at          func() *trap
		// again is what the person or the client sees when the request is sent again.
		again, want string
	}{
		{"after the creation of the session of a code", code, []step{refreshOnce}, creation, finishes, finishes},
		{"after the first token of a code", code, []step{refreshOnce}, firstToken, "400 invalid_grant", startsAgain},
		{"after the decision about a device", device[:5], []step{claimTokens, refreshOnce}, creation, finishes, finishes},
		{"after the first token of a device", device, []step{refreshOnce}, firstToken, finishes, finishes},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.begin(t)
			before := c.steps[:len(c.steps)-1]
			a.h.Expect(a.through(before, func(int) {})).To(gomega.Equal(finishes))
			killed := s.arm(c.at())
			within := c.steps[len(c.steps)-1]
			lost := within.take(a)
			a.h.Expect(lost).To(gomega.HaveOccurred(), "the step was answered")
			defer s.restore()
			a.h.Expect(killed()).To(gomega.BeTrue(), "no replica was killed: %v", lost)
			a.h.Expect(a.through([]step{within}, func(int) {})).To(gomega.Equal(c.again))
			s.start()
			if c.want == finishes {
				a.h.Expect(a.through(c.rest, func(int) {})).To(gomega.Equal(finishes))
				a.checkSessions(0)
				return
			}
			again := a.h.newAttempt(s.front.service, a.user)
			a.h.Expect(again.through(slices.Concat(code, []step{refreshOnce}), func(int) {})).To(gomega.Equal(finishes), "from the start")
			again.checkSessions(1)
		})
	}
}

// TestWritesOfASignIn checks that each sign-in of a person costs two writes: the creation of its session and the first token.
func TestWritesOfASignIn(t *testing.T) {
	newFixture(t, clock.RealClock{}).Manage()
	s := newService(t)
	for _, c := range signIns {
		t.Run(c.name, func(t *testing.T) {
			a := s.begin(t)
			for _, p := range s.processes {
				p.api.taken()
			}
			first := slices.DeleteFunc(slices.Clone(c.steps), func(s step) bool { return s.name == refreshOnce.name || s.name == refreshAgain.name })
			a.h.Expect(a.through(first, func(int) {})).To(gomega.Equal(finishes))
			writes := slices.Concat(s.processes[0].api.taken().writes, s.processes[1].api.taken().writes)
			a.h.Expect(writes).To(gomega.ConsistOf(
				gomega.MatchRegexp("^POST .*/jwtrefreshkeys$"), gomega.MatchRegexp("^PUT .*/jwtrefreshkeys/[^/]+/status$")))
		})
	}
}

// through takes steps, and calls after each one of them with its number. It returns finishes, or what the person or the client saw instead of the
// next step.
func (a *attempt) through(steps []step, after func(n int)) string {
	a.h.T.Helper()
	for n, s := range steps {
		if err := s.take(a); err != nil {
			a.h.T.Logf("%s: %v", s.name, err)
			return err.Error()
		}
		after(n)
	}
	return finishes
}

// service is two replicas behind a front, with users for many sign-ins.
type service struct {
	*fixture
	front     *front
	provider  *provider
	processes []*process
	users     []string
}

// newService starts two replicas as processes, while a manager runs. Each sign-in has a user of its own: tries are limited for each.
func newService(t *testing.T) *service {
	t.Helper()
	s := &service{fixture: newFixture(t, clock.RealClock{}), provider: newProvider(t)}
	for n := range 20 {
		s.users = append(s.users, fmt.Sprintf("person-%02d", n))
	}
	entry := s.provider.entry()
	s.signInIssuer(&entry, s.users...)
	s.processes = s.fixture.processes(2)
	s.front = s.balanced(s.processes)
	return s
}

// begin begins the sign-in of the next user, in a subtest.
func (s *service) begin(t *testing.T) *attempt {
	t.Helper()
	user := s.users[0]
	s.users = s.users[1:]
	a := (&fixture{s.In(t)}).newAttempt(s.front.service, user)
	a.provider = s.provider
	return a
}

// start starts a replica that was killed, and does not wait.
func (s *service) start() {
	for _, p := range s.processes {
		p.begin()
	}
}

// restore starts a replica that was killed, and waits until both are ready.
func (s *service) restore() {
	s.start()
	for _, p := range s.processes {
		p.ready()
	}
}

// arm sets a trap for the replica that takes the next step. killed reports whether it was killed, and returns when its process has ended.
func (s *service) arm(trap *trap) (killed func() bool) {
	for _, p := range s.processes {
		p.api.deadly.Store(trap)
	}
	return func() bool {
		for _, p := range s.processes {
			p.api.deadly.Store(nil)
		}
		if !trap.sprung.Load() {
			return false
		}
		s.front.answered().kill()
		return true
	}
}
