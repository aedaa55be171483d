package v1alpha1

// Condition types of both kinds, with the meaning kstatus gives them: Reconciling and
// Stalled are present only while True.
const (
	// ConditionReady is True while what spec asks for is there and usable.
	ConditionReady = "Ready"
	// ConditionReconciling is True while the operator is still working or waiting, and
	// will go on by itself.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True while nothing more happens until a user acts.
	ConditionStalled = "Stalled"
	// ConditionTrustBundle is a condition of a JWTIssuer that is present only while False: ca.crt of the provided certificate
	// cannot be copied to the Secrets of keys as it is. Tokens are issued and exchanged as usual.
	ConditionTrustBundle = "TrustBundle"
)

// Condition types of a JWTRefreshKey that report a part of spec that has no effect, or an effect that its author may not
// expect. Each is present only while True, and changes nothing about the conditions above.
const (
	// ConditionRestartIgnored is True while rolloutRestart restarts nothing.
	ConditionRestartIgnored = "RestartIgnored"
	// ConditionReuseUndetected is True while rotation.retryGrace keeps the reuse of a stolen one-time token from being detected.
	ConditionReuseUndetected = "ReuseUndetected"
)

// NoticeConditions are the types of the conditions that report parts of spec.
var NoticeConditions = []string{ConditionRestartIgnored, ConditionReuseUndetected}

// Reasons of the conditions of a JWTRefreshKey. The reason of Ready is what kubectl shows
// in the column STATUS.
const (
	// ReasonIssued: the current token is in the Secret (or, with secret.mode None, on record) and accepted.
	ReasonIssued = "Issued"
	// ReasonIssuing: a token is recorded and the Secret does not hold it yet, or the Secret could not be written and is tried again.
	ReasonIssuing = "Issuing"
	// ReasonOverlapPending: a new revision is due, and waits until an earlier superseded token is retired.
	ReasonOverlapPending = "OverlapPending"
	// ReasonIssuerNotFound: the JWTIssuer that issuerRef names does not exist.
	ReasonIssuerNotFound = "IssuerNotFound"
	// ReasonIssuerNotReady: the JWTIssuer exists, and cannot sign now.
	ReasonIssuerNotReady = "IssuerNotReady"
	// ReasonWaitingForSecret: the Secret of an earlier key of the same name still exists. The garbage collector deletes it,
	// or the operator replaces it 30 s after the key was created.
	ReasonWaitingForSecret = "WaitingForSecret"

	// ReasonRevoked: the key is revoked; status.revocationReason says why.
	ReasonRevoked = "Revoked"
	// ReasonExpired: the key reached its end and gets no further token.
	ReasonExpired = "Expired"
	// ReasonPolicyDenied: the issuer's policy does not grant what the key asks for.
	ReasonPolicyDenied = "PolicyDenied"
	// ReasonSecretConflict: the Secret's name is taken by something the operator did not create.
	ReasonSecretConflict = "SecretConflict"
	// ReasonSecretImmutable: the Secret is marked immutable, so it cannot be brought up to date.
	ReasonSecretImmutable = "SecretImmutable"
	// ReasonSecretRefused: the API server refuses the Secret, for a quota, an admission webhook or a policy.
	ReasonSecretRefused = "SecretRefused"
	// ReasonInvalidSpec: spec says something that no admission should have let through.
	ReasonInvalidSpec = "InvalidSpec"
)

// Reasons of the conditions of a JWTIssuer.
const (
	// ReasonKeysReady: both rings have a key that signs and a next one that is published.
	ReasonKeysReady = "KeysReady"
	// ReasonKeyPending: no key may sign yet; the next one is published and waits. On a JWTRefreshKey it is a reason of the
	// condition Reconciling only: the Secret has no access token until a key of the access ring may sign.
	ReasonKeyPending = "KeyPending"
	// ReasonURLConflict: an older JWTIssuer has the same URL.
	ReasonURLConflict = "URLConflict"
	// ReasonEndpointConflict: a request to the issuer's url or endpointURL cannot be told from a request to another issuer.
	ReasonEndpointConflict = "EndpointConflict"
	// ReasonKeysLost: the Secret with the signing keys is gone while tokens signed by them live.
	ReasonKeysLost = "KeysLost"
	// ReasonKeysDamaged: the Secret with the signing keys cannot be read, or lacks keys that it must hold.
	ReasonKeysDamaged = "KeysDamaged"
	// ReasonKeysForeign: the name of the Secret for the signing keys is taken by something else.
	ReasonKeysForeign = "KeysForeign"

	// ReasonTrustBundleKept: ca.crt of the provided certificate cannot be used; the Secrets of keys keep the last one that could.
	ReasonTrustBundleKept = "TrustBundleKept"
	// ReasonTrustBundlePartial: ca.crt of the provided certificate holds more than the operator copies to the Secrets of keys.
	ReasonTrustBundlePartial = "TrustBundlePartial"
	// ReasonTrustBundleMissing: ca.crt of the provided certificate cannot be used, and there was no usable one before.
	ReasonTrustBundleMissing = "TrustBundleMissing"
)

// Reasons of the conditions that report a part of spec.
const (
	// ReasonRestartsDisabled: the manager runs without --restarts.
	ReasonRestartsDisabled = "RestartsDisabled"
	// ReasonNothingRotates: no rotation of the key puts a token into a Secret.
	ReasonNothingRotates = "NothingRotates"
	// ReasonRetryGraceTooLong: rotation.retryGrace of an unbound key reaches the lifetime of its access tokens.
	ReasonRetryGraceTooLong = "RetryGraceTooLong"
)

// RevocationReason says why a key was revoked.
// +kubebuilder:validation:Enum=Requested;Logout;IdleTimeout;ReuseDetected;KeyWithdrawn
type RevocationReason string

// Why a key was revoked.
const (
	// RevokedRequested: spec.revoked is true; or rotate-now asked for an end of all tokens while none
	// could be made in their place, or spec.expiresAt was moved before their end.
	RevokedRequested RevocationReason = "Requested"
	// RevokedLogout: the holder revoked its token at the revocation endpoint (RFC 7009).
	RevokedLogout RevocationReason = "Logout"
	// RevokedIdleTimeout: nobody used the key for spec.idleTimeout.
	RevokedIdleTimeout RevocationReason = "IdleTimeout"
	// RevokedReuseDetected: a one-time token was used again (RFC 9700 §4.14.2).
	RevokedReuseDetected RevocationReason = "ReuseDetected"
	// RevokedKeyWithdrawn: the key that signed a one-time token was withdrawn.
	RevokedKeyWithdrawn RevocationReason = "KeyWithdrawn"
)
