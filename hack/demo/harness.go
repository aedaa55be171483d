package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/test/framework/acceptance"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

// harness is the cluster of the demo and the state that its steps share. Like a test with testing.T, a step ends at
// the first check that fails.
type harness struct {
	*page
	ctx     context.Context
	scratch string
	began   time.Time
	undo    []func(context.Context) error

	// kubectl is the path of kubectl, with its flags.
	kubectl []string
	// client and verifier read from the API server without a cache.
	client   client.Client
	verifier acceptance.Verifier
	// issuer and namespace are those of the demo's key.
	issuer, namespace string
	// replicas are the URLs of the token service, and http trusts its certificate. They are empty in an existing cluster,
	// where the token service may be reachable only from inside.
	replicas []string
	http     *http.Client
	// manager is nil if the demo did not start it.
	manager *cluster.Process
	// tokens are the tokens that the Secret held, by revision.
	tokens map[int64]string
}

// step is one step of the demo.
type step struct {
	title string
	run   func(*harness)
}

// unmet is a check that failed.
type unmet struct{ what, wanted, seen string }

func (u *unmet) Error() string { return u.what }

// play runs the steps in their order, up to the first that fails.
func (h *harness) play(steps []step) error {
	fmt.Fprintln(h.out, h.styled(bold, "Refresh Keys: the life of a refresh token"))
	h.last = paragraphs
	h.say("A JWTRefreshKey defines the audience and the lifetime of a refresh token. The operator issues the token " +
		"into a Secret, replaces it before it expires, and revokes it on request. This demo runs on a real API " +
		"server while you read. A line that begins with \"ok\" is a check that passed; the first check that fails " +
		"ends the demo, and make fails.")
	for i, next := range steps {
		h.title(i+1, next.title)
		err := h.attempt(next.run)
		if err == nil {
			continue
		}
		if !errors.Is(h.ctx.Err(), context.Canceled) {
			h.explain(err)
		}
		return fmt.Errorf("step %d of %d (%s) failed: %w", i+1, len(steps), next.title, err)
	}
	return nil
}

// ending is the panic value with which a step ends early. attempt recovers it.
type ending struct{ reason error }

func (h *harness) attempt(run func(*harness)) (err error) {
	defer func() {
		switch early := recover().(type) {
		case nil:
		case ending:
			err = early.reason
		default:
			panic(early)
		}
	}()
	run(h)
	return nil
}

// must ends the step if there is an error.
func (h *harness) must(err error) {
	if err != nil {
		panic(ending{err})
	}
}

// expect prints the check if it held, and otherwise ends the step.
func (h *harness) expect(held bool, what string, wanted, seen any) {
	if !held {
		h.must(&unmet{what: what, wanted: fmt.Sprint(wanted), seen: fmt.Sprint(seen)})
	}
	h.held("%s", what)
}

const (
	patience  = 30 * time.Second
	pollEvery = 5 * time.Millisecond
)

// until waits until look returns true, and returns how long that took. look also returns what it observed,
// for the report after a timeout.
func (h *harness) until(what, wanted string, look func() (seen string, held bool)) time.Duration {
	began := time.Now()
	for {
		seen, held := look()
		if held {
			return time.Since(began)
		}
		if h.manager != nil && !h.manager.Running() {
			h.must(&unmet{what: what, wanted: "a running manager", seen: "the manager has ended"})
		}
		if time.Since(began) > patience {
			h.must(&unmet{what: what, wanted: wanted + " within " + patience.String(), seen: seen})
		}
		select {
		case <-h.ctx.Done():
			h.must(context.Cause(h.ctx))
		case <-time.After(pollEvery):
		}
	}
}

// explain prints the details of a failed check, with the end of the manager's log.
func (h *harness) explain(err error) {
	h.print(paragraphs, margin+h.styled(red, "FAILED"))
	var missed *unmet
	if errors.As(err, &missed) {
		h.block("check     " + missed.what + "\nexpected  " + missed.wanted + "\nseen      " + missed.seen)
	} else {
		h.block(err.Error())
	}
	if h.manager == nil {
		return
	}
	if content, err := os.ReadFile(h.manager.LogPath()); err == nil {
		const last = 15
		lines := strings.Split(strings.TrimSpace(string(content)), "\n")
		h.say("The end of the manager's log:")
		h.block(strings.Join(lines[max(0, len(lines)-last):], "\n"))
	}
}

// run runs kubectl with an input, and returns its output. The error contains kubectl's error output.
func (h *harness) run(input string, args ...string) (string, error) {
	command := exec.CommandContext(h.ctx, h.kubectl[0], append(h.kubectl[1:len(h.kubectl):len(h.kubectl)], args...)...)
	command.Dir = h.scratch
	// The user's kuberc must not change the output.
	command.Env = append(os.Environ(), "KUBERC=off", "KUBECTL_KUBERC=false")
	command.Stdin = strings.NewReader(input)
	var out, complaint strings.Builder
	command.Stdout, command.Stderr = &out, &complaint
	if err := command.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w\n%s", args[0], err, strings.TrimSpace(complaint.String()))
	}
	return out.String(), nil
}

// show prints a kubectl command as a user would type it, runs it and prints its output.
func (h *harness) show(args ...string) {
	words := []string{"kubectl"}
	for _, arg := range args {
		if flag, value, found := strings.Cut(arg, "="); found && strings.ContainsAny(value, `{}" `) {
			arg = flag + "='" + value + "'"
		}
		words = append(words, arg)
	}
	h.command(words...)
	out, err := h.run("", args...)
	h.must(err)
	h.block(out)
}

// later registers a cleanup, which runs at the end in reverse order, also after a failure.
func (h *harness) later(undo func(context.Context) error) { h.undo = append(h.undo, undo) }

func (h *harness) cleanUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, cleansWithin)
	defer cancel()
	var failures []error
	for ; len(h.undo) > 0; h.undo = h.undo[:len(h.undo)-1] {
		failures = append(failures, h.undo[len(h.undo)-1](ctx))
	}
	return errors.Join(failures...)
}
