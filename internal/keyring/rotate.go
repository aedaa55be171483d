package keyring

import (
	"crypto"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Advance returns the rings at now. It is a pure function except for generate, does not change its
// arguments, and can be called at any time and any number of times: if nothing is due it returns
// r itself. A late call rotates only once.
//
// r is nil if there were no keys yet. Each ring then begins with an Active key, because no verifier can have a
// cached key set. If there were keys and they are lost permanently, r is GivenUp(): verifiers have cached a key
// set without the new keys, so the rings begin as after a withdrawal. From then on a ring always has one
// Pending key, which signs no earlier than s.Prepublish after its creation. Its ActiveAt is the planned time; a
// changed schedule moves it. A changed algorithm replaces the Pending key, and the new one becomes Active as
// soon as it has been published for s.Prepublish.
//
// The seal ring exists only while s.Seals is set, and afterwards until its last key has retired. It begins with an Active key whenever it has
// neither an Active nor a Pending one.
//
// withdrawn lists the kids of withdrawn keys. Advance removes them at once. If the Active key is
// among them, the Pending one replaces it: in the refresh and seal rings at once, because replicas read them again
// for an unknown kid; in the access ring when it has been published for s.Prepublish, and until
// then the ring has no Active key. In such a gap the Pending key keeps its algorithm regardless of s, because
// a new one would make the gap longer. If its CreatedAt is in the future, because a clock was wrong,
// withdraw it too. Unknown kids are ignored, so the list can be passed repeatedly.
//
// inUseUntil returns until when a token of a key can still be accepted, including clock skew; zero
// if none can. Advance calls it when the removal of a Retiring key is due, and delays the removal. It can be nil.
//
// generate returns a private key; use Generate outside of tests. now is truncated to whole seconds.
//
// Errors: a Schedule or a now out of bounds, a failed generate, or a generated key that is unfit or not
// new. r stays unchanged.
func Advance(
	r *Rings,
	s Schedule,
	withdrawn []string,
	inUseUntil func(use Use, kid string) time.Time,
	now time.Time,
	generate func(Algorithm) (crypto.Signer, error),
) (*Rings, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	now = wholeSecond(now)
	if !saneTime(now) {
		return nil, errors.New("keyring: the clock is out of bounds")
	}
	step := advance{
		withdrawn: withdrawn, inUseUntil: inUseUntil, now: now, generate: generate,
		taken: slices.Clone(withdrawn),
	}
	for _, key := range r.all() {
		step.taken = append(step.taken, key.ID)
	}
	var keys []Key
	for _, use := range uses {
		step.schedule = s.wholeSeconds().of(use)
		ring := splitRing(use, r.of(use))
		if use == Seal && !s.Seals {
			step.end(ring)
		} else if err := step.ring(ring, r == nil || (use == Seal && ring.isOver())); err != nil {
			return nil, err
		}
		keys = append(keys, ring.keys()...)
	}
	next := newRings(keys)
	if next.Equal(r) {
		return r, nil
	}
	return next, nil
}

// NextChange returns the next time at which Advance, with the same schedule and the same withdrawn keys, changes
// the rings; now, truncated to whole seconds, if a change is due. Call Advance then, not at a fixed interval.
// It returns zero, for never, if s is out of bounds.
func (r *Rings) NextChange(s Schedule, now time.Time) time.Time {
	if s.Validate() != nil {
		return time.Time{}
	}
	s, now = s.wholeSeconds(), wholeSecond(now)
	next := time.Time{}
	for _, use := range uses {
		ring := splitRing(use, r.of(use))
		if use == Seal && !s.Seals && len(ring.keys()) == 0 {
			continue
		}
		at, settled := ring.nextChange(s.of(use))
		if !settled || !at.After(now) {
			return now
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

// ring is a mutable copy of one ring, by state. active and pending are nil if there is none.
type ring struct {
	use             Use
	active, pending *Key
	retiring        []Key
}

func splitRing(use Use, keys []Key) *ring {
	g := &ring{use: use}
	for _, key := range keys {
		switch key.State {
		case Active:
			g.active = &key
		case Pending:
			g.pending = &key
		case Retiring:
			g.retiring = append(g.retiring, key)
		}
	}
	return g
}

// isOver reports whether no key of the ring seals, now or later.
func (g *ring) isOver() bool { return g.active == nil && g.pending == nil }

func (g *ring) keys() []Key {
	keys := slices.Clone(g.retiring)
	for _, key := range []*Key{g.active, g.pending} {
		if key != nil {
			keys = append(keys, *key)
		}
	}
	return keys
}

// plannedAt returns when the Pending key becomes the Active one.
func (g *ring) plannedAt(s Schedule) time.Time {
	at := g.pending.CreatedAt.Add(s.Prepublish)
	if g.active != nil && g.active.Algorithm == s.Algorithm {
		at = later(at, g.dueAt(s))
	}
	// The next Pending key is created at the same time and needs room.
	if len(g.keys())+1 > most(g.use) {
		earliest := slices.MinFunc(g.retiring, func(a, b Key) int { return a.RetireAt.Compare(b.RetireAt) })
		at = later(at, earliest.RetireAt)
	}
	return at
}

// dueAt returns when the rotation of the Active key is due. A key that replaces another because of Asked begins to
// sign at Asked or later, so that one request causes one rotation.
func (g *ring) dueAt(s Schedule) time.Time {
	due := g.active.ActiveAt.Add(s.RotateAfter)
	if asked := wholeSecond(s.Asked); g.active.ActiveAt.Before(asked) && asked.Before(due) {
		return asked
	}
	return due
}

// nextChange returns when time alone changes the ring; settled is false if a change is due at any time.
func (g *ring) nextChange(s Schedule) (at time.Time, settled bool) {
	switch {
	case g.use == Seal && !s.Seals && g.isOver():
		return slices.MinFunc(g.retiring, func(a, b Key) int { return a.RetireAt.Compare(b.RetireAt) }).RetireAt, true
	case g.use == Seal && !s.Seals,
		g.pending == nil,
		g.active == nil && g.use != Access,
		g.active != nil && g.pending.Algorithm != s.Algorithm,
		!g.pending.ActiveAt.Equal(g.plannedAt(s)):
		return time.Time{}, false
	}
	at = g.pending.ActiveAt
	for _, key := range g.retiring {
		if key.RetireAt.Before(at) {
			at = key.RetireAt
		}
	}
	return at, true
}

// advance is one call of Advance: its arguments, and the kids that a new key cannot have.
type advance struct {
	schedule   Schedule
	withdrawn  []string
	inUseUntil func(Use, string) time.Time
	now        time.Time
	generate   func(Algorithm) (crypto.Signer, error)
	taken      []string
}

// ring takes the steps in an order that matters: what is withdrawn or over goes first, since it makes room, and
// the algorithm is looked at before a rotation, so that no key of the old one begins to sign.
func (a *advance) ring(g *ring, first bool) error {
	a.dropWithdrawn(g)
	a.dropRetired(g)
	steps := []func(*ring) error{a.fill, a.takeOver, a.changeAlgorithm, a.rotate}
	if first {
		steps = []func(*ring) error{a.fill, a.activate}
	}
	for _, step := range steps {
		if err := step(g); err != nil {
			return err
		}
	}
	// Again, for a key that began to retire in this call and is kept for zero time.
	a.dropRetired(g)
	g.pending.ActiveAt = g.plannedAt(a.schedule)
	return nil
}

// end retires the keys of a ring that is not wanted any more: what they sealed still opens.
func (a *advance) end(g *ring) {
	a.dropWithdrawn(g)
	if g.active != nil {
		a.retire(g)
	}
	g.active, g.pending = nil, nil
	a.dropRetired(g)
}

func (a *advance) dropWithdrawn(g *ring) {
	gone := func(key Key) bool { return slices.Contains(a.withdrawn, key.ID) }
	if g.active != nil && gone(*g.active) {
		g.active = nil
	}
	if g.pending != nil && gone(*g.pending) {
		g.pending = nil
	}
	g.retiring = slices.DeleteFunc(g.retiring, gone)
}

func (a *advance) dropRetired(g *ring) {
	var kept []Key
	for _, key := range g.retiring {
		if !a.now.Before(key.RetireAt) {
			until := a.usedUntil(key)
			if !until.After(a.now) {
				continue
			}
			key.RetireAt = until
		}
		kept = append(kept, key)
	}
	g.retiring = kept
}

func (a *advance) usedUntil(key Key) time.Time {
	if a.inUseUntil == nil {
		return time.Time{}
	}
	// Rounded up: a key must not be removed while one of its tokens is valid.
	return wholeSecond(a.inUseUntil(key.Use, key.ID).Add(time.Second - 1))
}

// fill creates a Pending key if there is none. The end of the call sets its ActiveAt.
func (a *advance) fill(g *ring) error {
	if g.pending != nil {
		return nil
	}
	signer, err := a.generate(a.schedule.Algorithm)
	if err != nil {
		return fmt.Errorf("keyring: generate a key for %s: %w", a.schedule.Algorithm, err)
	}
	key, err := newKey(g.use, a.schedule.Algorithm, signer)
	if err != nil {
		return fmt.Errorf("keyring: the key generated for %s %w", a.schedule.Algorithm, err)
	}
	if slices.Contains(a.taken, key.ID) {
		return errors.New("keyring: generate made a key that was there already")
	}
	a.taken = append(a.taken, key.ID)
	key.State, key.CreatedAt = Pending, a.now
	g.pending = &key
	return nil
}

// activate makes the Pending key Active, and creates the next one. CreatedAt is in the future only if a
// clock was set back.
func (a *advance) activate(g *ring) error {
	g.active, g.pending = g.pending, nil
	g.active.State, g.active.ActiveAt = Active, later(a.now, g.active.CreatedAt)
	return a.fill(g)
}

// takeOver replaces a withdrawn Active key.
func (a *advance) takeOver(g *ring) error {
	if g.active != nil {
		return nil
	}
	if g.use == Access && a.now.Before(g.plannedAt(a.schedule)) {
		return nil
	}
	return a.activate(g)
}

func (a *advance) changeAlgorithm(g *ring) error {
	if g.active == nil || g.pending.Algorithm == a.schedule.Algorithm {
		return nil
	}
	g.pending = nil
	return a.fill(g)
}

func (a *advance) rotate(g *ring) error {
	if g.active == nil || a.now.Before(g.plannedAt(a.schedule)) {
		return nil
	}
	a.retire(g)
	return a.activate(g)
}

// retire begins to retire the Active key.
func (a *advance) retire(g *ring) {
	old := *g.active
	old.State = Retiring
	// After a clock was set back, its tokens can expire later than a calculation from now gives.
	old.RetireAt = later(a.now, old.ActiveAt).Add(a.schedule.keep(g.use))
	g.retiring = append(g.retiring, old)
}

// later returns the later of two times, as lifecycle.Later does, which this package does not import.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func wholeSecond(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
