package keyring

import (
	"crypto"
	"errors"
	"strings"
	"testing"
	"time"
)

// step is one call of Advance, and what both rings should be after it. Keys are named by number, in the
// order in which they were made: the first call makes 1 (active) and 2 in the refresh ring, 3 (active)
// and 4 in the access ring. Times are hours from t0.
type step struct {
	at       time.Duration
	schedule func(*Schedule) // changes it from here on
	withdraw []int
	inUse    map[int]time.Duration
	refresh  string
	access   string
}

const (
	firstRefresh = "1 active 0h, 2 pending 100h"
	firstAccess  = "3 active 0h, 4 pending 100h"
)

var advanceCases = []struct {
	name  string
	steps []step
}{
	{"first ever: one key signs at once, the next one is published", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 0, refresh: firstRefresh, access: firstAccess},
	}},
	{"first ever with a prepublish longer than the rotation: the plan waits for it", []step{
		{at: 0, schedule: func(s *Schedule) { s.Prepublish = 150 * time.Hour },
			refresh: "1 active 0h, 2 pending 150h", access: "3 active 0h, 4 pending 150h"},
	}},
	{"nothing is due: nothing changes", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 99*time.Hour + 59*time.Minute + 59*time.Second, refresh: firstRefresh, access: firstAccess},
	}},
	{"rotation: the pending key signs, the old one is kept, a new one is published", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 100 * time.Hour,
			refresh: "1 retiring 150h, 2 active 100h, 5 pending 200h", access: "3 retiring 102h, 4 active 100h, 6 pending 200h"},
	}},
	{"rotation looked at late: counted from now", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 130 * time.Hour,
			refresh: "1 retiring 180h, 2 active 130h, 5 pending 230h", access: "3 retiring 132h, 4 active 130h, 6 pending 230h"},
	}},
	{"long downtime: one rotation, no storm", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 5000 * time.Hour,
			refresh: "1 retiring 5050h, 2 active 5000h, 5 pending 5100h", access: "3 retiring 5002h, 4 active 5000h, 6 pending 5100h"},
		{at: 5000 * time.Hour,
			refresh: "1 retiring 5050h, 2 active 5000h, 5 pending 5100h", access: "3 retiring 5002h, 4 active 5000h, 6 pending 5100h"},
	}},
	{"a retiring key is removed when its time is over", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 100 * time.Hour,
			refresh: "1 retiring 150h, 2 active 100h, 5 pending 200h", access: "3 retiring 102h, 4 active 100h, 6 pending 200h"},
		{at: 102*time.Hour - time.Second,
			refresh: "1 retiring 150h, 2 active 100h, 5 pending 200h", access: "3 retiring 102h, 4 active 100h, 6 pending 200h"},
		{at: 102 * time.Hour, refresh: "1 retiring 150h, 2 active 100h, 5 pending 200h", access: "4 active 100h, 6 pending 200h"},
		{at: 150 * time.Hour, refresh: "2 active 100h, 5 pending 200h", access: "4 active 100h, 6 pending 200h"},
	}},
	{"a retiring key in use stays until it is not", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 100 * time.Hour,
			refresh: "1 retiring 150h, 2 active 100h, 5 pending 200h", access: "3 retiring 102h, 4 active 100h, 6 pending 200h"},
		{at: 150 * time.Hour, inUse: map[int]time.Duration{1: 170 * time.Hour},
			refresh: "1 retiring 170h, 2 active 100h, 5 pending 200h", access: "4 active 100h, 6 pending 200h"},
		{at: 170 * time.Hour, inUse: map[int]time.Duration{1: 170 * time.Hour},
			refresh: "2 active 100h, 5 pending 200h", access: "4 active 100h, 6 pending 200h"},
	}},
	{"a use that ends within a second keeps the key for the whole of it", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 100 * time.Hour,
			refresh: "1 retiring 150h, 2 active 100h, 5 pending 200h", access: "3 retiring 102h, 4 active 100h, 6 pending 200h"},
		{at: 150 * time.Hour, inUse: map[int]time.Duration{1: 150*time.Hour + 1},
			refresh: "1 retiring 150h0m1s, 2 active 100h, 5 pending 200h", access: "4 active 100h, 6 pending 200h"},
	}},
	{"a use that ended before the key was due changes nothing", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 100 * time.Hour,
			refresh: "1 retiring 150h, 2 active 100h, 5 pending 200h", access: "3 retiring 102h, 4 active 100h, 6 pending 200h"},
		{at: 199 * time.Hour, inUse: map[int]time.Duration{1: 160 * time.Hour},
			refresh: "2 active 100h, 5 pending 200h", access: "4 active 100h, 6 pending 200h"},
	}},
	{"keep of zero: the old key goes at once", []step{
		{at: 0, schedule: func(s *Schedule) { s.RefreshKeep, s.AccessKeep = 0, 0 }, refresh: firstRefresh, access: firstAccess},
		{at: 100 * time.Hour, refresh: "2 active 100h, 5 pending 200h", access: "4 active 100h, 6 pending 200h"},
	}},
	{"keep of zero, in use: the old key stays until then", []step{
		{at: 0, schedule: func(s *Schedule) { s.RefreshKeep, s.AccessKeep = 0, 0 }, refresh: firstRefresh, access: firstAccess},
		{at: 100 * time.Hour, inUse: map[int]time.Duration{1: 120 * time.Hour, 3: 100 * time.Hour},
			refresh: "1 retiring 120h, 2 active 100h, 5 pending 200h", access: "4 active 100h, 6 pending 200h"},
	}},
	{"shortened rotation: the plan moves, and what is overdue happens", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 10 * time.Hour, schedule: func(s *Schedule) { s.RotateAfter = 20 * time.Hour },
			refresh: "1 active 0h, 2 pending 20h", access: "3 active 0h, 4 pending 20h"},
		{at: 11 * time.Hour, schedule: func(s *Schedule) { s.RotateAfter = 5 * time.Hour },
			refresh: "1 retiring 61h, 2 active 11h, 5 pending 16h", access: "3 retiring 13h, 4 active 11h, 6 pending 16h"},
	}},
	{"lengthened rotation: the plan moves", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 99 * time.Hour, schedule: func(s *Schedule) { s.RotateAfter = 300 * time.Hour },
			refresh: "1 active 0h, 2 pending 300h", access: "3 active 0h, 4 pending 300h"},
		{at: 100 * time.Hour, refresh: "1 active 0h, 2 pending 300h", access: "3 active 0h, 4 pending 300h"},
	}},
	{"lengthened prepublish holds a rotation back, shortened lets it go", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 100 * time.Hour, schedule: func(s *Schedule) { s.Prepublish = 120 * time.Hour },
			refresh: "1 active 0h, 2 pending 120h", access: "3 active 0h, 4 pending 120h"},
		{at: 101 * time.Hour, schedule: func(s *Schedule) { s.Prepublish = time.Hour },
			refresh: "1 retiring 151h, 2 active 101h, 5 pending 201h", access: "3 retiring 103h, 4 active 101h, 6 pending 201h"},
	}},
	{"parts of a second in the schedule are rounded up", []step{
		{at: 0, schedule: func(s *Schedule) { s.RotateAfter = 100*time.Hour + time.Millisecond },
			refresh: "1 active 0h, 2 pending 100h0m1s", access: "3 active 0h, 4 pending 100h0m1s"},
	}},
	{"parts of a second in the clock are cut off", []step{
		{at: time.Second - 1, refresh: firstRefresh, access: firstAccess},
		{at: 100*time.Hour - 1, refresh: firstRefresh, access: firstAccess},
	}},
	{"changed algorithm: another pending key, which signs as soon as it was published for long enough", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 10 * time.Hour, schedule: func(s *Schedule) { s.Algorithm = ES256 },
			refresh: "1 active 0h, 5 pending 11h", access: "3 active 0h, 6 pending 11h"},
		{at: 11*time.Hour - time.Second, refresh: "1 active 0h, 5 pending 11h", access: "3 active 0h, 6 pending 11h"},
		{at: 11 * time.Hour,
			refresh: "1 retiring 61h, 5 active 11h, 7 pending 111h", access: "3 retiring 13h, 6 active 11h, 8 pending 111h"},
	}},
	{"changed algorithm when a rotation is due: the old key waits for one of the new algorithm", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 100 * time.Hour, schedule: func(s *Schedule) { s.Algorithm = ES256 },
			refresh: "1 active 0h, 5 pending 101h", access: "3 active 0h, 6 pending 101h"},
	}},
	{"algorithm changed and changed back: the plan is as it was", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 10 * time.Hour, schedule: func(s *Schedule) { s.Algorithm = ES256 },
			refresh: "1 active 0h, 5 pending 11h", access: "3 active 0h, 6 pending 11h"},
		{at: 10*time.Hour + time.Minute, schedule: func(s *Schedule) { s.Algorithm = EdDSA },
			refresh: "1 active 0h, 7 pending 100h", access: "3 active 0h, 8 pending 100h"},
	}},
	{"withdrawn active key: the next takes over at once where it was published for long enough", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 10 * time.Hour, withdraw: []int{1, 3}, refresh: "2 active 10h, 5 pending 110h", access: "4 active 10h, 6 pending 110h"},
		{at: 10 * time.Hour, withdraw: []int{1, 3}, refresh: "2 active 10h, 5 pending 110h", access: "4 active 10h, 6 pending 110h"},
	}},
	{"withdrawn active key, next one just published: the refresh ring goes on, the access ring waits", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 20 * time.Minute, withdraw: []int{1, 3}, refresh: "2 active 20m, 5 pending 100h20m", access: "4 pending 1h"},
		{at: time.Hour - time.Second, withdraw: []int{1, 3}, refresh: "2 active 20m, 5 pending 100h20m", access: "4 pending 1h"},
		{at: time.Hour, withdraw: []int{1, 3}, refresh: "2 active 20m, 5 pending 100h20m", access: "4 active 1h, 6 pending 101h"},
	}},
	{"withdrawn active key of the access ring: a shortened prepublish ends the wait", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 20 * time.Minute, withdraw: []int{3}, refresh: firstRefresh, access: "4 pending 1h"},
		{at: 30 * time.Minute, schedule: func(s *Schedule) { s.Prepublish = 10 * time.Minute },
			refresh: firstRefresh, access: "4 active 30m, 5 pending 100h30m"},
	}},
	{"withdrawn active key, changed algorithm: what is published takes over first", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 10 * time.Hour, withdraw: []int{1, 3}, schedule: func(s *Schedule) { s.Algorithm = ES256 },
			refresh: "2 active 10h, 5 pending 11h", access: "4 active 10h, 6 pending 11h"},
	}},
	{"changed algorithm in a gap of the access ring does not make the gap longer", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 20 * time.Minute, withdraw: []int{3}, refresh: firstRefresh, access: "4 pending 1h"},
		{at: 50 * time.Minute, schedule: func(s *Schedule) { s.Algorithm = ES256 },
			refresh: "1 active 0h, 5 pending 1h50m", access: "4 pending 1h"},
		{at: time.Hour, refresh: "1 active 0h, 5 pending 1h50m", access: "4 active 1h, 6 pending 2h"},
	}},
	{"withdrawn pending key: replaced, and the new one waits in its turn", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 99*time.Hour + 30*time.Minute, withdraw: []int{2, 4},
			refresh: "1 active 0h, 5 pending 100h30m", access: "3 active 0h, 6 pending 100h30m"},
	}},
	{"withdrawn active and pending keys: a new one signs at once in the refresh ring, and waits in the access ring", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 10 * time.Hour, withdraw: []int{1, 2, 3, 4}, refresh: "5 active 10h, 6 pending 110h", access: "7 pending 11h"},
		{at: 11 * time.Hour, withdraw: []int{1, 2, 3, 4}, refresh: "5 active 10h, 6 pending 110h", access: "7 active 11h, 8 pending 111h"},
	}},
	{"withdrawn retiring key: gone at once, in use or not", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 100 * time.Hour,
			refresh: "1 retiring 150h, 2 active 100h, 5 pending 200h", access: "3 retiring 102h, 4 active 100h, 6 pending 200h"},
		{at: 101 * time.Hour, withdraw: []int{1, 3}, inUse: map[int]time.Duration{1: 500 * time.Hour},
			refresh: "2 active 100h, 5 pending 200h", access: "4 active 100h, 6 pending 200h"},
	}},
	{"withdrawn unknown kid: nothing", []step{
		{at: 0, withdraw: []int{77}, refresh: firstRefresh, access: firstAccess},
		{at: time.Hour, withdraw: []int{77}, refresh: firstRefresh, access: firstAccess},
	}},
	{"withdrawn before a late rotation: the takeover is the rotation", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 400 * time.Hour, withdraw: []int{1, 3}, refresh: "2 active 400h, 5 pending 500h", access: "4 active 400h, 6 pending 500h"},
	}},
	{"clock set back: nothing is made or removed", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 100 * time.Hour,
			refresh: "1 retiring 150h, 2 active 100h, 5 pending 200h", access: "3 retiring 102h, 4 active 100h, 6 pending 200h"},
		{at: -1000 * time.Hour,
			refresh: "1 retiring 150h, 2 active 100h, 5 pending 200h", access: "3 retiring 102h, 4 active 100h, 6 pending 200h"},
		{at: 102 * time.Hour, refresh: "1 retiring 150h, 2 active 100h, 5 pending 200h", access: "4 active 100h, 6 pending 200h"},
	}},
	{"clock set back: a pending key of the future waits, a withdrawal in the refresh ring does not", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: -10 * time.Hour, withdraw: []int{1, 3}, refresh: "2 active 0h, 5 pending 100h", access: "4 pending 1h"},
		{at: -9 * time.Hour, withdraw: []int{1, 3, 4}, refresh: "2 active 0h, 5 pending 100h", access: "6 pending -8h"},
		{at: -8 * time.Hour, withdraw: []int{1, 3, 4}, refresh: "2 active 0h, 5 pending 100h", access: "6 active -8h, 7 pending 92h"},
	}},
	{"clock set back before a rotation: what was signed in the future is kept for", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: -30 * time.Hour, schedule: func(s *Schedule) { s.Algorithm = ES256 },
			refresh: "1 active 0h, 5 pending -29h", access: "3 active 0h, 6 pending -29h"},
		{at: -29 * time.Hour,
			refresh: "1 retiring 50h, 5 active -29h, 7 pending 71h", access: "3 retiring 2h, 6 active -29h, 8 pending 71h"},
	}},
}

