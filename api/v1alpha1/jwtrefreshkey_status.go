package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// JWTRefreshKeyStatus is what is. Times are RFC 3339 in UTC.
type JWTRefreshKeyStatus struct {
	// observedGeneration is the generation of spec that the controller last looked at.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740991
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// issuer is the name of the JWTIssuer in force.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Issuer string `json:"issuer,omitempty"`

	// effective shows the values in force, defaults included.
	// +optional
	Effective *EffectiveValues `json:"effective,omitempty"`

	// TokenLine says which token is current.
	TokenLine `json:",inline"`

	// firstRevision is the lowest revision whose tokens, refresh and access tokens alike, can be accepted.
	// Tokens of a lower revision were issued before a revocation, a logout, a reuse, an idle timeout, a rotate-now
	// or a withdrawal of the signing key, and stay refused. Unset until one of these happens.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740991
	FirstRevision int64 `json:"firstRevision,omitempty"`

	// renewalTime is when the next revision is due. Unset where none is planned.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	RenewalTime *metav1.Time `json:"renewalTime,omitempty"`

	// lastUsed is when a token of this key was last exchanged, to within some minutes.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	LastUsed *metav1.Time `json:"lastUsed,omitempty"`

	// lastUsedRevision is the revision of the token that was last exchanged. In mode OneTimeUse it is the revision
	// that was last followed by another because it was used, and 0 while an enrolment has not been used.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740991
	LastUsedRevision int64 `json:"lastUsedRevision,omitempty"`

	// supersededLastUsed is when a superseded token of this key was last exchanged.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	SupersededLastUsed *metav1.Time `json:"supersededLastUsed,omitempty"`

	// deviceInfo is the device seen at the last use.
	// +optional
	DeviceInfo *SeenDevice `json:"deviceInfo,omitempty"`

	// revokedAt is when the key was revoked. Unset while it is not.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	RevokedAt *metav1.Time `json:"revokedAt,omitempty"`

	// revocationReason says why the key was revoked. Unset while it is not.
	// +optional
	RevocationReason RevocationReason `json:"revocationReason,omitempty"`

	// session is set on keys that were made by a login.
	// +optional
	Session *SessionStatus `json:"session,omitempty"`

	// secretName is the Secret that holds the current token.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`

	// lastHandledRotate holds the values of the annotations rotate and (behind `now:`) rotate-now that
	// were last acted on, separated by a space.
	// +optional
	// +kubebuilder:validation:MaxLength=200
	LastHandledRotate string `json:"lastHandledRotate,omitempty"`

	// conditions are Ready, and while True also Reconciling and Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// TokenLine is the line of a key: the fields that say which of its tokens is current, and
// which superseded ones are still accepted. It is advanced by compare-and-swap only.
type TokenLine struct {
	// revision is 1 for the key's first token and one more for each later one.
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

	// keyID is the thumbprint (RFC 7638) of the key that signed the current token.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	KeyID string `json:"keyID,omitempty"`

	// createdAt is when the current token was made.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	CreatedAt *metav1.Time `json:"createdAt,omitempty"`

	// expiresAt is the end of the current token.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`

	// content is the payload of the current token, from which, with the signing key, the token can be
	// made again.
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

// SupersededToken is a token that a later one has followed, and that is still accepted.
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
	// createdAt is when the token was made.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	CreatedAt metav1.Time `json:"createdAt"`
	// expiresAt is the end of the token.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	ExpiresAt metav1.Time `json:"expiresAt"`
}

// EffectiveValues are the values in force, defaults included.
type EffectiveValues struct {
	// lifetime of each refresh token.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?$`
	Lifetime *metav1.Duration `json:"lifetime,omitempty"`
	// renewBefore is how long before its end a token is followed by the next. Unset in modes that
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
	// accessTokenLifetime is how long an access token lives at the most.
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
	// quiet is how long a superseded token must be silent before it is retired.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?$`
	Quiet *metav1.Duration `json:"quiet,omitempty"`
	// max is how long after it was superseded a token is retired at the latest. Unset: at its own end.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?$`
	Max *metav1.Duration `json:"max,omitempty"`
}

// SeenDevice is the device seen at the last use of a token.
type SeenDevice struct {
	// userAgent is the User-Agent header, cut at 256 bytes.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	UserAgent string `json:"userAgent,omitempty"`
	// browser read out of the user agent.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Browser string `json:"browser,omitempty"`
	// os read out of the user agent.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	OS string `json:"os,omitempty"`
	// id that the client gave as device_id.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	ID string `json:"id,omitempty"`
	// ipAddress of the client, where the installation switched it on.
	// +optional
	// +kubebuilder:validation:MaxLength=45
	IPAddress string `json:"ipAddress,omitempty"`
}

// LoginMethod is how somebody proved who he is.
// +kubebuilder:validation:Enum=ServiceAccount;OIDC;Password
type LoginMethod string

// How somebody can sign in.
const (
	// LoginServiceAccount is by a token that the cluster issued to a ServiceAccount.
	LoginServiceAccount LoginMethod = "ServiceAccount"
	// LoginOIDC is by an id_token of a provider that spec.login.oidc of the issuer names.
	LoginOIDC LoginMethod = "OIDC"
	// LoginPassword is by a user name and a password.
	LoginPassword LoginMethod = "Password"
)

// SessionStatus tells of the login that made a key.
type SessionStatus struct {
	// subject that was proven at the login. spec.subject must equal it at every exchange.
	// +required
	// +kubebuilder:validation:MaxLength=600
	Subject string `json:"subject"`
	// method of the login: ServiceAccount, OIDC or Password.
	// +optional
	Method LoginMethod `json:"method,omitempty"`
	// uid of the ServiceAccount that signed in; one made again under its name is another.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	UID string `json:"uid,omitempty"`
	// provider is the issuerURL of the OpenID Connect provider that proved the subject.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Provider string `json:"provider,omitempty"`
	// startedAt is when the login took place.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	StartedAt metav1.Time `json:"startedAt"`
}
