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
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// TestCrashAtEveryWrite checks I1, I3 and I4 of docs/architecture.md: the manager crashes before and after every write of
// every transition, and the outcome is always the same.
func TestCrashAtEveryWrite(t *testing.T) {
	for _, group := range transitionGroups {
		t.Run(group.name, func(t *testing.T) { newCrashRun(t, group.transitions, false).run(group.jump) })
	}
}

// TestSoakCrashTwice adds a second crash, at the first write after the restart.
func TestSoakCrashTwice(t *testing.T) {
	if !soak() {
		t.Skip("set SOAK=true")
	}
	for _, group := range transitionGroups {
		t.Run(group.name, func(t *testing.T) { newCrashRun(t, group.transitions, true).run(group.jump) })
	}
}

// lookEvery is the time between two looks at the objects of a case. With more of them, the looks would be most of the work of the
// API server.
const lookEvery = 5 * harness.PollEvery

// crashRun runs many crash cases at once, with the same managers.
type crashRun struct {
	*fixture
	clock    *clocktesting.FakePassiveClock
	watcher  *invariantWatcher
	cases    []*crashCase
	managers int
}

func newCrashRun(t *testing.T, transitions []*transition, twice bool) *crashRun {
	t.Helper()
	clock := clocktesting.NewFakePassiveClock(time.Now())
	r := &crashRun{fixture: newFixture(t, clock), clock: clock, managers: 1}
	names := map[string]bool{}
	for _, transition := range transitions {
		if transition.needsOrphan && server.Existing() {
			continue
		}
		for _, crashes := range transition.crashPoints(twice) {
			c := &crashCase{fixture: r.fixture, transition: transition, name: harness.UniqueName("crash"), crashes: crashes}
			names[c.name] = true
			r.cases = append(r.cases, c)
			r.managers = max(r.managers, 1+len(crashes))
		}
	}
	r.watcher = r.startWatcher(func(namespace string) string {
		if names[namespace] {
			return namespace
		}
		return ""
	})
	for _, c := range r.cases {
		c.watcher = r.watcher
	}
	return r
}

