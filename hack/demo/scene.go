package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// step is one step of the demo.
type step struct {
	title string
	tell  func(*scene)
}

// scene is the state of the demo, which each step gets. Like a test with testing.T, a step ends at
// the first check that fails.
type scene struct {
	*page
	ctx     context.Context
	scratch string
	began   time.Time

	// stage is nil until the first step has set it.
	stage *stage
	// tokens are the tokens that the Secret held, by revision.
	tokens map[int64]string
	undo   []func(context.Context) error

	// costs are counted only in the demo's own cluster, since atRest; ownWrites are writes of the demo itself.
	costs     []cost
	atRest    writes
	ownWrites writes
}

// unmet is a check that failed.
type unmet struct{ what, wanted, seen string }

func (u *unmet) Error() string { return u.what }

// play runs the steps in their order, up to the first that fails.
func (s *scene) play(steps []step) error {
	for i, next := range steps {
		s.title(i+1, next.title)
		err := s.attempt(next.tell)
		if err == nil {
			continue
		}
		if errors.Is(s.ctx.Err(), context.Canceled) {
			return err
		}
		s.explain(err)
		if reached := i + 1; reached < len(steps) {
			s.say("Steps %d to %d were not run.", reached+1, len(steps))
		}
		return fmt.Errorf("step %d of %d (%s) failed: %w", i+1, len(steps), next.title, firstLine(err))
	}
	return nil
}

func firstLine(err error) error {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(line)
}

// ending is the panic value with which a step ends early. attempt recovers it.
type ending struct{ reason error }

func (s *scene) attempt(tell func(*scene)) (err error) {
	defer func() {
		switch early := recover().(type) {
		case nil:
		case ending:
			err = early.reason
		default:
			panic(early)
		}
	}()
	tell(s)
	return nil
}

// must ends the step if there is an error.
func (s *scene) must(err error) {
	if err != nil {
		panic(ending{err})
	}
}

// expect prints the check if it held, and otherwise ends the step.
func (s *scene) expect(held bool, what string, wanted, seen any) {
	if !held {
		s.must(&unmet{what: what, wanted: fmt.Sprint(wanted), seen: fmt.Sprint(seen)})
	}
	s.held("%s", what)
}

const (
	patience  = 30 * time.Second
	pollEvery = 5 * time.Millisecond
)

// until waits until look returns true, and returns how long that took. look also returns what it observed,
// for the report after a timeout.
func (s *scene) until(what, wanted string, look func() (seen string, held bool)) time.Duration {
	return s.untilWithin(patience, what, wanted, look)
}

func (s *scene) untilWithin(patience time.Duration, what, wanted string, look func() (seen string, held bool)) time.Duration {
	began := time.Now()
	for {
		seen, held := look()
		if held {
			return time.Since(began)
		}
		if s.stage.manager != nil && !s.stage.manager.Running() {
			s.must(&unmet{what: what, wanted: "a running manager", seen: "the manager has ended"})
		}
		if time.Since(began) > patience {
			s.must(&unmet{what: what, wanted: wanted + " within " + patience.String(), seen: seen})
		}
		select {
		case <-s.ctx.Done():
			s.must(context.Cause(s.ctx))
		case <-time.After(pollEvery):
		}
	}
}

// explain prints the details of a failed check.
func (s *scene) explain(err error) {
	s.gap()
	fmt.Fprintln(s.out, margin+s.styled(red, "FAILED"))
	var missed *unmet
	if errors.As(err, &missed) {
		const under = indented + "          "
		fmt.Fprintln(s.out, paragraph(missed.what, indented+"check     ", under))
		fmt.Fprintln(s.out, paragraph(missed.wanted, indented+"expected  ", under))
		fmt.Fprintln(s.out, paragraph(missed.seen, indented+"seen      ", under))
	} else {
		s.block(err.Error())
	}
	s.gap()
	if s.stage == nil {
		return
	}
	if log := s.stage.managerLog(s.ctx); log != "" {
		s.say("The end of the manager's log:")
		s.block(log)
		s.gap()
	}
}

// later registers a cleanup, which runs at the end in reverse order, also after a failure.
func (s *scene) later(undo func(context.Context) error) { s.undo = append(s.undo, undo) }

func (s *scene) cleanUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, cleansWithin)
	defer cancel()
	var failures []error
	for len(s.undo) > 0 {
		last := len(s.undo) - 1
		failures = append(failures, s.undo[last](ctx))
		s.undo = s.undo[:last]
	}
	return errors.Join(failures...)
}
