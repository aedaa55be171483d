package keyring

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// walk is one random life of an issuer: the clock moves, mostly on; the schedule changes; keys are withdrawn;
// tokens are signed at each stop.
type walk struct {
	t         *testing.T
	random    *rand.Rand
	factory   factory
	schedule  Schedule
	now       time.Time
	rings     *Rings
	withdrawn []string
	// expiry is the latest end of a token, by kid. Access tokens are held to it only while the clock has
	// not been set back, since nothing records them.
	expiry  map[Use]map[string]time.Time
	setBack bool
}

// TestAdvanceRandomWalk holds the rules over many lives. Each has its seed as name, to be run again alone.
func TestAdvanceRandomWalk(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := &walk{
				t: t, random: rand.New(rand.NewPCG(seed, 7)), schedule: baseSchedule(), now: t0,
				expiry: map[Use]map[string]time.Time{Refresh: {}, Access: {}},
			}
			for range 60 {
				w.move()
				w.advance()
				w.sign()
				if t.Failed() {
					t.Fatalf("schedule %+v, now %s\n%s\n%s", w.schedule, w.now.Sub(t0),
						w.factory.show(w.rings, Refresh), w.factory.show(w.rings, Access))
				}
			}
		})
	}
}

// move makes one change.
func (w *walk) move() {
	switch w.random.IntN(12) {
	case 0:
		w.now = w.now.Add(time.Duration(w.random.Int64N(int64(2000 * time.Hour))))
	case 1:
		w.now = w.now.Add(-time.Duration(w.random.Int64N(int64(40 * time.Hour))))
		w.setBack = true
	case 2:
		w.schedule.RotateAfter = time.Duration(1 + w.random.Int64N(int64(200*time.Hour)))
	case 3:
		w.schedule.Prepublish = time.Duration(w.random.Int64N(int64(20 * time.Hour)))
	case 4:
		// The longest lives of sign are below the shortest keep, as callers must see to.
		w.schedule.RefreshKeep = 40*time.Hour + time.Duration(w.random.Int64N(int64(100*time.Hour)))
		w.schedule.AccessKeep = 2*time.Hour + time.Duration(w.random.Int64N(int64(3*time.Hour)))
	case 5:
		w.schedule.Algorithm = []Algorithm{ES256, EdDSA}[w.random.IntN(2)]
		w.schedule.Seals, w.schedule.SealKeep = w.random.IntN(2) == 0, time.Hour
	case 6:
		keys := w.rings.Keys()
		for range min(len(keys), 1+w.random.IntN(3)) {
			w.withdrawn = append(w.withdrawn, keys[w.random.IntN(len(keys))].ID)
		}
	case 7:
		w.withdrawn = nil
		if w.rings != nil && w.random.IntN(3) == 0 {
			for _, key := range w.rings.Keys() {
				w.withdrawn = append(w.withdrawn, key.ID)
			}
			w.rings = GivenUp()
		}
	case 8, 9:
		if w.rings != nil {
			w.now = later(w.now, w.rings.NextChange(w.schedule, w.now))
		}
	default:
		w.now = w.now.Add(time.Duration(w.random.Int64N(int64(30 * time.Hour))))
	}
}

// inUseUntil knows refresh tokens only, as in life.
func (w *walk) inUseUntil(use Use, kid string) time.Time {
	if use == Access {
		return time.Time{}
	}
	return w.expiry[use][kid]
}

func (w *walk) try(rings *Rings, now time.Time) *Rings {
	w.t.Helper()
	next, err := Advance(rings, w.schedule, w.withdrawn, w.inUseUntil, now, w.factory.generate)
	if err != nil {
		w.t.Fatal(err)
	}
	return next
}

func (w *walk) advance() {
	before := w.rings
	kept := before.Keys()
	w.rings = w.try(before, w.now)
	if !slices.EqualFunc(kept, before.Keys(), Key.Equal) {
		w.t.Error("Advance changed its argument")
	}
	if w.try(w.rings, w.now) != w.rings {
		w.t.Error("a second Advance at the same time changed something")
	}
	w.checkShape()
	for _, use := range []Use{Refresh, Access} {
		w.checkAdded(before, use)
		w.checkRemoved(before, use)
	}
	w.checkTokens()
	w.checkNextChange()
	if w.random.IntN(4) == 0 {
		w.checkRoundTrip()
	}
}

func (w *walk) checkShape() {
	counts := map[string]int{}
	ids := map[string]bool{}
	for _, key := range w.rings.Keys() {
		counts[string(key.Use)+string(key.State)]++
		if ids[key.ID] {
			w.t.Errorf("kid %s twice", key.ID)
		}
		ids[key.ID] = true
		if slices.Contains(w.withdrawn, key.ID) {
			w.t.Errorf("%s is withdrawn and still there", key)
		}
		for _, at := range []time.Time{key.CreatedAt, key.ActiveAt, key.RetireAt} {
			if at.Nanosecond() != 0 || at.Location() != time.UTC {
				w.t.Errorf("%s has the time %s", key, at)
			}
		}
		if key.State == Pending && key.Algorithm != w.schedule.of(key.Use).Algorithm {
			if _, err := w.rings.Signer(key.Use); err == nil {
				w.t.Errorf("%s is not of the algorithm %s", key, w.schedule.Algorithm)
			}
		}
	}
	for _, use := range []Use{Refresh, Access} {
		if n := counts[string(use)+string(Pending)]; n != 1 {
			w.t.Errorf("%d pending %s keys", n, use)
		}
		if n := counts[string(use)+string(Active)]; n > 1 || n == 0 && use == Refresh {
			w.t.Errorf("%d active %s keys", n, use)
		}
	}
	want := 0
	if w.schedule.Seals {
		want = 1
	}
	for _, state := range []State{Active, Pending} {
		if n := counts[string(Seal)+string(state)]; n != want {
			w.t.Errorf("%d %s seal keys, want %d", n, state, want)
		}
	}
}

