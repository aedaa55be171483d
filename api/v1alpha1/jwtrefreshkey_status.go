package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// JWTRefreshKeyStatus is the observed state of a refresh key. Times are RFC 3339 in UTC.
type JWTRefreshKeyStatus struct {
	// observedGeneration is the generation of spec that the controller last observed.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740991
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// issuer is the name of the JWTIssuer in force.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Issuer string `json:"issuer,omitempty"`

	// effective contains the values in force, including defaults.
	// +optional
	Effective *EffectiveValues `json:"effective,omitempty"`

	// TokenLine identifies the current token and the superseded tokens that are still accepted.
	TokenLine `json:",inline"`

	// firstRevision is the lowest revision whose refresh and access tokens can be accepted.
	// Tokens of a lower revision were issued before a revocation, a logout, a reuse, an idle timeout, a rotate-now
	// or a withdrawal of the signing key, and stay refused. Unset until one of these happens.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740991
	FirstRevision int64 `json:"firstRevision,omitempty"`

	// renewalTime is when the next revision is due. Unset if none is planned.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	RenewalTime *metav1.Time `json:"renewalTime,omitempty"`

	// lastUsed is when a token of this refresh key was last exchanged, accurate to some minutes.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	LastUsed *metav1.Time `json:"lastUsed,omitempty"`

	// lastUsedRevision is the revision of the token that was last exchanged. In mode OneTimeUse it is the revision
	// that was last superseded by its use, and 0 while an enrolment is unused.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740991
	LastUsedRevision int64 `json:"lastUsedRevision,omitempty"`

	// supersededLastUsed is when a superseded token of this refresh key was last exchanged.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	SupersededLastUsed *metav1.Time `json:"supersededLastUsed,omitempty"`

	// deviceInfo is the device observed at the last use.
	// +optional
	DeviceInfo *SeenDevice `json:"deviceInfo,omitempty"`

	// revokedAt is when the refresh key was revoked. Unset while it is not revoked.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	RevokedAt *metav1.Time `json:"revokedAt,omitempty"`

	// revocationReason is the reason for the revocation. Unset while the refresh key is not revoked.
	// +optional
	RevocationReason RevocationReason `json:"revocationReason,omitempty"`

	// session describes the login that created the refresh key. Unset on other refresh keys.
	// +optional
	Session *SessionStatus `json:"session,omitempty"`

	// secretName is the name of the Secret that contains the current token.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`

	// lastHandledRotate contains the last handled values of the annotations rotate and (after `now:`)
	// rotate-now, separated by a space.
	// +optional
	// +kubebuilder:validation:MaxLength=200
	LastHandledRotate string `json:"lastHandledRotate,omitempty"`

	// conditions are Ready, and, only while True, Reconciling, Stalled, RestartIgnored and ReuseUndetected.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// TokenLine is the line of a refresh key: it identifies the current token and the superseded
// tokens that are still accepted. It is updated by compare-and-swap only.
type TokenLine struct {
	// revision is 1 for the first token of the refresh key and increases by 1 with each later token.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740991
	Revision int64 `json:"revision,omitempty"`

	// jti is the identifier of the current token (RFC 7519 §4.1.7).
	// +optional
	// +kubebuilder:validation:MaxLength=64
	JTI string `json:"jti,omitempty"`

	// tokenHash is `sha256:` and the hash of the current token's compact form in lower-case hex.
	// +optional
	// +kubebuilder:validation:MaxLength=71
	// +kubebuilder:validation:Pattern=`^(sha256:[0-9a-f]{64})?$`
	TokenHash string `json:"tokenHash,omitempty"`

	// keyID is the thumbprint (RFC 7638) of the signing key of the current token.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	KeyID string `json:"keyID,omitempty"`

	// createdAt is when the current token was issued.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	CreatedAt *metav1.Time `json:"createdAt,omitempty"`

	// expiresAt is when the current token expires.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`

	// content is the payload of the current token. With it and the signing key, the operator can
	// recreate the token.
	// +optional
	// +mapType=atomic
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:pruning:PreserveUnknownFields
	Content *apiextensionsv1.JSON `json:"content,omitempty"`

	// previous are the superseded tokens that are not yet retired, oldest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=2
	Previous []SupersededToken `json:"previous,omitempty"`
}

// SupersededToken is a superseded token that is still accepted.
type SupersededToken struct {
	// jti of the token.
	// +required
	// +kubebuilder:validation:MaxLength=64
	JTI string `json:"jti"`
	// revision of the token.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9007199254740991
	Revision int64 `json:"revision"`
	// tokenHash is `sha256:` and the hash of the token's compact form in lower-case hex.
	// +required
	// +kubebuilder:validation:MaxLength=71
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	TokenHash string `json:"tokenHash"`
	// createdAt is when the token was issued.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	CreatedAt metav1.Time `json:"createdAt"`
	// expiresAt is when the token expires.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	ExpiresAt metav1.Time `json:"expiresAt"`
}

// EffectiveValues are the values in force, including defaults.
type EffectiveValues struct {
	// lifetime of each refresh token.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?$`
	Lifetime *metav1.Duration `json:"lifetime,omitempty"`
	// renewBefore is how long before its expiry a token is superseded by the next. Unset in modes that
	// do not renew by time.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?$`
	RenewBefore *metav1.Duration `json:"renewBefore,omitempty"`
	// overlap is the time in which a superseded token is still accepted.
	// +optional
	Overlap *EffectiveOverlap `json:"overlap,omitempty"`
	// accessTokenLifetime is the longest lifetime of an access token.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?$`
	AccessTokenLifetime *metav1.Duration `json:"accessTokenLifetime,omitempty"`
	// subject is `sub` of the tokens.
	// +optional
	// +kubebuilder:validation:MaxLength=600
	Subject string `json:"subject,omitempty"`
}

// EffectiveOverlap is the overlap in force.
type EffectiveOverlap struct {
	// quiet is how long a superseded token must be unused before it is retired.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?$`
	Quiet *metav1.Duration `json:"quiet,omitempty"`
	// max is the longest time from when a token is superseded until it is retired. Unset: until the token expires.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?$`
	Max *metav1.Duration `json:"max,omitempty"`
}

// SeenDevice is the device observed at the last use of a token.
type SeenDevice struct {
	// userAgent is the User-Agent header, truncated to 256 bytes.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	UserAgent string `json:"userAgent,omitempty"`
	// browser derived from userAgent.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Browser string `json:"browser,omitempty"`
	// os derived from userAgent.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	OS string `json:"os,omitempty"`
	// id that the client sent as device_id.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	ID string `json:"id,omitempty"`
	// ipAddress of the client, if the installation enables it.
	// +optional
	// +kubebuilder:validation:MaxLength=45
	IPAddress string `json:"ipAddress,omitempty"`
}

// LoginMethod is the method by which a caller proved an identity.
// +kubebuilder:validation:Enum=ServiceAccount;OIDC;Password
type LoginMethod string

// The login methods.
const (
	// LoginServiceAccount is a login with a token that the cluster issued to a ServiceAccount.
	LoginServiceAccount LoginMethod = "ServiceAccount"
	// LoginOIDC is a login with an id_token of a provider in the issuer's spec.login.oidc.
	LoginOIDC LoginMethod = "OIDC"
	// LoginPassword is a login with a user name and a password.
	LoginPassword LoginMethod = "Password"
)

// SessionStatus describes the login that created a refresh key.
type SessionStatus struct {
	// subject that the login proved. spec.subject must equal it at every exchange.
	// +required
	// +kubebuilder:validation:MaxLength=600
	Subject string `json:"subject"`
	// method of the login: ServiceAccount, OIDC or Password.
	// +optional
	Method LoginMethod `json:"method,omitempty"`
	// uid of the ServiceAccount that signed in. A ServiceAccount that was deleted and created again has another uid.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	UID string `json:"uid,omitempty"`
	// provider is the issuerURL of the OpenID Connect provider that proved the subject.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Provider string `json:"provider,omitempty"`
	// client is the id of the client in spec.login.clients that the person signed in to; empty for a login without a client.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Client string `json:"client,omitempty"`
	// startedAt is when the login took place.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	StartedAt metav1.Time `json:"startedAt"`
}
