// Package memo is a bounded cache whose entries end at a time.
//
// It adds the ends to golang-lru. The caches with a time limit of golang-lru and of apimachinery do not fit: expirable takes
// no clock and has one limit for all entries, LRUExpireCache counts from the call of Add and not from the question that the
// entry answers, and Expiring has no bound.
package memo

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"k8s.io/utils/clock"
)

// Memo caches values by key, each until its end. When it is full, it evicts the least recently used entry. It is safe for
// concurrent use.
type Memo[K comparable, V any] struct {
	clock   clock.PassiveClock
	entries *lru.Cache[K, entry[V]]
}

type entry[V any] struct {
	value V
	end   time.Time
}

// New returns an empty Memo with room for most entries. It panics if most is not positive.
func New[K comparable, V any](most int, clock clock.PassiveClock) *Memo[K, V] {
	entries, err := lru.New[K, entry[V]](most)
	if err != nil {
		// lru.New fails only for a size that is not positive.
		panic(err)
	}
	return &Memo[K, V]{clock: clock, entries: entries}
}

// Get returns the value of a key; false if it has none, or if its end is not in the future.
func (m *Memo[K, V]) Get(key K) (value V, known bool) {
	found, known := m.entries.Get(key)
	if !known || m.clock.Since(found.end) >= 0 {
		return value, false
	}
	return found.value, true
}

// Put stores the value of a key until end, in the place of an earlier value. For the answer to a question, the end counts
// from the time of the question: the answer may be as old.
func (m *Memo[K, V]) Put(key K, value V, end time.Time) {
	m.entries.Add(key, entry[V]{value: value, end: end})
}