func TestAdvance(t *testing.T) {
	for _, tc := range advanceCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f, s := &factory{}, baseSchedule()
			var rings *Rings
			for i, step := range tc.steps {
				if step.schedule != nil {
					step.schedule(&s)
				}
				var withdrawn []string
				for _, number := range step.withdraw {
					withdrawn = append(withdrawn, f.kid(number))
				}
				inUseUntil := func(_ Use, kid string) time.Time {
					if until, ok := step.inUse[f.numbers[kid]]; ok {
						return t0.Add(until)
					}
					return time.Time{}
				}
				var err error
				if rings, err = Advance(rings, s, withdrawn, inUseUntil, t0.Add(step.at), f.generate); err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
				if got := f.show(rings, Refresh); got != step.refresh {
					t.Errorf("step %d: refresh ring\n got %s\nwant %s", i, got, step.refresh)
				}
				if got := f.show(rings, Access); got != step.access {
					t.Errorf("step %d: access ring\n got %s\nwant %s", i, got, step.access)
				}
			}
		})
	}
}

func TestAdvanceReturnsTheSameRingsWhenNothingIsDue(t *testing.T) {
	rings := newTestRings(t, EdDSA)
	generate := func(Algorithm) (crypto.Signer, error) { panic("nothing is to be made") }
	again, err := Advance(rings, baseSchedule(), []string{"unknown"}, nil, t0.Add(99*time.Hour), generate)
	if err != nil || again != rings {
		t.Errorf("%p and %v, want %p", again, err, rings)
	}
}

