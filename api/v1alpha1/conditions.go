package v1alpha1

// Condition types of both kinds, with the meaning that kstatus defines: Reconciling and
// Stalled are present only while True.
const (
	// ConditionReady of a refresh key is True while the token service accepts the token that the key has issued, and of an
	// issuer while its signing keys can sign.
	ConditionReady = "Ready"
	// ConditionReconciling is True while the operator is working or waiting, and
	// continues without a user.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True while the operator cannot continue until a user acts.
	ConditionStalled = "Stalled"
	// ConditionTrustBundle is a condition of a JWTIssuer that is present only while False: ca.crt of the provided certificate
	// cannot be copied unchanged to the Secrets of refresh keys. Tokens are issued and exchanged as usual.
	ConditionTrustBundle = "TrustBundle"
)

// Condition types of a JWTRefreshKey that report a part of spec that has no effect, or an effect that its author may not
// expect. Each is present only while True, and does not affect the conditions above.
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
	// ReasonIssued: the current token is in the Secret (with secret.mode None, in status) and accepted.
	ReasonIssued = "Issued"
	// ReasonIssuing: a token is recorded in status and not yet in the Secret, or the operator retries a failed write of the Secret.
	ReasonIssuing = "Issuing"
	// ReasonOverlapPending: a new revision is due, and waits until a superseded token is retired.
	ReasonOverlapPending = "OverlapPending"
	// ReasonIssuerNotFound: the JWTIssuer that issuerRef names does not exist.
	ReasonIssuerNotFound = "IssuerNotFound"
	// ReasonIssuerNotReady: the JWTIssuer exists, but cannot sign.
	ReasonIssuerNotReady = "IssuerNotReady"
	// ReasonWaitingForSecret: the Secret of an earlier key of the same name still exists. The garbage collector deletes it,
	// or the operator replaces it 30 s after the key was created.
	ReasonWaitingForSecret = "WaitingForSecret"

	// ReasonRevoked: the refresh key is revoked; status.revocationReason is the reason.
	ReasonRevoked = "Revoked"
	// ReasonExpired: the refresh key reached its end and gets no further token.
	ReasonExpired = "Expired"
	// ReasonPolicyDenied: the issuer's policy does not grant the spec of the refresh key.
	ReasonPolicyDenied = "PolicyDenied"
	// ReasonSecretConflict: a Secret of that name exists that does not belong to the refresh key.
	ReasonSecretConflict = "SecretConflict"
	// ReasonSecretImmutable: the Secret is immutable, so the operator cannot update it.
	ReasonSecretImmutable = "SecretImmutable"
	// ReasonSecretRefused: the API server refuses the Secret, for a quota, an admission webhook or a policy.
	ReasonSecretRefused = "SecretRefused"
	// ReasonInvalidSpec: spec has a value that the operator refuses, such as one that passed no admission policy, claims above
	// MaxClaimsSize, or claims and scopes with which a token would exceed 8 KiB.
	ReasonInvalidSpec = "InvalidSpec"
)

// Reasons of the conditions of a JWTIssuer.
const (
	// ReasonKeysReady: both rings have a signing key that signs and a next one that is published.
	ReasonKeysReady = "KeysReady"
	// ReasonKeyPending: no signing key signs yet; the next one is published and waits. On a JWTRefreshKey it is a reason of the
	// condition Reconciling only: the Secret has no access token until a signing key of the access ring signs.
	ReasonKeyPending = "KeyPending"
	// ReasonURLConflict: an older JWTIssuer has the same URL.
	ReasonURLConflict = "URLConflict"
	// ReasonEndpointConflict: a request to the issuer's url or endpointURL could also be a request to another issuer.
	ReasonEndpointConflict = "EndpointConflict"
	// ReasonKeysLost: the Secret with the signing keys does not exist, and tokens that they signed are still valid.
	ReasonKeysLost = "KeysLost"
	// ReasonKeysDamaged: the Secret with the signing keys cannot be parsed, or lacks a required signing key.
	ReasonKeysDamaged = "KeysDamaged"
	// ReasonKeysForeign: the Secret for the signing keys has another type or no label of the operator.
	ReasonKeysForeign = "KeysForeign"

	// ReasonTrustBundleKept: ca.crt of the provided certificate is unusable; the Secrets of refresh keys keep the last usable one.
	ReasonTrustBundleKept = "TrustBundleKept"
	// ReasonTrustBundlePartial: ca.crt of the provided certificate contains more than the operator copies to the Secrets of refresh keys.
	ReasonTrustBundlePartial = "TrustBundlePartial"
	// ReasonTrustBundleMissing: ca.crt of the provided certificate is unusable, and there was no usable one before.
	ReasonTrustBundleMissing = "TrustBundleMissing"
)

// Reasons of the conditions that report a part of spec.
const (
	// ReasonRestartsDisabled: the manager runs without --restarts.
	ReasonRestartsDisabled = "RestartsDisabled"
	// ReasonNothingRotates: no rotation of the refresh key writes a token to a Secret.
	ReasonNothingRotates = "NothingRotates"
	// ReasonRetryGraceTooLong: rotation.retryGrace of an unbound refresh key reaches the lifetime of its access tokens.
	ReasonRetryGraceTooLong = "RetryGraceTooLong"
)

// RevocationReason is the reason why a refresh key was revoked.
// +kubebuilder:validation:Enum=Requested;Logout;IdleTimeout;ReuseDetected;KeyWithdrawn
type RevocationReason string

// The revocation reasons.
const (
	// RevokedRequested: spec.revoked is true; or rotate-now ended all tokens while no new one could be
	// issued; or spec.expiresAt was moved before their end.
	RevokedRequested RevocationReason = "Requested"
	// RevokedLogout: the holder revoked its token at the revocation endpoint (RFC 7009), or its subject ended the session.
	RevokedLogout RevocationReason = "Logout"
	// RevokedIdleTimeout: the refresh key was unused for spec.idleTimeout.
	RevokedIdleTimeout RevocationReason = "IdleTimeout"
	// RevokedReuseDetected: a one-time token was used again (RFC 9700 §4.14.2).
	RevokedReuseDetected RevocationReason = "ReuseDetected"
	// RevokedKeyWithdrawn: the signing key of a one-time token was withdrawn.
	RevokedKeyWithdrawn RevocationReason = "KeyWithdrawn"
)
