package faults

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/util/wait"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// TestCrashAtEveryWrite is I4 of docs/architecture.md, and with it I1 and I3: every transition is cut at
// every one of its writes, before the write and after it, and has to come to the same end.
func TestCrashAtEveryWrite(t *testing.T) {
	for _, play := range plays {
		t.Run(play.name, func(t *testing.T) { newRound(t, play.transitions, false).play(play.jump) })
	}
}

// TestSoakCrashTwice is the same with a second crash, at the first write of the healing.
func TestSoakCrashTwice(t *testing.T) {
	if !soak() {
		t.Skip("set SOAK=true")
	}
	for _, play := range plays {
		t.Run(play.name, func(t *testing.T) { newRound(t, play.transitions, true).play(play.jump) })
	}
}

// round is many trials at once, over the same managers.
type round struct {
	*scene
	clock    *clocktesting.FakePassiveClock
	witness  *witness
	trials   []*trial
	managers int
}

func newRound(t *testing.T, transitions []*transition, twice bool) *round {
	t.Helper()
	clock := clocktesting.NewFakePassiveClock(time.Now())
	r := &round{scene: newScene(t, clock), clock: clock, managers: 1}
	names := map[string]bool{}
	for _, transition := range transitions {
		if transition.orphans && server.Existing() {
			continue
		}
		for _, crashes := range transition.crashPoints(twice) {
			trial := &trial{scene: r.scene, transition: transition, name: name("crash"), crashes: crashes}
			names[trial.name] = true
			r.trials = append(r.trials, trial)
			r.managers = max(r.managers, 1+len(crashes))
		}
	}
	r.witness = r.startWitness(func(namespace string) string {
		if names[namespace] {
			return namespace
		}
		return ""
	})
	for _, trial := range r.trials {
		trial.witness = r.witness
	}
	return r
}

// crashPoints are all ways in which a transition is tried: undisturbed first.
func (tr *transition) crashPoints(twice bool) [][]crash {
	var earlier []crash
	if tr.earlier.write > 0 {
		earlier = []crash{tr.earlier}
	}
	points := [][]crash{earlier}
	for write := 1; write <= tr.writes; write++ {
		for _, side := range []side{before, after} {
			once := append(slices.Clone(earlier), crash{write, side})
			points = append(points, once)
			if twice {
				points = append(points, append(once[:len(once):len(once)], crash{1, before}), append(once[:len(once):len(once)], crash{1, after}))
			}
		}
	}
	return points
}

func (r *round) play(jump time.Duration) {
	r.t.Helper()
	wire, stop := r.startOver(1)
	r.prepare()
	for _, trial := range r.trials {
		r.arm(wire, trial, 1)
	}
	r.clock.SetTime(r.clock.Now().Add(jump))
	inParallel(r.trials, func(trial *trial) { trial.transition.happens(trial) })
	r.await(wire, 1)
	for manager := 2; manager <= r.managers; manager++ {
		stop()
		wire, stop = r.startOver(manager)
		r.await(wire, manager)
	}
	for _, trial := range r.trials {
		r.witness.catchUp(trial.name)
	}
	stop()
	r.judge()
}

// startOver starts the n-th manager, with the crashes planned for it.
func (r *round) startOver(manager int) (*wire, func()) {
	r.t.Helper()
	wire := newWire(r.journal, manager)
	wire.between = func(owner string) { r.witness.lookAt(r.ctx, owner, "between two writes") }
	if manager > 1 {
		for _, trial := range r.trials {
			r.arm(wire, trial, manager)
		}
	}
	return wire, r.startManager(wire.wrap, func(o *controllers.Options) { o.ReissuePerSecond = 1000 })
}

func (r *round) arm(wire *wire, trial *trial, manager int) {
	if planned := trial.crashOf(manager); planned.write > 0 {
		wire.arm(trial.name, planned)
	}
}