// crashPoints returns all combinations of crashes to run, first the one without a crash.
func (tr *transition) crashPoints(twice bool) [][]crash {
	var earlier []crash
	if tr.earlierCrash.write > 0 {
		earlier = []crash{tr.earlierCrash}
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

func (r *crashRun) run(jump time.Duration) {
	r.T.Helper()
	wire, stop := r.startManagerWithCrashes(1)
	r.prepare()
	for _, c := range r.cases {
		r.arm(wire, c, 1)
	}
	r.clock.SetTime(r.clock.Now().Add(jump))
	inParallel(r.cases, func(c *crashCase) { c.transition.apply(c) })
	r.await(wire, 1)
	for manager := 2; manager <= r.managers; manager++ {
		stop()
		wire, stop = r.startManagerWithCrashes(manager)
		r.await(wire, manager)
	}
	for _, c := range r.cases {
		r.watcher.catchUp(c.name)
	}
	stop()
	r.report()
}

// startManagerWithCrashes starts the n-th manager, with the crashes that are planned for it.
func (r *crashRun) startManagerWithCrashes(manager int) (*wire, func()) {
	r.T.Helper()
	wire := newWire(r.journal, manager)
	wire.afterWrite = func(owner string) { r.watcher.verifyNamespace(r.Ctx, owner, "between two writes") }
	if manager > 1 {
		for _, c := range r.cases {
			r.arm(wire, c, manager)
		}
	}
	return wire, r.startManager(wire.wrap, func(o *controllers.Options) { o.ReissuePerSecond = 1000 })
}

func (r *crashRun) arm(wire *wire, c *crashCase, manager int) {
	if planned := c.crashOf(manager); planned.write > 0 {
		wire.arm(c.name, planned)
	}
}

// prepare brings all cases to the state in which their transition begins.
func (r *crashRun) prepare() {
	r.T.Helper()
	steps := 0
	inParallel(r.cases, func(c *crashCase) {
		transition := c.transition
		r.CreateNamespace(c.name, nil)
		if transition.issuerless {
			r.T.Cleanup(func() { r.RemoveIssuer(c.name) })
		} else {
			r.CreateIssuer(c.name, transition.issuer...)
		}
		if !transition.keyless {
			r.createKey(c.name, keyName, c.name, transition.key...)
		}
	})
	for _, c := range r.cases {
		steps = max(steps, len(c.transition.setup))
		r.Eventually(c.prepared, harness.Patience, lookEvery).Should(gomega.Succeed(), "%s: the objects are not prepared", c)
	}
	for i := range steps {
		for _, c := range r.cases {
			if i < len(c.transition.setup) {
				c.takeStep(c.transition.setup[i])
			}
		}
		for _, c := range r.cases {
			if i < len(c.transition.setup) {
				r.Eventually(c.hasOutcome(&c.transition.setup[i].want), harness.Patience, lookEvery).Should(gomega.Succeed(), "%s: setup step %d", c, i+1)
			}
		}
	}
	inParallel(r.cases, (*crashCase).recordStart)
}

// takeStep performs one setup step.
func (c *crashCase) takeStep(step step) {
	if step.refusesOld {
		held, err := c.tokenIn(c.name, keyName)
		c.Expect(err).NotTo(gomega.HaveOccurred())
		c.watcher.expectRefusal(token.Hash(held))
	}
	step.do(c)
}

// prepared returns nil once the issuer is ready and the refresh key has its initial outcome.
func (c *crashCase) prepared() error {
	if c.transition.issuerless {
		return nil
	}
	start := c.transition.created
	if start == nil {
		start = &outcome{advanced: 1, keyless: c.transition.keyless}
	}
	return c.hasOutcome(start)()
}

// hasOutcome returns a function that compares the cluster with an outcome.
func (c *crashCase) hasOutcome(want *outcome) func() error {
	return func() error {
		s, err := c.readState()
		if err != nil {
			return err
		}
		return want.matches(c, s)
	}
}

// recordStart stores the state before the transition, and tells the watcher what the transition revokes or
// damages.
func (c *crashCase) recordStart() {
	before, err := c.readState()
	c.Expect(err).NotTo(gomega.HaveOccurred())
	c.before, c.writesBefore = before, len(c.journal.ofOwner(c.name))
	if held := before.token(); held != "" && c.transition.refusesOld && !c.transition.refusesLate {
		c.watcher.expectRefusal(token.Hash(held))
	}
	if c.transition.removesToken && before.key != nil {
		c.watcher.expectDamage(clientKey(c.keyRef()), true)
	}
}

// await waits until each case has crashed as planned for this manager, or has its outcome. A case that
// takes too long gets its timeout set, which check reports.
func (r *crashRun) await(wire *wire, manager int) {
	waiting := r.cases
	_ = wait.PollUntilContextTimeout(r.Ctx, lookEvery, 2*harness.Patience, true, func(context.Context) (bool, error) {
		// Read only the first case that is not there yet.
		for len(waiting) > 0 && waiting[0].reached(wire, manager) == nil {
			waiting = waiting[1:]
		}
		return len(waiting) == 0, nil
	})
	for _, c := range waiting {
		if err := c.reached(wire, manager); err != nil {
			c.timeout = fmt.Errorf("manager %d, timeout: %w", manager, err)
		}
	}
	for _, c := range r.cases {
		if wire.crashed(c.name) {
			c.inspectAfterCrash()
		}
	}
}

// reached returns nil once the case has crashed as planned, or has its outcome.
func (c *crashCase) reached(wire *wire, manager int) error {
	planned := c.crashOf(manager)
	switch {
	case c.timeout != nil || (planned.write > 0 && wire.crashed(c.name)):
		return nil
	case planned.write > 0 && manager == 1:
		return fmt.Errorf("the manager made no write %d to crash at", planned.write)
	default:
		return c.hasOutcome(&c.transition.want)()
	}
}

// inspectAfterCrash stores the state after a crash, and checks that every token in a Secret is accepted
// while no manager runs.
func (c *crashCase) inspectAfterCrash() {
	c.T.Helper()
	s, err := c.readState()
	c.Expect(err).NotTo(gomega.HaveOccurred())
	c.afterCrash = s
	c.watcher.verifyNamespace(c.Ctx, c.name, "after the crash")
}

func (r *crashRun) report() {
	r.T.Helper()
	for _, c := range r.cases {
		r.T.Run(c.String(), func(t *testing.T) {
			if err := c.check(); err != nil {
				t.Error(c.explain(err.Error()))
			}
		})
	}
	r.T.Logf("%d cases, %d managers, %d writes, %d tokens verified by the watcher",
		len(r.cases), r.managers, len(r.journal.filter(func(*entry) bool { return true })), r.watcher.verifiedCount())
}

// explain adds the writes and the log of a case to a message.
func (c *crashCase) explain(what string) string {
	return fmt.Sprintf("%s: %s\nwrites:\n%s\n%s", c, what, formatEntries(c.journal.ofOwner(c.name)[c.writesBefore:]), c.log.tail(c.name))
}
