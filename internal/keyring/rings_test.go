package keyring

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestSigner(t *testing.T) {
	f, s := &factory{}, baseSchedule()
	rings, err := Advance(nil, s, nil, nil, t0, f.generate)
	if err != nil {
		t.Fatal(err)
	}
	for use, number := range map[Use]int{Refresh: 1, Access: 3} {
		key, err := rings.Signer(use)
		if err != nil || key.ID != f.kid(number) || key.Use != use || key.State != Active {
			t.Errorf("%s: %v, %v, want key %d", use, key, err, number)
		}
	}
	gap, err := Advance(rings, s, []string{f.kid(3)}, nil, t0, f.generate)
	if err != nil {
		t.Fatal(err)
	}
	if key, err := gap.Signer(Access); !errors.Is(err, ErrNoActiveKey) {
		t.Errorf("in a gap: %v, %v, want ErrNoActiveKey", key, err)
	}
	if key, err := (*Rings)(nil).Signer(Access); !errors.Is(err, ErrNoActiveKey) {
		t.Errorf("nil: %v, %v, want ErrNoActiveKey", key, err)
	}
	if key, err := rings.Signer("other"); !errors.Is(err, ErrNoActiveKey) {
		t.Errorf("unknown use: %v, %v, want ErrNoActiveKey", key, err)
	}
}

func TestLookup(t *testing.T) {
	rings := newTestRings(t, EdDSA)
	for _, want := range rings.Keys() {
		got, ok := rings.Lookup(want.Use, want.ID)
		if !ok || !got.Equal(want) {
			t.Errorf("%s: %v, %v", want, got, ok)
		}
		other := Access
		if want.Use == Access {
			other = Refresh
		}
		if got, ok := rings.Lookup(other, want.ID); ok || got != nil {
			t.Errorf("%s was found among the %s keys", want, other)
		}
	}
	if _, ok := rings.Lookup(Access, ""); ok {
		t.Error("a key without kid")
	}
	if _, ok := (*Rings)(nil).Lookup(Access, "x"); ok {
		t.Error("a key of nil")
	}
}

func TestKeysAreOrderedCopies(t *testing.T) {
	f, s := &factory{}, baseSchedule()
	rings, err := Advance(nil, s, nil, nil, t0, f.generate)
	if err != nil {
		t.Fatal(err)
	}
	if rings, err = Advance(rings, s, nil, nil, t0.Add(100*time.Hour), f.generate); err != nil {
		t.Fatal(err)
	}
	keys := rings.Keys()
	if len(keys) != 6 {
		t.Fatalf("%d keys", len(keys))
	}
	for i := range keys[1:] {
		a, b := keys[i], keys[i+1]
		if a.Use > b.Use || a.Use == b.Use && (a.CreatedAt.After(b.CreatedAt) || a.CreatedAt.Equal(b.CreatedAt) && a.ID >= b.ID) {
			t.Errorf("%s comes before %s", a, b)
		}
	}
	signer, err := rings.Signer(Refresh)
	if err != nil {
		t.Fatal(err)
	}
	signer.State, signer.ID = Retiring, "changed"
	keys[0].ID = "changed"
	found, _ := rings.Lookup(Access, rings.Keys()[0].ID)
	found.ID = "changed"
	if slices.ContainsFunc(rings.Keys(), func(k Key) bool { return k.ID == "changed" }) {
		t.Error("a change of a copy changed the rings")
	}
	if again, err := rings.Signer(Refresh); err != nil || again.State != Active {
		t.Errorf("a change of a copy changed the signer: %v, %v", again, err)
	}
}

func TestRingsEqual(t *testing.T) {
	a, b := newTestRings(t, EdDSA), newTestRings(t, EdDSA)
	if !a.Equal(b) || !b.Equal(a) {
		t.Error("the same keys are not equal")
	}
	if a.Equal(nil) || (*Rings)(nil).Equal(a) || a.Equal(newTestRings(t, ES256)) {
		t.Error("other keys are equal")
	}
	if !(*Rings)(nil).Equal(nil) || !(*Rings)(nil).Equal(&Rings{}) {
		t.Error("nothing does not equal nothing")
	}
	for name, change := range map[string]func(*Key){
		"ID":        func(k *Key) { k.ID = "x" },
		"Use":       func(k *Key) { k.Use = Refresh },
		"Algorithm": func(k *Key) { k.Algorithm = ES256 },
		"State":     func(k *Key) { k.State = Retiring },
		"CreatedAt": func(k *Key) { k.CreatedAt = k.CreatedAt.Add(time.Second) },
		"ActiveAt":  func(k *Key) { k.ActiveAt = k.ActiveAt.Add(time.Second) },
		"RetireAt":  func(k *Key) { k.RetireAt = t0 },
	} {
		keys := a.Keys()
		change(&keys[0])
		if a.Equal(&Rings{keys: keys}) {
			t.Errorf("another %s is equal", name)
		}
	}
}
