// Package keyring contains the signing keys of one issuer: an immutable snapshot of them, their rotation as
// a pure function, the Secret that stores them, and the JWK Set that verifiers fetch.
//
// An issuer has rings without common keys: [Refresh] for refresh tokens, which only the
// token service verifies, [Access] for access tokens, which any API verifies with the published JWK
// Set, and, if people sign in with a browser, [Seal], of which the token service derives secrets to encrypt what a
// sign-in carries. In each ring one key is [Active] and signs or seals, one is [Pending] and already published, and any
// number, up to [MaxKeysPerRing] or [MaxSealKeys] in all, are [Retiring]: they no longer sign, but their tokens are still
// accepted.
//
// # Using it
//
// A controller decodes the Secret, calls [Advance] for the rings at this time, and writes the encoded
// result only if it is not Equal to the decoded rings:
//
//	old, err := keyring.Decode(secret.Data)
//	...
//	rings, err := keyring.Advance(old, schedule, withdrawn, inUseUntil, clock.Now(), keyring.Generate)
//	...
//	if !rings.Equal(old) {
//		data, err := keyring.Encode(rings)
//		... // write with the resourceVersion that was read; on a conflict discard rings and start again
//	}
//	requeueAt := rings.NextChange(schedule, clock.Now())
//
// Sign only with rings that were read from the API server, or successfully written to it: no replica can
// verify tokens of a key that exists in one process only.
//
// Report a [*DamagedError] to an administrator. Passing nil to Advance instead would create new keys and so
// end every token of the issuer. Use nil for a Secret that never existed, and GivenUp() for one that an
// administrator declared lost.
//
// Choose Schedule.Prepublish longer than the time until every verifier has a new key: the
// JWK Set's max-age, plus the delay between writing the Secret and its arrival at every replica of the token
// service, plus clock skew. Choose the keep times from the longest lifetime of a token signed while the
// key was Active, not from the policy after a change.
//
// # Secrecy
//
// Only [Encode] returns private keys. A [Key] or [Rings] that is printed, logged or
// marshalled shows its public description, with any verb or encoder, and no error contains key material.
//
// # Signatures
//
// Signatures are deterministic, so a token is a function of its claims and its key. They are not
// unique: an ECDSA signature (r, s) is as valid as (r, n-s). Never use the text of a received token, or a
// hash of it, as the identity of a token.
package keyring
