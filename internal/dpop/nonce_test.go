package dpop

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/signing"
)

// replicaAt returns the nonces of one replica and its clock.
func replicaAt(t *testing.T, at time.Time) (*nonces, *clocktesting.FakePassiveClock) {
	t.Helper()
	clock := clocktesting.NewFakePassiveClock(at)
	n, err := newNonces(clock)
	if err != nil {
		t.Fatal(err)
	}
	return n, clock
}

func fresh(t *testing.T, n *nonces, rings *keyring.Rings) string {
	t.Helper()
	nonce, err := n.fresh(rings)
	if err != nil {
		t.Fatal(err)
	}
	return nonce
}

// TestNonceLife checks that a nonce is accepted for nonceFor at every replica, within the allowed skew of their
// clocks.
func TestNonceLife(t *testing.T) {
	rings := signing.Next(t, nil, t0)
	one, _ := replicaAt(t, t0)
	nonce := fresh(t, one, rings)
	for _, c := range []struct {
		name string
		at   time.Duration
		want bool
	}{
		{"at once", 0, true},
		{"just before its end", nonceFor - time.Millisecond, true},
		{"at its end", nonceFor, false},
		{"a day later", 24 * time.Hour, false},
		{"by a clock that is behind", -token.Skew, true},
		{"by a clock that is further behind", -token.Skew - time.Millisecond, false},
	} {
		other, _ := replicaAt(t, t0.Add(c.at))
		end, good, err := other.end(rings, nonce)
		if err != nil || good != c.want {
			t.Errorf("%s: %v, %v", c.name, good, err)
		}
		if good && !end.Equal(t0.Add(nonceFor)) {
			t.Errorf("%s: it ends at %s", c.name, end)
		}
	}
}

// TestNonceForged checks that a nonce cannot be made or extended without the signing keys.
func TestNonceForged(t *testing.T) {
	rings := signing.Next(t, nil, t0)
	n, _ := replicaAt(t, t0)
	nonce := fresh(t, n, rings)
	raw, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		changed := append([]byte(nil), raw...)
		changed[i] ^= 1
		if _, good, err := n.end(rings, base64.RawURLEncoding.EncodeToString(changed)); good || err != nil {
			t.Errorf("byte %d changed: %v, %v", i, good, err)
		}
	}
	for name, other := range map[string]string{
		"none": "", "nonsense": "x", "shorter": nonce[:len(nonce)-4], "longer": nonce + "AAAA", "padded": nonce + "=", "another alphabet": strings.Repeat("+", len(nonce)),
		"all ones": strings.Repeat("_", len(nonce)), "all zeros": strings.Repeat("A", len(nonce)),
		"another issuer's": fresh(t, n, signing.Next(t, nil, t0)),
	} {
		if _, good, err := n.end(rings, other); good || err != nil {
			t.Errorf("%s: %v, %v", name, good, err)
		}
	}
	if _, err := n.fresh(keyring.GivenUp()); err == nil {
		t.Error("a nonce was made without a signing key")
	}
}

// TestNonceOutlivesRotation checks that a nonce from before a rotation of the signing keys is accepted at every
// replica, and that one from after it is accepted by a replica with the old view.
func TestNonceOutlivesRotation(t *testing.T) {
	before := signing.Next(t, nil, t0)
	now := t0.Add(signing.Schedule.RotateAfter + time.Minute)
	n, _ := replicaAt(t, now)
	nonce := fresh(t, n, before)
	after := signing.Next(t, before, now)
	old, err := before.Signer(keyring.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := after.Signer(keyring.Refresh)
	if err != nil || signer.ID == old.ID {
		t.Fatalf("the rings did not rotate: %v", err)
	}
	if _, good, err := n.end(after, nonce); !good || err != nil {
		t.Errorf("a nonce of the previous signing key: %v, %v", good, err)
	}
	if _, good, err := n.end(before, fresh(t, n, after)); !good || err != nil {
		t.Errorf("a nonce of the next signing key, at a replica with the old view: %v, %v", good, err)
	}
}