// checkAdded looks at what one Advance has put into a ring.
func (w *walk) checkAdded(before *Rings, use Use) {
	retired := 0
	for _, key := range w.rings.of(use) {
		old, existed := before.Lookup(use, key.ID)
		if !existed && !key.CreatedAt.Equal(wholeSecond(w.now)) {
			w.t.Errorf("%s was made at %s", key, key.CreatedAt)
		}
		if key.State == Retiring && (!existed || old.State != Retiring) {
			retired++
			if !existed || old.State != Active || key.RetireAt.Before(wholeSecond(w.now).Add(w.schedule.keep(use))) {
				w.t.Errorf("%s began to retire, until %s", key, key.RetireAt)
			}
		}
		if key.State == Retiring && existed && old.State == Retiring && key.RetireAt.Before(old.RetireAt) {
			w.t.Errorf("%s is to go earlier than was said", key)
		}
		if key.State == Active && (!existed || old.State != Active) {
			w.checkActivation(before, key)
		}
	}
	if retired > 1 {
		w.t.Errorf("%d %s keys began to retire at once", retired, use)
	}
}

func (w *walk) checkActivation(before *Rings, key Key) {
	waited := !wholeSecond(w.now).Before(key.CreatedAt.Add(w.schedule.wholeSeconds().Prepublish))
	firstEver := before == nil
	old, err := before.Signer(key.Use)
	lost := err != nil || slices.Contains(w.withdrawn, old.ID)
	if !waited && !firstEver && (key.Use != Refresh || !lost) {
		w.t.Errorf("%s signs before it was published for long enough", key)
	}
	if !firstEver && !waited && key.Use == Access {
		w.t.Errorf("%s: the access ring did not wait", key)
	}
}

// checkRemoved looks at what one Advance has taken out of a ring.
func (w *walk) checkRemoved(before *Rings, use Use) {
	now := wholeSecond(w.now)
	for _, old := range before.of(use) {
		if _, ok := w.rings.Lookup(use, old.ID); ok || slices.Contains(w.withdrawn, old.ID) {
			continue
		}
		switch old.State {
		case Retiring:
			if now.Before(old.RetireAt) || w.inUseUntil(use, old.ID).After(now) {
				w.t.Errorf("%s is gone before %s and its last use", old, old.RetireAt)
			}
		case Pending:
			if old.Algorithm == w.schedule.Algorithm {
				w.t.Errorf("%s is gone for no reason", old)
			}
		case Active:
			w.t.Errorf("%s is gone and was not withdrawn", old)
		}
	}
}

// sign notes a token of each ring that lives as long as the keep times allow.
func (w *walk) sign() {
	for use, life := range map[Use]time.Duration{Refresh: 40 * time.Hour, Access: 2 * time.Hour} {
		if key, err := w.rings.Signer(use); err == nil {
			w.expiry[use][key.ID] = later(w.expiry[use][key.ID], w.now.Add(life).Truncate(time.Second))
		}
	}
}

// checkTokens: a token that has not expired can be verified, unless its key was withdrawn.
func (w *walk) checkTokens() {
	for use, expiries := range w.expiry {
		for kid, expiry := range expiries {
			if _, ok := w.rings.Lookup(use, kid); ok {
				continue
			}
			if expiry.After(w.now) && !slices.Contains(w.withdrawn, kid) && (use == Refresh || !w.setBack) {
				w.t.Errorf("key %d is gone and its token lives until %s", w.factory.numbers[kid], expiry.Sub(t0))
			}
			delete(expiries, kid)
		}
	}
}

func (w *walk) checkNextChange() {
	next := w.rings.NextChange(w.schedule, w.now)
	if !next.After(wholeSecond(w.now)) {
		w.t.Fatalf("next change at %s, and Advance was just called", next.Sub(t0))
	}
	for _, early := range []time.Duration{1, time.Second} {
		if w.try(w.rings, next.Add(-early)) != w.rings {
			w.t.Errorf("Advance changed something %s before %s", early, next.Sub(t0))
		}
	}
	if w.try(w.rings, next).Equal(w.rings) {
		w.t.Errorf("Advance changed nothing at %s", next.Sub(t0))
	}
}

func (w *walk) checkRoundTrip() {
	data, err := Encode(w.rings)
	if err != nil {
		w.t.Fatal(err)
	}
	decoded, err := Decode(data)
	if err != nil {
		w.t.Fatal(err)
	}
	if !decoded.Equal(w.rings) {
		w.t.Errorf("decoded to %v", decoded)
	}
}
