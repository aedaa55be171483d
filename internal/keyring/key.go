package keyring

import (
	"crypto"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"
)

// Use is what a key is for. The use of a key never changes, so that no header can make a refresh token pass as an
// access token.
type Use string

// The uses, each with a ring of its own.
const (
	// Refresh keys sign refresh tokens. Their public halves are never published.
	Refresh Use = "refresh"
	// Access keys sign access tokens. Their public halves are in the JWK Set.
	Access Use = "access"
	// Seal keys sign nothing. The secrets that Derive returns for them encrypt what a sign-in carries from one step to the
	// next. Their public halves are never published.
	Seal Use = "seal"
)

// uses are all uses, in the order in which Advance handles their rings.
var uses = [...]Use{Refresh, Access, Seal}

// Valid reports whether u is one of the three uses.
func (u Use) Valid() bool { return slices.Contains(uses[:], u) }

// State is the state of a key: Pending, then Active, then Retiring.
type State string

// The states of a key.
const (
	// Pending keys are published but do not sign yet, so that verifiers have them in time.
	Pending State = "Pending"
	// Active keys sign.
	Active State = "Active"
	// Retiring keys no longer sign; their tokens are still accepted.
	Retiring State = "Retiring"
)

// Key is one key of an issuer. Keys come from a [Rings] as copies: changing a field changes neither the
// rings nor what the key signs. The zero Key signs nothing and verifies nothing.
//
// Its times are whole seconds in UTC, and CreatedAt <= ActiveAt <= RetireAt for those that are set.
type Key struct {
	// ID is the kid: the base64url SHA-256 JWK thumbprint of the public key (RFC 7638 §3), 43 characters.
	ID string
	// Use is what it is for.
	Use Use
	// Algorithm is the only `alg` that a token of this key may have. A Seal key is an EdDSA key.
	Algorithm Algorithm
	// State is the state at the time of the snapshot.
	State State
	// CreatedAt is when the key was created and published. Always set.
	CreatedAt time.Time
	// ActiveAt is when the key began to sign, or will begin to sign if it is Pending. Always set.
	ActiveAt time.Time
	// RetireAt is the earliest time at which a Retiring key is removed. Zero in other states.
	RetireAt time.Time

	public crypto.PublicKey
	// private is a closure, because no printer, encoder or reflection can read the variables of one: fmt prints
	// unexported fields raw in some cases (%!p(...), a Key inside another struct's unexported field), and an
	// Ed25519 key is a plain byte slice.
	private func() crypto.Signer
}

// newKey returns a Key with the private key, or an error if it is not a sound one for the algorithm.
func newKey(use Use, algorithm Algorithm, signer crypto.Signer) (Key, error) {
	if err := checkFit(algorithm, signer); err != nil {
		return Key{}, err
	}
	public := signer.Public()
	id, err := thumbprint(public)
	if err != nil {
		return Key{}, err
	}
	return Key{
		ID:        id,
		Use:       use,
		Algorithm: algorithm,
		public:    public,
		private:   func() crypto.Signer { return signer },
	}, nil
}

// Public returns the public key: *ecdsa.PublicKey, *rsa.PublicKey or ed25519.PublicKey; nil for the zero Key.
// Do not change it: it is shared.
func (k *Key) Public() crypto.PublicKey { return k.public }

// Equal reports whether both are the same key in the same state with the same times.
func (k Key) Equal(other Key) bool {
	return k.ID == other.ID && k.Use == other.Use && k.Algorithm == other.Algorithm && k.State == other.State &&
		k.CreatedAt.Equal(other.CreatedAt) && k.ActiveAt.Equal(other.ActiveAt) && k.RetireAt.Equal(other.RetireAt)
}

// String returns a readable description, without private material: "refresh key <kid> (ES256, Active)".
func (k Key) String() string {
	return fmt.Sprintf("%s key %s (%s, %s)", k.Use, k.ID, k.Algorithm, k.State)
}

// GoString is the public description in Go syntax, for %#v.
func (k Key) GoString() string {
	return fmt.Sprintf("keyring.Key{ID:%q, Use:%q, Algorithm:%q, State:%q}", k.ID, k.Use, k.Algorithm, k.State)
}

// Format writes String, or GoString for %#v, with any verb: without it, %d or %x would print the fields.
func (k Key) Format(f fmt.State, verb rune) { format(f, verb, k) }

// format implements Format for Key and Rings.
func format(f fmt.State, verb rune, v interface {
	fmt.Stringer
	fmt.GoStringer
},
) {
	text := v.String()
	if verb == 'v' && f.Flag('#') {
		text = v.GoString()
	}
	// A formatter cannot report a failed write; fmt itself drops that error.
	_, _ = io.WriteString(f, text)
}

// MarshalJSON returns the public description: kid, use, algorithm, state, and the times that are set, in
// RFC 3339. The Secret's metadata uses the same form.
func (k Key) MarshalJSON() ([]byte, error) { return json.Marshal(describe(k)) }

// LogValue returns kid, use, algorithm and state for log/slog.
func (k Key) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("kid", k.ID),
		slog.String("use", string(k.Use)),
		slog.String("algorithm", string(k.Algorithm)),
		slog.String("state", string(k.State)),
	)
}
