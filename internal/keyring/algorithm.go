package keyring

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
)

// Algorithm is the JWS algorithm of a key, as in the `alg` header (RFC 7518 §3.1, RFC 8037 §3.1). It is
// compared byte for byte; there is no HMAC and no "none".
type Algorithm string

// The algorithms a key can have.
const (
	// ES256 is ECDSA with P-256 and SHA-256 (RFC 7518 §3.4). It is the default.
	ES256 Algorithm = "ES256"
	// ES384 is ECDSA with P-384 and SHA-384 (RFC 7518 §3.4).
	ES384 Algorithm = "ES384"
	// RS256 is RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3), for verifiers that support only RSA. Its
	// tokens are longer, and signing costs many times more.
	RS256 Algorithm = "RS256"
	// EdDSA is Ed25519 (RFC 8037 §3.1). Kubernetes' structured authentication does not accept it.
	EdDSA Algorithm = "EdDSA"
)

// Algorithms are all supported algorithms.
func Algorithms() []Algorithm { return []Algorithm{ES256, ES384, RS256, EdDSA} }

// Valid reports whether a is one of the four algorithms.
func (a Algorithm) Valid() bool { return slices.Contains(Algorithms(), a) }

// Sizes of RSA keys: the one that Generate uses, and the accepted range. A key below 2048 bits can be broken
// (RFC 7518 §3.3 requires 2048 or more); with a key above 8192 bits, one signature takes too much CPU time.
const (
	rsaBits        = 3072
	minRSABits     = 2048
	maxRSABits     = 8192
	minRSAExponent = 65537
)

// Generate returns a new private key for a, from the system's randomness: P-256, P-384, RSA of 3072 bits or
// Ed25519. It is the generate argument of Advance outside of tests. RSA takes up to seconds.
func Generate(a Algorithm) (crypto.Signer, error) {
	switch a {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ES384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case RS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	case EdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return nil, fmt.Errorf("keyring: unknown algorithm %q", a)
}

// checkFit returns nil if signer is a sound private key for a. Its errors contain only what was expected, and
// no part of the key, so that a status can show them.
func checkFit(a Algorithm, signer crypto.Signer) error {
	switch a {
	case ES256:
		return checkECDSA(signer, elliptic.P256())
	case ES384:
		return checkECDSA(signer, elliptic.P384())
	case RS256:
		return checkRSA(signer)
	case EdDSA:
		return checkEd25519(signer)
	}
	return errors.New("its algorithm is not known")
}

func checkECDSA(signer crypto.Signer, curve elliptic.Curve) error {
	key, ok := signer.(*ecdsa.PrivateKey)
	if !ok || key == nil || key.Curve != curve {
		return fmt.Errorf("is not an ECDSA key on %s", curve.Params().Name)
	}
	private, err := key.ECDH()
	if err != nil {
		return fmt.Errorf("is not a valid private key on %s", curve.Params().Name)
	}
	public, err := key.PublicKey.ECDH()
	if err != nil || !private.PublicKey().Equal(public) {
		return fmt.Errorf("has a public point that is not its own on %s", curve.Params().Name)
	}
	return nil
}

func checkRSA(signer crypto.Signer) error {
	key, ok := signer.(*rsa.PrivateKey)
	if !ok || key == nil || key.N == nil {
		return errors.New("is not an RSA key")
	}
	if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return fmt.Errorf("is an RSA key of %d bits, not of %d to %d", bits, minRSABits, maxRSABits)
	}
	if key.E < minRSAExponent {
		return fmt.Errorf("is an RSA key with a public exponent below %d", minRSAExponent)
	}
	return nil
}

// checkEd25519 also compares the stored public half: a signature made with another public half
// reveals the private key.
func checkEd25519(signer crypto.Signer) error {
	key, ok := signer.(ed25519.PrivateKey)
	if !ok || len(key) != ed25519.PrivateKeySize {
		return errors.New("is not an Ed25519 key")
	}
	if !bytes.Equal(ed25519.NewKeyFromSeed(key.Seed()), key) {
		return errors.New("has a public half that is not its own")
	}
	return nil
}
