// Package keyring holds the signing keys of one issuer: an immutable snapshot of them, their rotation as
// a pure function, the Secret they are stored in, and the JWK Set that verifiers fetch.
//
// An issuer has two rings of keys that never share one: [Refresh] for refresh tokens, which only our own
// token service verifies, and [Access] for access tokens, which any API verifies with the published JWK
// Set. In each ring one key is [Active] and signs, one is [Pending] and already published, and any
// number, up to [MaxKeysPerRing] in all, are [Retiring]: they sign no more, but what they signed is still
// accepted.
//
// # Using it
//
// A controller decodes the Secret, asks [Advance] what the rings should be now, and writes the encoded
// answer only where it is not Equal to what it had:
//
//	old, err := keyring.Decode(secret.Data)
//	...
//	rings, err := keyring.Advance(old, schedule, withdrawn, inUseUntil, clock.Now(), keyring.Generate)
//	...
//	if !rings.Equal(old) {
//		data, err := keyring.Encode(rings)
//		... // write under the resourceVersion that was read; on a conflict throw rings away and begin again
//	}
//	requeueAt := rings.NextChange(schedule, clock.Now())
//
// Sign only with rings that were read back from the API server, or written to it with success: a key that
// exists in one process only signs tokens that nobody can verify.
//
// Treat a [*DamagedError] as something for a person to look at. Passing nil to Advance instead would make
// new keys and with that end every token of the issuer; nil is for a Secret that never was, and GivenUp() for
// one that a person has said will not come back.
//
// Choose Schedule.Prepublish longer than the time in which a verifier is sure to see a new key: the
// JWK Set's max-age, plus the delay between writing the Secret and its arrival at every replica of the token
// service, plus clock skew. Choose the keep times from the longest token that could be signed while the
// key was Active, not from what the policy says after a change.
//
// # Secrecy
//
// Private keys leave this package through [Encode] only. A [Key] or [Rings] that is printed, logged or
// marshalled shows its public description, whatever the verb or encoder, and no error holds key material.
//
// # Signatures
//
// Signatures are deterministic, so that a token is a function of its claims and its key. They are not
// unique: an ECDSA signature (r, s) is as valid as (r, n-s). Never use the text of a token, or a hash of it
// that came from outside, as the identity of a token.
package keyring
