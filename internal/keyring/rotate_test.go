package keyring

import (
	"slices"
	"testing"
	"time"
)

// step is one call of Advance, and what the rings should be after it. Keys are named by number, in the
// order in which they were made: the first call makes 1 (active) and 2 in the refresh ring, 3 (active)
// and 4 in the access ring. Times are hours from t0.
type step struct {
	at       time.Duration
	schedule func(*Schedule) // changes it from here on
	givenUp  bool            // all keys are lost
	withdraw []int
	inUse    map[int]time.Duration
	refresh  string
	access   string
	seal     string
}

// advanceCase is a number of calls one after another.
type advanceCase struct {
	name  string
	steps []step
}

const (
	firstRefresh = "1 active 0h, 2 pending 100h"
	firstAccess  = "3 active 0h, 4 pending 100h"
)

var advanceCases = []advanceCase{
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
	{"asked for: once what is published has been so for long enough, and once only", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 20 * time.Minute, schedule: func(s *Schedule) { s.Asked = t0.Add(20 * time.Minute) },
			refresh: "1 active 0h, 2 pending 1h", access: "3 active 0h, 4 pending 1h"},
		{at: time.Hour, refresh: "1 retiring 51h, 2 active 1h, 5 pending 101h", access: "3 retiring 3h, 4 active 1h, 6 pending 101h"},
		{at: 2 * time.Hour, refresh: "1 retiring 51h, 2 active 1h, 5 pending 101h", access: "3 retiring 3h, 4 active 1h, 6 pending 101h"},
	}},
	{"asked for by a clock that is ahead: then, and once only", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 10 * time.Hour, schedule: func(s *Schedule) { s.Asked = t0.Add(11*time.Hour + time.Millisecond) },
			refresh: "1 active 0h, 2 pending 11h", access: "3 active 0h, 4 pending 11h"},
		{at: 11 * time.Hour, refresh: "1 retiring 61h, 2 active 11h, 5 pending 111h", access: "3 retiring 13h, 4 active 11h, 6 pending 111h"},
		{at: 12 * time.Hour, refresh: "1 retiring 61h, 2 active 11h, 5 pending 111h", access: "3 retiring 13h, 4 active 11h, 6 pending 111h"},
	}},
	{"asked for a time after the planned one, or before the key began: nothing", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: time.Hour, schedule: func(s *Schedule) { s.Asked = t0.Add(200 * time.Hour) }, refresh: firstRefresh, access: firstAccess},
		{at: 2 * time.Hour, schedule: func(s *Schedule) { s.Asked = t0 }, refresh: firstRefresh, access: firstAccess},
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
	{"lost and given up: a new one signs at once in the refresh ring, and waits in the access ring", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 2000 * time.Hour, givenUp: true, withdraw: []int{1, 2, 3, 4},
			refresh: "5 active 2000h, 6 pending 2100h", access: "7 pending 2001h"},
		{at: 2001 * time.Hour, withdraw: []int{1, 2, 3, 4},
			refresh: "5 active 2000h, 6 pending 2100h", access: "7 active 2001h, 8 pending 2101h"},
	}},
	{"lost and given up, without withdrawn keys: the same", []step{
		{at: 0, givenUp: true, refresh: "1 active 0h, 2 pending 100h", access: "3 pending 1h"},
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
	for _, tc := range slices.Concat(advanceCases, sealCases) {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f, s := &factory{}, baseSchedule()
			var rings *Rings
			for i, step := range tc.steps {
				if step.givenUp {
					rings = GivenUp()
				}
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
				if got := f.show(rings, Seal); got != step.seal {
					t.Errorf("step %d: seal ring\n got %s\nwant %s", i, got, step.seal)
				}
			}
		})
	}
}