// prepare brings all trials to where their transition begins.
func (r *round) prepare() {
	r.t.Helper()
	steps := 0
	inParallel(r.trials, func(trial *trial) {
		transition := trial.transition
		r.namespace(trial.name)
		if transition.issuerless {
			r.t.Cleanup(func() { r.removeIssuer(trial.name) })
		} else {
			r.issuer(trial.name, transition.issuer...)
		}
		if !transition.keyless {
			r.key(trial.name, keyName, trial.name, transition.key...)
		}
	})
	for _, trial := range r.trials {
		steps = max(steps, len(trial.transition.first))
		r.Eventually(trial.prepared, patience, pollEvery).Should(gomega.Succeed(), "%s: prepare", trial)
	}
	for i := range steps {
		for _, trial := range r.trials {
			if i < len(trial.transition.first) {
				trial.take(trial.transition.first[i])
			}
		}
		for _, trial := range r.trials {
			if i < len(trial.transition.first) {
				r.Eventually(trial.settles(&trial.transition.first[i].want), patience, pollEvery).Should(gomega.Succeed(), "%s: step %d before it", trial, i+1)
			}
		}
	}
	inParallel(r.trials, (*trial).begin)
}

// take is a step on the way to where the transition begins.
func (r *trial) take(step step) {
	if step.kills {
		held, err := r.tokenIn(r.name, keyName)
		r.Expect(err).NotTo(gomega.HaveOccurred())
		r.witness.kill(token.Hash(held))
	}
	step.do(r)
}

// prepared: the issuer is ready, and the key is what it is made to be.
func (r *trial) prepared() error {
	if r.transition.issuerless {
		return nil
	}
	start := r.transition.made
	if start == nil {
		start = &outcome{advanced: 1, keyless: r.transition.keyless}
	}
	return r.settles(start)()
}

func (r *trial) settles(want *outcome) func() error {
	return func() error {
		f, err := r.find()
		if err != nil {
			return err
		}
		return want.settled(r, f)
	}
}

// begin remembers what is there, and what is going to be refused or damaged on purpose.
func (r *trial) begin() {
	before, err := r.find()
	r.Expect(err).NotTo(gomega.HaveOccurred())
	r.before, r.started = before, len(r.journal.of(r.name))
	if held := before.token(); held != "" && r.transition.kills && !r.transition.late {
		r.witness.kill(token.Hash(held))
	}
	if r.transition.plunders && before.key != nil {
		r.witness.plunder(clientKey(r.theKey()), true)
	}
}

// await waits until each trial has crashed as planned for this manager, or has settled. What
// does not get there in time is left for the verdict to tell.
func (r *round) await(wire *wire, manager int) {
	waiting := r.trials
	_ = wait.PollUntilContextTimeout(r.ctx, pollEvery, patience, true, func(context.Context) (bool, error) {
		waiting = slices.DeleteFunc(slices.Clone(waiting), func(trial *trial) bool { return trial.arrived(wire, manager) == nil })
		return len(waiting) == 0, nil
	})
	for _, trial := range waiting {
		trial.stuck = fmt.Errorf("under manager %d: %w", manager, trial.arrived(wire, manager))
	}
	for _, trial := range r.trials {
		if wire.crashed(trial.name) {
			trial.inspectWreck()
		}
	}
}

func (r *trial) arrived(wire *wire, manager int) error {
	planned := r.crashOf(manager)
	switch {
	case r.stuck != nil || (planned.write > 0 && wire.crashed(r.name)):
		return nil
	case planned.write > 0 && manager == 1:
		return fmt.Errorf("there is no write %d to crash at", planned.write)
	default:
		return r.settles(&r.transition.want)()
	}
}

// inspectWreck looks at what a crash left behind: nobody may be harmed while no manager runs.
func (r *trial) inspectWreck() {
	r.t.Helper()
	f, err := r.find()
	r.Expect(err).NotTo(gomega.HaveOccurred())
	r.wreck = f
	r.witness.lookAt(r.ctx, r.name, "after the crash")
}

func (r *round) judge() {
	r.t.Helper()
	for _, trial := range r.trials {
		r.t.Run(trial.String(), func(t *testing.T) {
			if err := trial.verdict(); err != nil {
				t.Error(trial.explain(err.Error()))
			}
		})
	}
	r.t.Logf("%d trials over %d managers, %d writes, %d tokens judged by the witness",
		len(r.trials), r.managers, len(r.journal.where(func(*entry) bool { return true })), r.witness.judgements())
}

func (r *trial) explain(what string) string {
	return fmt.Sprintf("%s: %s\nwrites:\n%s\n%s", r, what, told(r.journal.of(r.name)[r.started:]), r.log.tail(r.name))
}
