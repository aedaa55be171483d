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

// MaxKeysPerRing is the largest number of keys of the refresh and of the access ring, of all states. A full ring does not
// rotate until a Retiring key is removed; the Active one continues to sign. The limit keeps the Secret below 1 MiB with any
// RotateAfter and any lifetime of the tokens.
const MaxKeysPerRing = 128

// MaxSealKeys is the largest number of keys of the seal ring, whose keys retire soon.
const MaxSealKeys = 16

// MaxKeys is the largest number of keys of an issuer, and of its status.
const MaxKeys = 2*MaxKeysPerRing + MaxSealKeys

// most returns the largest number of keys of a ring.
func most(use Use) int {
	if use == Seal {
		return MaxSealKeys
	}
	return MaxKeysPerRing
}

// ErrNoActiveKey is the error of a ring without a key that can sign: its Active key was withdrawn and not
// every verifier has the next one yet. It is temporary; Rings.NextChange returns its end.
var ErrNoActiveKey = errors.New("keyring: no active key")

// Rings is an immutable snapshot of the rings of one issuer; goroutines can share it. A nil *Rings has no
// keys. [Advance] and [Decode] return one.
type Rings struct {
	keys []Key
}

// GivenUp returns the rings of an issuer that lost its keys permanently: they have no keys, but Advance does not
// treat them as those of a new issuer.
func GivenUp() *Rings { return &Rings{} }

// newRings returns Rings that own keys.
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

// Lookup returns the key with a kid, in any state, if it is in the ring of that use. It also returns a Pending
// key: by the clock of another replica, that key may already sign.
func (r *Rings) Lookup(use Use, kid string) (*Key, bool) {
	for _, key := range r.all() {
		if key.Use == use && key.ID == kid {
			return &key, true
		}
	}
	return nil, false
}

// Keys returns a copy of all keys, ordered by use, CreatedAt and ID.
func (r *Rings) Keys() []Key { return slices.Clone(r.all()) }

// Equal reports whether both have the same keys in the same states with the same times. A nil *Rings equals
// one without keys.
func (r *Rings) Equal(other *Rings) bool { return slices.EqualFunc(r.all(), other.all(), Key.Equal) }

// all returns all keys; none for a nil *Rings.
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

// String returns a readable description of the keys, without private material.
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

// Format writes String, or GoString for %#v, with any verb.
func (r Rings) Format(f fmt.State, verb rune) { format(f, verb, r) }

// MarshalJSON returns the public descriptions of the keys, as a list.
func (r Rings) MarshalJSON() ([]byte, error) { return json.Marshal(r.Keys()) }

// LogValue returns the public description for log/slog.
func (r Rings) LogValue() slog.Value { return slog.StringValue(r.String()) }
