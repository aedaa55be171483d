package keyring

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// TestDerive: the secret follows from the key and the purpose, at every replica alike, and
// from nothing else.
func TestDerive(t *testing.T) {
	seen := map[string]string{}
	for _, algorithm := range Algorithms() {
		signer, err := Generate(algorithm)
		if err != nil {
			t.Fatal(err)
		}
		key, err := newKey(Refresh, algorithm, signer)
		if err != nil {
			t.Fatal(err)
		}
		again, err := newKey(Refresh, algorithm, signer)
		if err != nil {
			t.Fatal(err)
		}
		for _, purpose := range []string{"a", "b"} {
			one, err := key.Derive(purpose)
			if err != nil || len(one) != 32 {
				t.Fatalf("%s: %d bytes, %v", algorithm, len(one), err)
			}
			other, err := again.Derive(purpose)
			if err != nil || !bytes.Equal(one, other) {
				t.Errorf("%s: another copy of the key derives another secret (%v)", algorithm, err)
			}
			if before, known := seen[hex.EncodeToString(one)]; known {
				t.Errorf("%s, %s has the secret of %s", algorithm, purpose, before)
			}
			seen[hex.EncodeToString(one)] = string(algorithm) + ", " + purpose
		}
	}
	if _, err := (&Key{}).Derive("a"); err == nil {
		t.Error("a key without a private half derives a secret, which is public")
	}
}
