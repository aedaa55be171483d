package keyring

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"math/big"
	"testing"
)

// Vectors of RFC 6979 A.2.5 (P-256, SHA-256) and A.2.6 (P-384, SHA-384).
func TestSignRFC6979(t *testing.T) {
	const (
		p256 = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721"
		p384 = "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5"
	)
	for _, tc := range []struct {
		name, private, message, r, s string
		algorithm                    Algorithm
		curve                        elliptic.Curve
	}{
		{
			name: "A.2.5 sample", algorithm: ES256, curve: elliptic.P256(), private: p256, message: "sample",
			r: "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
			s: "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
		},
		{
			name: "A.2.5 test, whose s begins with a short byte", algorithm: ES256, curve: elliptic.P256(), private: p256, message: "test",
			r: "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367",
			s: "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
		},
		{
			name: "A.2.6 sample", algorithm: ES384, curve: elliptic.P384(), private: p384, message: "sample",
			r: "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46",
			s: "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8",
		},
		{
			name: "A.2.6 test", algorithm: ES384, curve: elliptic.P384(), private: p384, message: "test",
			r: "8203b63d3c853e8d77227fb377bcf7b7b772e97892a80f36ab775d509d7a5feb0542a7f0812998da8f1dd3ca3cf023db",
			s: "ddd0760448d42d8a43af45af836fce4de8be06b485e9b61b827c2f13173923e06a739f040649a667bf3b828246baa5a5",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			private, err := ecdsa.ParseRawPrivateKey(tc.curve, unhex(t, tc.private))
			if err != nil {
				t.Fatal(err)
			}
			checkVector(t, mustKey(t, tc.algorithm, private), []byte(tc.message), unhex(t, tc.r+tc.s))
		})
	}
}

// Vectors of RFC 8032 §7.1, tests 1 to 3.
func TestSignRFC8032(t *testing.T) {
	for _, tc := range []struct{ name, private, public, message, signature string }{
		{
			name:    "test 1",
			private: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
			public:  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
			signature: "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555" +
				"fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
		},
		{
			name:    "test 2",
			private: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
			public:  "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
			message: "72",
			signature: "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da0" +
				"85ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
		},
		{
			name:    "test 3",
			private: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
			public:  "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
			message: "af82",
			signature: "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac1" +
				"8ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key := mustKey(t, EdDSA, ed25519.NewKeyFromSeed(unhex(t, tc.private)))
			if public := key.Public().(ed25519.PublicKey); !bytes.Equal(public, unhex(t, tc.public)) {
				t.Errorf("public key %x", public)
			}
			checkVector(t, key, unhex(t, tc.message), unhex(t, tc.signature))
		})
	}
}

func checkVector(t *testing.T, key Key, message, want []byte) {
	t.Helper()
	got, err := key.Sign(message)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("Sign: %v\n got %x\nwant %x", err, got, want)
	}
	if !verifiesWithCrypto(t, key.Public(), message, want) {
		t.Error("the crypto library refuses the vector")
	}
}

// verifiesWithCrypto checks a JWS signature with the crypto library alone.
func verifiesWithCrypto(t *testing.T, public crypto.PublicKey, message, sig []byte) bool {
	t.Helper()
	sha2, sha3 := sha256.Sum256(message), sha512.Sum384(message)
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		half := len(sig) / 2
		der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:])})
		if err != nil {
			t.Fatal(err)
		}
		if public.Curve == elliptic.P384() {
			return ecdsa.VerifyASN1(public, sha3[:], der)
		}
		return ecdsa.VerifyASN1(public, sha2[:], der)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, sha2[:], sig) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(public, message, sig)
	}
	return false
}

func TestSignIsDeterministicAndExact(t *testing.T) {
	lengths := map[Algorithm]int{ES256: 64, ES384: 96, RS256: minRSABits / 8, EdDSA: 64}
	for _, a := range algorithms {
		t.Run(string(a), func(t *testing.T) {
			key := mustKey(t, a, testSigner(t, a))
			// Messages of all short lengths, none included.
			for i := range 16 {
				message := bytes.Repeat([]byte{byte(i)}, i)
				first, err := key.Sign(message)
				if err != nil {
					t.Fatal(err)
				}
				again, err := key.Sign(bytes.Clone(message))
				if err != nil || !bytes.Equal(first, again) {
					t.Fatalf("the second signature of message %d differs: %v", i, err)
				}
				if len(first) != lengths[a] {
					t.Fatalf("signature of %d bytes, want %d", len(first), lengths[a])
				}
				if !verifiesWithCrypto(t, key.Public(), message, first) {
					t.Fatalf("signature of message %d is not valid", i)
				}
			}
		})
	}
}

func TestSignShortHalvesArePadded(t *testing.T) {
	key := mustKey(t, ES256, testSigner(t, ES256))
	shortR, shortS := false, false
	for i := 0; i < 5000 && (!shortR || !shortS); i++ {
		message := []byte{byte(i), byte(i >> 8)}
		sig, err := key.Sign(message)
		if err != nil || len(sig) != 64 {
			t.Fatalf("Sign: %d bytes, %v", len(sig), err)
		}
		if sig[0] == 0 || sig[32] == 0 {
			shortR, shortS = shortR || sig[0] == 0, shortS || sig[32] == 0
			if !verifiesWithCrypto(t, key.Public(), message, sig) {
				t.Fatalf("signature %x is not valid", sig)
			}
		}
	}
	if !shortR || !shortS {
		t.Error("no signature had a short half: choose other messages")
	}
}

func TestSignUsesTheKeyNotTheField(t *testing.T) {
	key := mustKey(t, ES256, testSigner(t, ES256))
	key.Algorithm = ES384
	sig, err := key.Sign([]byte("m"))
	if err != nil || len(sig) != 64 || !verifiesWithCrypto(t, key.Public(), []byte("m"), sig) {
		t.Errorf("a changed copy signed %d bytes, %v", len(sig), err)
	}
}

func TestZeroKey(t *testing.T) {
	for name, key := range map[string]*Key{"zero": {}, "nil": nil} {
		if _, err := key.Sign(nil); err == nil {
			t.Errorf("%s key signs", name)
		}
	}
}

func benchmarkKey(b *testing.B, a Algorithm) Key {
	b.Helper()
	signer, err := Generate(a)
	if err != nil {
		b.Fatal(err)
	}
	return mustKey(b, a, signer)
}

func BenchmarkSign(b *testing.B) {
	message := bytes.Repeat([]byte("x"), 512)
	for _, a := range algorithms {
		b.Run(string(a), func(b *testing.B) {
			key := benchmarkKey(b, a)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := key.Sign(message); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
