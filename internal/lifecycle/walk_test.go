package lifecycle

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// walkSteps is the number of actions in a life.
const walkSteps = 800

// TestWalk runs many keys through random lives and checks the rules after every write. The seed identifies a life:
// -run 'TestWalk/seed_17$' repeats one, and WALK_LIVES=20000 runs more of them.
func TestWalk(t *testing.T) {
	lives := walkLives
	if text := os.Getenv("WALK_LIVES"); text != "" {
		var err error
		if lives, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	results := make([]counts, lives)
	t.Run("lives", func(t *testing.T) {
		for seed := range lives {
			t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
				t.Parallel()
				w, err := live(uint64(seed), false)
				if err != nil {
					again, _ := live(uint64(seed), true)
					t.Fatalf("%v\n%s", err, strings.Join(last(again.trace, 60), "\n"))
				}
				results[seed] = w.counts
			})
		}
	})
	if !t.Failed() {
		checkCoverage(t, results)
	}
}

func last(lines []string, n int) []string { return lines[max(0, len(lines)-n):] }

// walkError is the violation of a rule.
type walkError string

func (w *simulation) fail(format string, args ...any) {
	panic(walkError(fmt.Sprintf(format, args...)))
}

// note records an action when a failed life is repeated.
func (w *simulation) note(format string, args ...any) {
	if w.tracing {
		w.trace = append(w.trace, fmt.Sprintf("%4d %10s  ", w.counts.steps, sinceT0(w.now))+fmt.Sprintf(format, args...))
	}
}

// live runs one life.
func live(seed uint64, tracing bool) (w *simulation, err error) {
	w = newSimulation(seed)
	w.tracing, w.unsteady = tracing, true
	defer func() {
		switch broken := recover().(type) {
		case nil:
		case walkError:
			err = fmt.Errorf("seed %d, step %d: %s", seed, w.counts.steps, broken)
		default:
			err = fmt.Errorf("seed %d, step %d: panic: %v\n%s", seed, w.counts.steps, broken, debug.Stack())
		}
	}()
	for range walkSteps {
		w.counts.steps++
		w.act()
		switch w.random.IntN(8) {
		case 0, 1, 2, 3:
			if _, err := w.reconcile(); err != nil && !errors.Is(err, errStopped) && !errors.Is(err, errConflict) && !errors.Is(err, errRefused) {
				w.fail("apply: %v", err)
			}
		case 4, 5:
			w.settle()
		default:
			// The manager does not run, or the next action happens before it reconciles.
		}
	}
	w.settle()
	return w, nil
}

// checkCoverage checks that the walks covered each check, each cause of a rotation and each reason at rest.
func checkCoverage(t *testing.T, results []counts) {
	t.Helper()
	total := counts{claims: map[string]int{}, checks: map[string]int{}, reasons: map[string]int{}, causes: map[Cause]int{}}
	for _, c := range results {
		total.steps += c.steps
		total.writes += c.writes
		total.stops += c.stops
		total.interferences += c.interferences
		total.settled += c.settled
		total.advances += c.advances
		addAll(total.claims, c.claims)
		addAll(total.checks, c.checks)
		addAll(total.reasons, c.reasons)
		addAll(total.causes, c.causes)
	}
	t.Logf("%d steps, %d writes, %d stops, %d interferences, %d times at rest, %d rotations\nchecks %v\nreasons %v\ncauses %v\nclaims %v",
		total.steps, total.writes, total.stops, total.interferences, total.settled, total.advances, total.checks, total.reasons, total.causes, total.claims)
	if total.steps == 0 {
		return
	}
	for _, check := range checks {
		// The controller does not issue sessions; they have a table of their own.
		if total.checks[check.name] == 0 && check.name != "key is being deleted" && !strings.HasPrefix(check.name, "session ") {
			t.Errorf("no walk reached the check %q", check.name)
		}
	}
	for _, outcome := range []string{claimed, forestalled, kept, retried, rolledOver, reused, refused} {
		if total.claims[outcome] == 0 {
			t.Errorf("no walk reached a one-time use that is %s", outcome)
		}
	}
	for _, reason := range []string{
		v1alpha1.ReasonIssued, v1alpha1.ReasonOverlapPending, v1alpha1.ReasonIssuerNotFound, v1alpha1.ReasonIssuerNotReady,
		v1alpha1.ReasonWaitingForSecret, v1alpha1.ReasonRevoked, v1alpha1.ReasonExpired, v1alpha1.ReasonPolicyDenied,
		v1alpha1.ReasonSecretConflict, v1alpha1.ReasonSecretImmutable, v1alpha1.ReasonInvalidSpec,
	} {
		if total.reasons[reason] == 0 {
			t.Errorf("no walk settled with %s", reason)
		}
	}
	for _, cause := range []Cause{CauseKeyWithdrawn, CauseDistrusted, CauseRotateNow, CauseRotate, CauseReinstated, CauseTokenLost, CauseSpecChanged, CauseRenewalDue} {
		if total.causes[cause] == 0 {
			t.Errorf("no walk minted a token for %s", cause)
		}
	}
}

func addAll[K comparable](to, from map[K]int) {
	for k, n := range from {
		to[k] += n
	}
}
