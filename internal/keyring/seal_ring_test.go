package keyring

import (
	"errors"
	"testing"
	"time"
)

func sealing(s *Schedule) { s.Seals, s.SealKeep = true, time.Hour }

// sealCases are those of the seal ring. Where it begins with the others, its keys are 5 (active) and 6.
var sealCases = []advanceCase{
	{"first ever with a seal ring: its first key seals at once", []step{
		{at: 0, schedule: sealing, refresh: firstRefresh, access: firstAccess, seal: "5 active 0h, 6 pending 100h"},
	}},
	{"a seal ring begins and ends with the setting, and the other rings stay", []step{
		{at: 0, refresh: firstRefresh, access: firstAccess},
		{at: 10 * time.Hour, schedule: sealing, refresh: firstRefresh, access: firstAccess, seal: "5 active 10h, 6 pending 110h"},
		{at: 20 * time.Hour, schedule: func(s *Schedule) { s.Seals = false }, refresh: firstRefresh, access: firstAccess, seal: "5 retiring 21h"},
		{at: 21*time.Hour - time.Second, refresh: firstRefresh, access: firstAccess, seal: "5 retiring 21h"},
		{at: 21 * time.Hour, refresh: firstRefresh, access: firstAccess},
		{at: 30 * time.Hour, schedule: sealing, refresh: firstRefresh, access: firstAccess, seal: "7 active 30h, 8 pending 130h"},
	}},
	{"a seal ring that is wanted again seals at once, and opens what it sealed before", []step{
		{at: 0, schedule: sealing, refresh: firstRefresh, access: firstAccess, seal: "5 active 0h, 6 pending 100h"},
		{at: time.Hour, schedule: func(s *Schedule) { s.Seals = false }, refresh: firstRefresh, access: firstAccess, seal: "5 retiring 2h"},
		{at: 90 * time.Minute, schedule: sealing, refresh: firstRefresh, access: firstAccess, seal: "5 retiring 2h, 7 active 1h30m, 8 pending 101h30m"},
	}},
	{"a key of the seal ring is kept for SealKeep", []step{
		{at: 0, schedule: sealing, refresh: firstRefresh, access: firstAccess, seal: "5 active 0h, 6 pending 100h"},
		{at: 100 * time.Hour, refresh: "1 retiring 150h, 2 active 100h, 7 pending 200h", access: "3 retiring 102h, 4 active 100h, 8 pending 200h",
			seal: "5 retiring 101h, 6 active 100h, 9 pending 200h"},
		{at: 101 * time.Hour, refresh: "1 retiring 150h, 2 active 100h, 7 pending 200h", access: "3 retiring 102h, 4 active 100h, 8 pending 200h",
			seal: "6 active 100h, 9 pending 200h"},
	}},
	{"a withdrawn key of the seal ring is replaced at once", []step{
		{at: 0, schedule: sealing, refresh: firstRefresh, access: firstAccess, seal: "5 active 0h, 6 pending 100h"},
		{at: time.Minute, withdraw: []int{5}, refresh: firstRefresh, access: firstAccess, seal: "6 active 1m, 7 pending 100h1m"},
	}},
	{"a seal ring that is withdrawn as a whole begins again", []step{
		{at: 0, schedule: sealing, refresh: firstRefresh, access: firstAccess, seal: "5 active 0h, 6 pending 100h"},
		{at: 0, withdraw: []int{5, 6}, refresh: firstRefresh, access: firstAccess, seal: "7 active 0h, 8 pending 100h"},
	}},
}

// TestSealKeys checks that the keys of the seal ring are EdDSA keys with any algorithm of tokens, sign nothing, and are not
// published; and that the Secret holds them.
func TestSealKeys(t *testing.T) {
	for _, algorithm := range algorithms {
		f, s := &factory{}, baseSchedule()
		s.Algorithm = algorithm
		sealing(&s)
		rings, err := Advance(nil, s, nil, nil, t0, f.generate)
		if err != nil {
			t.Fatal(err)
		}
		key, err := rings.Signer(Seal)
		if err != nil || key.Algorithm != EdDSA {
			t.Errorf("%s: the seal key is %v, %v", algorithm, key, err)
		}
		if _, err := key.Sign([]byte("message")); !errors.Is(err, errSignsNothing) {
			t.Errorf("%s: a seal key signs: %v", algorithm, err)
		}
		for _, published := range rings.PublicJWKS().Keys {
			if _, is := rings.Lookup(Seal, published.KeyID); is {
				t.Errorf("%s: a seal key is published", algorithm)
			}
		}
		data, err := Encode(rings)
		if err != nil {
			t.Fatal(err)
		}
		if read, err := Decode(data); err != nil || !read.Equal(rings) {
			t.Errorf("%s: the Secret holds %v, %v", algorithm, read, err)
		}
	}
}
