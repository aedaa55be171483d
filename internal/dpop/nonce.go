package dpop

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

const (
	// nonceFor is how long a nonce is accepted (RFC 9449 §8). In this time a captured proof can be replayed at a
	// replica that has not seen it. A client needs one round trip.
	nonceFor = 30 * time.Second
	// noncePurpose is the purpose from which the secret of nonces is derived.
	noncePurpose = "DPoP nonce"

	nonceTime = 8
	nonceMAC  = 16
	// rememberedSecrets is the maximum number of cached secrets, one for each signing key.
	rememberedSecrets = 1024
)

// nonces makes and verifies DPoP nonces: a time in milliseconds and a MAC over it. Nonces are not stored. The
// secret is derived from a signing key of the refresh ring, which all replicas have, so each accepts the nonces of
// the others. A nonce is valid while its signing key is in the ring, also after a rotation.
type nonces struct {
	clock   clock.PassiveClock
	secrets *lru.Cache[string, []byte]
}

func newNonces(clock clock.PassiveClock) (*nonces, error) {
	secrets, err := lru.New[string, []byte](rememberedSecrets)
	return &nonces{clock: clock, secrets: secrets}, err
}

// fresh returns a nonce for the client's next proof.
func (n *nonces) fresh(rings *keyring.Rings) (string, error) {
	keys := refreshKeys(rings)
	if len(keys) == 0 {
		return "", upstream.Unavailable("the issuer has no signing key to derive a nonce from")
	}
	// Any signing key is possible. All replicas know the active one.
	key := &keys[max(0, slices.IndexFunc(keys, func(key keyring.Key) bool { return key.State == keyring.Active }))]
	now := binary.BigEndian.AppendUint64(nil, uint64(n.clock.Now().UnixMilli()))
	mac, err := n.mac(key, now)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(now, mac...)), nil
}

// end returns when a nonce ends; false if it has ended or is not one of the service's. A nonce slightly in the
// future is from a replica with a clock that is ahead.
func (n *nonces) end(rings *keyring.Rings, nonce string) (time.Time, bool, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(nonce)
	if err != nil || len(raw) != nonceTime+nonceMAC {
		return time.Time{}, false, nil //nolint:nilerr // the answer is that the nonce is foreign
	}
	now, made := n.clock.Now(), time.UnixMilli(int64(binary.BigEndian.Uint64(raw))) //nolint:gosec // what is too large is in the past
	end := made.Add(nonceFor)
	if !now.Before(end) || made.After(now.Add(token.Skew)) {
		return time.Time{}, false, nil
	}
	for _, key := range refreshKeys(rings) {
		mac, err := n.mac(&key, raw[:nonceTime])
		if err != nil {
			return time.Time{}, false, err
		}
		if hmac.Equal(mac, raw[nonceTime:]) {
			return end, true, nil
		}
	}
	return time.Time{}, false, nil
}

func (n *nonces) mac(key *keyring.Key, message []byte) ([]byte, error) {
	secret, known := n.secrets.Get(key.ID)
	if !known {
		var err error
		if secret, err = key.Derive(noncePurpose); err != nil {
			return nil, err
		}
		n.secrets.Add(key.ID, secret)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(message)
	return mac.Sum(nil)[:nonceMAC], nil
}

func refreshKeys(rings *keyring.Rings) []keyring.Key {
	return slices.DeleteFunc(rings.Keys(), func(key keyring.Key) bool { return key.Use != keyring.Refresh })
}
