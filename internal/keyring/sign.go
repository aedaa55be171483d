package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

var (
	errNoPrivateKey = errors.New("keyring: key has no private half")
	errSignsNothing = errors.New("keyring: a key of the seal ring signs nothing")
)

// Sign returns the JWS signature of message, which is the JWS signing input (RFC 7515 §5.1), not a
// digest. The same message always gives the same bytes:
//
//   - ES256, ES384: r || s, each as long as the curve's order, so 64 or 96 bytes (RFC 7518 §3.4), with
//     the nonce of RFC 6979;
//   - RS256: RSASSA-PKCS1-v1_5, as long as the modulus (RFC 7518 §3.3);
//   - EdDSA: 64 bytes (RFC 8032 §5.1.6).
//
// It signs in any state of the key: use the key of Rings.Signer.
func (k *Key) Sign(message []byte) ([]byte, error) {
	if k == nil || k.private == nil {
		return nil, errNoPrivateKey
	}
	if k.Use == Seal {
		return nil, errSignsNothing
	}
	// The type of the key decides, not the exported Algorithm, which a holder of a copy can change.
	switch private := k.private().(type) {
	case *ecdsa.PrivateKey:
		return signECDSA(private, message)
	case *rsa.PrivateKey:
		digest := sha256.Sum256(message)
		return rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:])
	case ed25519.PrivateKey:
		return ed25519.Sign(private, message), nil
	}
	return nil, errNoPrivateKey
}

func signECDSA(private *ecdsa.PrivateKey, message []byte) ([]byte, error) {
	digest, hash := digestFor(private.Curve, message)
	// Without a source of randomness, crypto/ecdsa signs by RFC 6979.
	der, err := private.Sign(nil, digest, hash)
	if err != nil {
		return nil, fmt.Errorf("keyring: sign: %w", err)
	}
	var parts struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &parts); err != nil || len(rest) > 0 {
		return nil, errors.New("keyring: sign: crypto/ecdsa gave no ASN.1 signature")
	}
	size := orderSize(private.Curve)
	sig := make([]byte, 2*size)
	parts.R.FillBytes(sig[:size])
	parts.S.FillBytes(sig[size:])
	return sig, nil
}

// digestFor returns the digest by the hash function that RFC 7518 §3.4 assigns to the curve; checkFit accepts
// only these two curves.
func digestFor(curve elliptic.Curve, message []byte) ([]byte, crypto.Hash) {
	if curve == elliptic.P384() {
		digest := sha512.Sum384(message)
		return digest[:], crypto.SHA384
	}
	digest := sha256.Sum256(message)
	return digest[:], crypto.SHA256
}

func orderSize(curve elliptic.Curve) int { return (curve.Params().BitSize + 7) / 8 }
