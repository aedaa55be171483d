package keyring

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// MaxKeysPerRing bounds the keys of one ring, of all states. A ring that is full does not rotate until a
// Retiring key is gone; the Active one signs on. It keeps the Secret under its limit of 1 MiB, and an
// issuer's status under 256 keys, however short RotateAfter is against the life of the tokens.
const MaxKeysPerRing = 128

// ErrNoActiveKey says that a ring has no key that may sign now: its Active key was withdrawn and the next
// one is not yet known to every verifier. It passes by itself; Rings.NextChange says when.
var ErrNoActiveKey = errors.New("keyring: no active key")

// Rings is a snapshot of both rings of one issuer. It never changes, so it can be shared between
// goroutines and swapped as a whole. A nil *Rings has no keys. Make one with [Advance] or [Decode].
type Rings struct {
	keys []Key
}

// GivenUp are the rings of an issuer whose keys are lost and will not come back: they have no keys, and yet
// are not those of a new issuer.
func GivenUp() *Rings { return &Rings{} }

// newRings takes over keys.
func newRings(keys []Key) *Rings {
	slices.SortFunc(keys, func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Use, b.Use), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return &Rings{keys: keys}
}

// Signer returns the Active key of a use, or ErrNoActiveKey.
func (r *Rings) Signer(use Use) (*Key, error) {
	for _, key := range r.all() {
		if key.Use == use && key.State == Active {
			return &key, nil
		}
	}
	return nil, ErrNoActiveKey
}

// Lookup returns the key with a kid, of whatever state, if it is in the ring of that use. A Pending key is
// found too: by the clock of another replica it may sign already.
func (r *Rings) Lookup(use Use, kid string) (*Key, bool) {
	for _, key := range r.all() {
		if key.Use == use && key.ID == kid {
			return &key, true
		}
	}
	return nil, false
}

// Keys returns a copy of all keys of both rings, ordered by use, CreatedAt and ID.
func (r *Rings) Keys() []Key { return slices.Clone(r.all()) }

// Equal reports whether both hold the same keys in the same states with the same times, so that writing
// one over the other would change nothing. A nil *Rings equals one without keys.
func (r *Rings) Equal(other *Rings) bool { return slices.EqualFunc(r.all(), other.all(), Key.Equal) }

// all lets a nil *Rings be used as one without keys.
func (r *Rings) all() []Key {
	if r == nil {
		return nil
	}
	return r.keys
}

// of returns a copy of the keys of one ring.
func (r *Rings) of(use Use) []Key {
	var keys []Key
	for _, key := range r.all() {
		if key.Use == use {
			keys = append(keys, key)
		}
	}
	return keys
}

// String describes the keys for people, without private material.
func (r Rings) String() string {
	descriptions := make([]string, len(r.keys))
	for i, key := range r.keys {
		descriptions[i] = key.String()
	}
	return "[" + strings.Join(descriptions, ", ") + "]"
}

// GoString is the public description in Go syntax, for %#v.
func (r Rings) GoString() string {
	descriptions := make([]string, len(r.keys))
	for i, key := range r.keys {
		descriptions[i] = key.GoString()
	}
	return "keyring.Rings{" + strings.Join(descriptions, ", ") + "}"
}

// Format writes String, or GoString for %#v, whatever the verb.
func (r Rings) Format(f fmt.State, verb rune) { format(f, verb, r) }

// MarshalJSON gives the public descriptions of the keys, as a list.
func (r Rings) MarshalJSON() ([]byte, error) { return json.Marshal(r.Keys()) }

// LogValue gives the public description to log/slog.
func (r Rings) LogValue() slog.Value { return slog.StringValue(r.String()) }
