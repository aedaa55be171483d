package memo

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
)

var noon = time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)

// TestMemo checks which values a Memo of two entries returns after some steps.
func TestMemo(t *testing.T) {
	type step func(*Memo[string, int], *clocktesting.FakePassiveClock)
	put := func(key string, value int, ttl time.Duration) step {
		return func(m *Memo[string, int], clock *clocktesting.FakePassiveClock) {
			m.Put(key, value, clock.Now().Add(ttl))
		}
	}
	pass := func(d time.Duration) step {
		return func(_ *Memo[string, int], clock *clocktesting.FakePassiveClock) { clock.SetTime(clock.Now().Add(d)) }
	}
	get := func(key string) step {
		return func(m *Memo[string, int], _ *clocktesting.FakePassiveClock) { m.Get(key) }
	}
	for _, c := range []struct {
		name  string
		steps []step
		// want are the values of a, b and c; 0 for none.
		want [3]int
	}{
		{"nothing", nil, [3]int{}},
		{"one", []step{put("a", 1, time.Second)}, [3]int{1}},
		{"just before its end", []step{put("a", 1, time.Second), pass(time.Second - 1)}, [3]int{1}},
		{"at its end", []step{put("a", 1, time.Second), pass(time.Second)}, [3]int{}},
		{"after its end", []step{put("a", 1, time.Second), pass(time.Hour)}, [3]int{}},
		{"ended before it is stored", []step{put("a", 1, 0)}, [3]int{}},
		{"each has its own end", []step{put("a", 1, time.Second), put("b", 2, time.Minute), pass(time.Second)}, [3]int{0, 2}},
		{"a later value", []step{put("a", 1, time.Minute), put("a", 2, time.Minute)}, [3]int{2}},
		{"a later value with an earlier end", []step{put("a", 1, time.Minute), put("a", 2, time.Second), pass(time.Second)}, [3]int{}},
		{"a later value after the end", []step{put("a", 1, time.Second), pass(time.Hour), put("a", 2, time.Second)}, [3]int{2}},
		{"more than it holds: the oldest goes", []step{put("a", 1, time.Hour), put("b", 2, time.Hour), put("c", 3, time.Hour)}, [3]int{0, 2, 3}},
		{"more than it holds: the one used last stays", []step{put("a", 1, time.Hour), put("b", 2, time.Hour), get("a"), put("c", 3, time.Hour)}, [3]int{1, 0, 3}},
		{"an ended one counts until it is evicted", []step{put("a", 1, time.Hour), put("b", 2, time.Second), pass(time.Minute), put("c", 3, time.Hour)}, [3]int{0, 0, 3}},
	} {
		clock := clocktesting.NewFakePassiveClock(noon)
		m := New[string, int](2, clock)
		for _, step := range c.steps {
			step(m, clock)
		}
		for i, key := range []string{"a", "b", "c"} {
			got, known := m.Get(key)
			if got != c.want[i] || known != (c.want[i] != 0) {
				t.Errorf("%s: %s is %d, %v; want %d", c.name, key, got, known, c.want[i])
			}
		}
		if m.entries.Len() > 2 {
			t.Errorf("%s: %d entries", c.name, m.entries.Len())
		}
	}
}

// TestNewWithoutRoom checks that a Memo without room is a programming error.
func TestNewWithoutRoom(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("New does not panic")
		}
	}()
	New[string, int](0, clock.RealClock{})
}

// TestConcurrentUse checks that concurrent callers never get the value of another key, and never exceed the bound.
func TestConcurrentUse(t *testing.T) {
	const most, callers, keys = 8, 8, 16
	m := New[string, string](most, clock.RealClock{})
	var running sync.WaitGroup
	for caller := range callers {
		running.Go(func() {
			for i := range 2000 {
				key := fmt.Sprint((caller + i) % keys)
				if value, known := m.Get(key); known && value != key {
					t.Errorf("%s has the value %s", key, value)
				}
				m.Put(key, key, time.Now().Add(time.Minute))
			}
		})
	}
	running.Wait()
	if m.entries.Len() != most {
		t.Errorf("%d entries, want %d", m.entries.Len(), most)
	}
}

// BenchmarkGet compares a Memo with golang-lru alone, for keys of the length of a hash.
func BenchmarkGet(b *testing.B) {
	const most = 4096
	keys := make([][sha256.Size]byte, most)
	for i := range keys {
		keys[i] = sha256.Sum256(fmt.Append(nil, i))
	}
	b.Run("memo", func(b *testing.B) {
		m := New[[sha256.Size]byte, string](most, clock.RealClock{})
		for _, key := range keys {
			m.Put(key, "", time.Now().Add(time.Hour))
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, known := m.Get(keys[i%most]); !known {
				b.Fatal("unknown")
			}
		}
	})
	b.Run("lru", func(b *testing.B) {
		entries, err := lru.New[[sha256.Size]byte, string](most)
		if err != nil {
			b.Fatal(err)
		}
		for _, key := range keys {
			entries.Add(key, "")
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, known := entries.Get(keys[i%most]); !known {
				b.Fatal("unknown")
			}
		}
	})
}
