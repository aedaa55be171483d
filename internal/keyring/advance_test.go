package keyring

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"
)

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

func TestScheduleBounds(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Schedule)
		want   string
	}{
		{"no algorithm", func(s *Schedule) { s.Algorithm = "" }, `unknown algorithm ""`},
		{"HMAC", func(s *Schedule) { s.Algorithm = "HS256" }, `unknown algorithm "HS256"`},
		{"no rotation", func(s *Schedule) { s.RotateAfter = 0 }, "RotateAfter 0s is not above 0"},
		{"rotation out of bounds", func(s *Schedule) { s.RotateAfter = 1<<63 - 1 }, "RotateAfter 2562047h47m16.854775807s is not within 0 and 876000h0m0s"},
		{"negative prepublish", func(s *Schedule) { s.Prepublish = -1 }, "Prepublish -1ns is not within 0 and 876000h0m0s"},
		{"negative keep", func(s *Schedule) { s.RefreshKeep = -1 }, "RefreshKeep -1ns is not within 0 and 876000h0m0s"},
		{"keep out of bounds", func(s *Schedule) { s.AccessKeep = maxDuration + 1 }, "AccessKeep 876000h0m0.000000001s is not within 0 and 876000h0m0s"},
	} {
		s := baseSchedule()
		tc.change(&s)
		want := "keyring: schedule: " + tc.want
		if err := s.Validate(); err == nil || err.Error() != want {
			t.Errorf("%s: Validate: %v, want %s", tc.name, err, want)
		}
		if rings, err := Advance(nil, s, nil, nil, t0, (&factory{}).generate); rings != nil || err == nil || err.Error() != want {
			t.Errorf("%s: Advance: %v, %v, want %s", tc.name, rings, err, want)
		}
		if at := newTestRings(t, EdDSA).NextChange(s, t0); !at.IsZero() {
			t.Errorf("%s: NextChange: %s, want never", tc.name, at)
		}
	}
}

// signers gives these keys first, and then those of the factory.
func signers(first ...crypto.Signer) func(Algorithm) (crypto.Signer, error) {
	f := &factory{}
	return func(a Algorithm) (crypto.Signer, error) {
		if len(first) == 0 {
			return f.generate(a)
		}
		signer := first[0]
		first = first[1:]
		return signer, nil
	}
}

func TestAdvanceErrors(t *testing.T) {
	broken := errors.New("no entropy")
	fixed := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // not one of the factory's
	fixedID, err := thumbprint(fixed.Public())
	if err != nil {
		t.Fatal(err)
	}
	fails := func(Algorithm) (crypto.Signer, error) { return nil, broken }
	const repeated = "keyring: generate made a key that was there already"
	for _, tc := range []struct {
		name      string
		withdrawn string
		now       time.Time
		generate  func(Algorithm) (crypto.Signer, error)
		want      string
	}{
		{"no clock", "", time.Time{}, signers(), "keyring: the clock is out of bounds"},
		{"a clock of the year 10000", "", time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), signers(), "keyring: the clock is out of bounds"},
		{"generate fails", "", t0, fails, "keyring: generate a key for EdDSA: no entropy"},
		{"generate gives nothing", "", t0, signers(nil), "keyring: the key generated for EdDSA is not an Ed25519 key"},
		{"generate gives another algorithm", "", t0, signers(testSigner(t, ES256)), "keyring: the key generated for EdDSA is not an Ed25519 key"},
		{"generate repeats itself", "", t0, signers(fixed, fixed), repeated},
		{"generate repeats itself in the other ring", "", t0, signers(testSigner(t, EdDSA), fixed, fixed), repeated},
		{"generate brings back a withdrawn key", fixedID, t0, signers(fixed), repeated},
	} {
		rings, err := Advance(nil, baseSchedule(), []string{tc.withdrawn}, nil, tc.now, tc.generate)
		if rings != nil || err == nil || err.Error() != tc.want {
			t.Errorf("%s: %v, %v, want %s", tc.name, rings, err, tc.want)
		}
	}
	if _, err := Advance(nil, baseSchedule(), nil, nil, t0, fails); !errors.Is(err, broken) {
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
