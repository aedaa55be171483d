// Package issuerlifecycle decides about issuers and their signing keys. Decide is a pure function of the observed state and the
// time, except for the private keys that it asks for: it uses no client, no context and no clock. It returns a Plan, which the
// controller of issuers carries out.
package issuerlifecycle

import (
	"crypto"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// Generator returns a new private key for an algorithm.
type Generator func(keyring.Algorithm) (crypto.Signer, error)

// Observed is the observed state, the input of Decide.
type Observed struct {
	// Issuer is the object as it was read. Decide does not change it.
	Issuer *v1alpha1.JWTIssuer
	// Conflict is why requests to the issuer and to another one cannot be distinguished; nil without a conflict.
	Conflict *endpoint.Conflict
	// Trust is the fault of the CA bundle that clients trust; nil if it is not known.
	Trust *TrustFault
	// SecretFound is true if the Secret with the signing keys exists.
	SecretFound bool
	// Mislabelled is true if the Secret lacks a label by which the caches select.
	Mislabelled bool
	// Foreign is true if the Secret of this name is not one with signing keys of the issuer.
	Foreign bool
	// Rings are nil if the Secret does not exist or cannot be decoded.
	Rings *keyring.Rings
	// Damage is why the Secret cannot be decoded.
	Damage error
	// Use is until when the signing keys may be needed.
	Use Use
}

// TrustFault is the fault of the CA bundle that a user provides; the zero value means that there is none.
type TrustFault struct{ Reason, Message string }

// SecretPrefix is the beginning of the name of each Secret with signing keys.
const SecretPrefix = "signing-keys-"

// SecretName returns the name of the Secret, in the operator's namespace, with the signing keys of an issuer.
func SecretName(issuer string) string { return SecretPrefix + issuer }