func TestAdvanceInAnotherTimeZone(t *testing.T) {
	zone := time.FixedZone("elsewhere", -7*3600)
	rings, err := Advance(nil, baseSchedule(), nil, nil, t0.In(zone), (&factory{}).generate)
	if err != nil || !rings.Equal(newTestRings(t, EdDSA)) {
		t.Fatalf("%v, %v", rings, err)
	}
	for _, key := range rings.Keys() {
		if key.CreatedAt.Location() != time.UTC {
			t.Errorf("%s was created at %s", key, key.CreatedAt)
		}
	}
}

func TestAdvanceErrors(t *testing.T) {
	broken := errors.New("no entropy")
	fixed := testSigner(t, EdDSA)
	fixedID, err := thumbprint(fixed.Public())
	if err != nil {
		t.Fatal(err)
	}
	good := (&factory{}).generate
	always := func(signer crypto.Signer, err error) func(Algorithm) (crypto.Signer, error) {
		return func(Algorithm) (crypto.Signer, error) { return signer, err }
	}
	once := func(signer crypto.Signer) func(Algorithm) (crypto.Signer, error) {
		return func(a Algorithm) (crypto.Signer, error) {
			if first := signer; first != nil {
				signer = nil
				return first, nil
			}
			return good(a)
		}
	}
	for _, tc := range []struct {
		name      string
		change    func(*Schedule)
		withdrawn []string
		now       time.Time
		generate  func(Algorithm) (crypto.Signer, error)
		want      string
	}{
		{name: "no algorithm", change: func(s *Schedule) { s.Algorithm = "" }, want: `unknown algorithm ""`},
		{name: "HMAC", change: func(s *Schedule) { s.Algorithm = "HS256" }, want: `unknown algorithm "HS256"`},
		{name: "no rotation", change: func(s *Schedule) { s.RotateAfter = 0 }, want: "RotateAfter 0s is not above 0"},
		{name: "rotation out of bounds", change: func(s *Schedule) { s.RotateAfter = 1<<63 - 1 }, want: "RotateAfter"},
		{name: "negative prepublish", change: func(s *Schedule) { s.Prepublish = -1 }, want: "Prepublish -1ns is not within 0"},
		{name: "negative keep", change: func(s *Schedule) { s.RefreshKeep = -1 }, want: "RefreshKeep"},
		{name: "keep out of bounds", change: func(s *Schedule) { s.AccessKeep = 1<<63 - 1 }, want: "AccessKeep"},
		{name: "no clock", now: time.Time{}.Add(1), want: "the clock is out of bounds"},
		{name: "a clock of the year 10000", now: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), want: "the clock is out of bounds"},
		{name: "generate fails", generate: always(nil, broken), want: "generate a EdDSA key: no entropy"},
		{name: "generate gives nothing", generate: always(nil, nil), want: "the generated EdDSA key is not an Ed25519 key"},
		{name: "generate gives another algorithm", generate: always(testSigner(t, ES256), nil), want: "is not an Ed25519 key"},
		{name: "generate repeats itself", generate: always(fixed, nil), want: "generate made a key that was there already"},
		{name: "generate brings back a withdrawn key", generate: once(fixed), withdrawn: []string{fixedID}, want: "was there already"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, now, generate := baseSchedule(), t0, good
			if tc.change != nil {
				tc.change(&s)
			}
			if !tc.now.IsZero() {
				now = tc.now
			}
			if tc.generate != nil {
				generate = tc.generate
			}
			rings, err := Advance(nil, s, tc.withdrawn, nil, now, generate)
			if rings != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, %v, want %s", rings, err, tc.want)
			}
			if tc.change != nil && !newTestRings(t, EdDSA).NextChange(s, t0).IsZero() {
				t.Error("NextChange of a schedule out of bounds is not zero")
			}
		})
	}
	if _, err := Advance(nil, baseSchedule(), nil, nil, t0, always(nil, broken)); !errors.Is(err, broken) {
		t.Errorf("%v does not wrap the cause", err)
	}
}

