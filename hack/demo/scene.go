package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// step is one chapter of the story.
type step struct {
	title string
	tell  func(*scene)
}

// scene is what a step works with. As with a testing.T, a step ends where something
// does not hold.
type scene struct {
	*page
	ctx     context.Context
	scratch string
	began   time.Time

	// stage is nil until the first step has found it.
	stage *stage
	// tokens are those that the Secret held, by revision.
	tokens map[int64]string
	undo   []func(context.Context) error

	// costs are metered in a cluster of ours only, from atRest on; ownWrites are not the operator's.
	costs     []cost
	atRest    writes
	ownWrites writes
}

// unmet is something that did not hold.
type unmet struct{ what, wanted, seen string }

func (u *unmet) Error() string { return u.what }

// play tells the steps in turn, and no further than the first that does not hold.
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
			s.say("The steps from %d to %d were not tried.", reached+1, len(steps))
		}
		return fmt.Errorf("step %d of %d (%s) did not hold: %w", i+1, len(steps), next.title, firstLine(err))
	}
	return nil
}

func firstLine(err error) error {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(line)
}

// ending carries the reason for which a step ends early from where it is found to attempt.
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

// must ends the step when there is an error.
func (s *scene) must(err error) {
	if err != nil {
		panic(ending{err})
	}
}

// expect prints the check when it held, and ends the step when it did not.
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

// until waits until something holds and returns how long that took. The look also says what
// it saw, for the report of one that never held.
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
			s.must(&unmet{what: what, wanted: "a manager that goes on running", seen: "the manager has ended"})
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

// explain tells of what did not hold all that is known.
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

// later is done at the end, in reverse order, however the story goes.
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