func TestAdvanceLeavesItsArgumentAlone(t *testing.T) {
	f, s := &factory{}, baseSchedule()
	first, err := Advance(nil, s, nil, nil, t0, f.generate)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Advance(first, s, nil, nil, t0.Add(100*time.Hour), f.generate)
	if err != nil {
		t.Fatal(err)
	}
	withdrawn := []string{f.kid(2), f.kid(3)}
	if _, err = Advance(second, s, withdrawn, nil, t0.Add(101*time.Hour), f.generate); err != nil {
		t.Fatal(err)
	}
	if got := f.show(first, Refresh) + "; " + f.show(first, Access); got != firstRefresh+"; "+firstAccess {
		t.Errorf("the first snapshot has become %s", got)
	}
	if got, want := f.show(second, Refresh), "1 retiring 150h, 2 active 100h, 5 pending 200h"; got != want {
		t.Errorf("the second snapshot has become %s", got)
	}
}

// A ring at its limit neither rotates nor breaks: it waits for room, and NextChange says until when.
func TestAdvanceAtTheLimit(t *testing.T) {
	f, s := &factory{}, baseSchedule()
	s.RotateAfter, s.RefreshKeep = time.Hour, 1000*time.Hour
	var rings *Rings
	var err error
	for hour := range time.Duration(200) {
		if rings, err = Advance(rings, s, nil, nil, t0.Add(hour*time.Hour), f.generate); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(rings.of(Refresh)); n != MaxKeysPerRing {
		t.Fatalf("%d keys, want %d", n, MaxKeysPerRing)
	}
	if _, err = Encode(rings); err != nil {
		t.Fatal(err)
	}
	// The first key retired after one hour; there is room when it goes.
	room := t0.Add(1001 * time.Hour)
	for _, key := range rings.of(Refresh) {
		if key.State == Pending && !key.ActiveAt.Equal(room) {
			t.Errorf("the pending key is planned for %s, want %s", key.ActiveAt, room)
		}
	}
	before, err := rings.Signer(Refresh)
	if err != nil {
		t.Fatal(err)
	}
	inUse := func(Use, string) time.Time { return room.Add(time.Hour) }
	full, err := Advance(rings, s, nil, inUse, room, f.generate)
	if err != nil {
		t.Fatal(err)
	}
	if key, err := full.Signer(Refresh); err != nil || key.ID != before.ID || len(full.of(Refresh)) != MaxKeysPerRing {
		t.Errorf("a rotation without room, since the oldest key is in use: %v, %v", key, err)
	}
	if rings, err = Advance(rings, s, nil, nil, room, f.generate); err != nil {
		t.Fatal(err)
	}
	after, err := rings.Signer(Refresh)
	if err != nil || after.ID == before.ID || len(rings.of(Refresh)) != MaxKeysPerRing {
		t.Errorf("no rotation when there is room: %v, %v", after, err)
	}
}

func TestNextChange(t *testing.T) {
	f, s := &factory{}, baseSchedule()
	if got := (*Rings)(nil).NextChange(s, t0.Add(time.Millisecond)); !got.Equal(t0) {
		t.Errorf("without keys: %s, want now", got)
	}
	rings, err := Advance(nil, s, nil, nil, t0, f.generate)
	if err != nil {
		t.Fatal(err)
	}
	changed := s
	changed.RotateAfter = 50 * time.Hour
	other := s
	other.Algorithm = ES256
	slow := s
	slow.Prepublish = 150 * time.Hour
	waiting, err := Advance(rings, slow, nil, nil, t0, f.generate)
	if err != nil {
		t.Fatal(err)
	}
	slowOther := slow
	slowOther.Algorithm = ES256
	gap, err := Advance(rings, s, []string{f.kid(3)}, nil, t0.Add(time.Minute), f.generate)
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := Advance(rings, s, nil, nil, t0.Add(100*time.Hour), f.generate)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name      string
		rings     *Rings
		schedule  Schedule
		now, want time.Duration
	}{
		{"the planned rotation", rings, s, 0, 100 * time.Hour},
		{"the rotation is overdue", rings, s, 130 * time.Hour, 130 * time.Hour},
		{"the schedule changed", rings, changed, time.Hour, time.Hour},
		{"the algorithm changed", rings, other, time.Hour, time.Hour},
		{"the algorithm changed, and the plan is the same", waiting, slowOther, time.Hour, time.Hour},
		{"the access ring waits", gap, s, time.Minute, time.Hour},
		{"a retirement", rotated, s, 100 * time.Hour, 102 * time.Hour},
	} {
		if got := tc.rings.NextChange(tc.schedule, t0.Add(tc.now)); !got.Equal(t0.Add(tc.want)) {
			t.Errorf("%s: %s, want %s", tc.name, got.Sub(t0), tc.want)
		}
	}
}
