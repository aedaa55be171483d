package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RotationMode defines when a new token supersedes the current one.
// +kubebuilder:validation:Enum=Scheduled;OneTimeUse;Never
type RotationMode string

// The modes of rotation.
const (
	// RotationScheduled issues a new token before the current one expires, with an
	// overlap in which both are accepted.
	RotationScheduled RotationMode = "Scheduled"
	// RotationOneTimeUse issues a new token when a token is used, at most one per retryGrace: for a single holder.
	RotationOneTimeUse RotationMode = "OneTimeUse"
	// RotationNever issues one token; when it expires, the refresh key is expired.
	RotationNever RotationMode = "Never"
)

// SecretMode defines whether the token is written to a Secret.
// +kubebuilder:validation:Enum=Write;None
type SecretMode string

// The modes of the Secret.
const (
	// SecretWrite writes the current token to a Secret.
	SecretWrite SecretMode = "Write"
	// SecretNone creates no Secret, as for a session, whose holder got the token at login.
	SecretNone SecretMode = "None"
)

// DeletionPolicy defines whether the Secret is deleted with its refresh key.
// +kubebuilder:validation:Enum=Delete;Retain
type DeletionPolicy string

// The deletion policies.
const (
	// DeletionDelete gives the Secret an ownerReference, so that it is deleted with the refresh key.
	DeletionDelete DeletionPolicy = "Delete"
	// DeletionRetain keeps the Secret, with a token that is no longer accepted. A refresh key
	// of the same name adopts it.
	DeletionRetain DeletionPolicy = "Retain"
)

// JWTRefreshKeySpec is the desired state of a line of refresh tokens.
//
// +kubebuilder:validation:XValidation:rule="!has(self.rotation) || !has(self.rotation.renewBefore) || duration(self.rotation.renewBefore) < duration(has(self.lifetime) ? self.lifetime : '720h') || !self.rotation.renewBefore.matches('^([0-9]+[hms])+$') || (has(self.lifetime) && !self.lifetime.matches('^([0-9]+[hms])+$'))",fieldPath=".rotation.renewBefore",message="renewBefore must be shorter than lifetime (720h when unset): raise lifetime or lower renewBefore"
// +kubebuilder:validation:XValidation:rule="!has(self.secret) || !has(self.secret.accessToken) || !self.secret.accessToken || !has(self.binding)",fieldPath=".secret.accessToken",message="accessToken cannot be combined with binding, since every reader of the Secret could use it: remove one of the two"
// +kubebuilder:validation:XValidation:rule="!has(self.secret) || !has(self.secret.accessToken) || !self.secret.accessToken || !has(self.idleTimeout)",fieldPath=".secret.accessToken",message="accessToken cannot be combined with idleTimeout, since the operator does not see its use: remove one of the two"
// +kubebuilder:validation:XValidation:rule="!has(self.secret) || !has(self.secret.accessToken) || !self.secret.accessToken || !has(self.rotation) || !has(self.rotation.mode) || self.rotation.mode != 'OneTimeUse'",fieldPath=".secret.accessToken",message="accessToken cannot be combined with rotation.mode OneTimeUse: remove it, or use Scheduled or Never"
// +kubebuilder:validation:XValidation:rule="!has(self.secret) || !has(self.secret.accessToken) || !self.secret.accessToken || !has(self.secret.mode) || self.secret.mode != 'None'",fieldPath=".secret.accessToken",message="accessToken needs a Secret: remove it, or set secret.mode to Write"
// +kubebuilder:validation:XValidation:rule="!has(self.secret) || !has(self.secret.accessToken) || !self.secret.accessToken || !has(self.accessToken) || !has(self.accessToken.lifetime) || duration(self.accessToken.lifetime) >= duration('5m') || !self.accessToken.lifetime.matches('^([0-9]+[hms])+$')",fieldPath=".accessToken.lifetime",message="with secret.accessToken the access token must live at least 5m, since each renewal costs a write: raise accessToken.lifetime"
type JWTRefreshKeySpec struct {
	// audience is the API that the tokens are for: `aud` of the refresh token and of its access
	// tokens (RFC 7519 §4.1.3), usually the URL of the API. 1 to 512 characters, no white space.
	// The issuer's policy must grant it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[!-~]+$')`,message="an audience is 1 to 512 printable ASCII characters without spaces: write it as the API expects it in `aud`, such as https://orders.example.com"
	Audience string `json:"audience"`

	// lifetime is how long each refresh token lives, from 1m to 87600h, as hours, minutes and
	// seconds (`720h`, `1h30m`). When unset: 720h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$`
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+[hms])+$') && duration(self) >= duration('1m') && duration(self) <= duration('87600h')",message="lifetime must be between 1m and 87600h, in hours, minutes and seconds such as 720h or 1h30m: write a day as 24h"
	Lifetime *metav1.Duration `json:"lifetime,omitempty"`

	// issuerRef names the JWTIssuer that signs. When unset: the issuer named `default`.
	// A change issues a new revision.
	// +optional
	IssuerRef *IssuerReference `json:"issuerRef,omitempty"`

	// expiresAt is the absolute end of the refresh key (RFC 3339): no token is accepted after it, and no
	// rotation extends it. Must be in the future when the refresh key is created. When unset: no end.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$') && self.matches('^....-(0[13578]|1[02])-..T|^....-(0[469]|11)-([012].|30)T|^....-02-([01].|2[0-8])T|^(..(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29T')`,message="expiresAt must be a date, `T`, a time and a zone (RFC 3339), on a day that exists: write it such as 2027-06-30T00:00:00Z"
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`

	// subject is `sub` of the tokens (RFC 7519 §4.1.2), at most 255 printable characters. When
	// unset: `refreshkey:<namespace>:<name>`. The issuer's policy must grant any other value. The default
	// subjects of other refresh keys, and subjects that begin with `system:`, are never granted: only a login
	// proves the identity of a ServiceAccount (status.session).
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[!-~]+$')`,message="a subject is 1 to 255 printable ASCII characters without spaces: remove other characters"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('system:') || self.startsWith('system:serviceaccount:')",message="a subject that begins with `system:` is never granted: choose another"
	Subject string `json:"subject,omitempty"`

	// scopes are `scope` of the tokens (RFC 6749 §3.3), in this order. At most 64 of at most 128
	// characters. When unset: none. The issuer's policy must grant each.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:XValidation:rule=`self.matches('^([!#-[]|[]-~])+$')`,message="a scope is 1 to 128 printable ASCII characters without spaces, double quotes and backslashes (RFC 6749 §3.3): write each scope as an item of its own"
	Scopes []string `json:"scopes,omitempty"`

	// claims are added to refresh tokens and access tokens: strings, numbers, booleans and lists of strings;
	// at most 32 names of at most 64 characters, 4 KiB in all. Names registered for JWTs (`iss`,
	// `sub`, `exp`, …) are refused in upper and lower case. When unset: none. The issuer's policy must grant each name.
	// +optional
	// +mapType=granular
	// +kubebuilder:validation:MaxProperties=32
	Claims map[string]apiextensionsv1.JSON `json:"claims,omitempty"`

	// deviceInfo describes the device that is expected to hold the token. It is for display only: no decision
	// depends on it, and a change issues no new revision. When unset: unknown.
	// +optional
	DeviceInfo *DeviceInfo `json:"deviceInfo,omitempty"`

	// secret configures the Secret for the token. When unset: a Secret with the name of the refresh key, which
	// is deleted with the refresh key.
	// +optional
	Secret *SecretSpec `json:"secret,omitempty"`

	// rotation defines when a new token supersedes the current one. When unset: Scheduled, with the defaults of each field.
	// +optional
	Rotation *RotationSpec `json:"rotation,omitempty"`

	// accessToken configures access tokens. When unset: as the issuer defines.
	// +optional
	AccessToken *KeyAccessTokenSpec `json:"accessToken,omitempty"`

	// idleTimeout is how long the refresh key can be unused before it is revoked, from 1h to 87600h. When unset: no limit.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$`
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+[hms])+$') && duration(self) >= duration('1h') && duration(self) <= duration('87600h')",message="idleTimeout must be between 1h and 87600h, in hours, minutes and seconds such as 720h or 1h30m: write a day as 24h"
	IdleTimeout *metav1.Duration `json:"idleTimeout,omitempty"`

	// revoked revokes the refresh key at once when true. Setting it back to false issues a new revision;
	// earlier tokens stay refused. When unset: false.
	// +optional
	Revoked bool `json:"revoked,omitempty"`

	// binding restricts who can use the token. When unset: any holder of the token can use it.
	// A change issues a new revision.
	// +optional
	Binding *BindingSpec `json:"binding,omitempty"`

	// rolloutRestart names workloads of the same namespace to restart after a rotation, once for
	// each revision. At most 16. Works only if the installation enables restarts. When unset: none.
	// +optional
	// +listType=map
	// +listMapKey=kind
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	RolloutRestart []WorkloadReference `json:"rolloutRestart,omitempty"`
}

// IssuerReference names a JWTIssuer.
type IssuerReference struct {
	// name of the JWTIssuer, at most 253 characters. When unset: `default`.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')`,message="the name of a JWTIssuer is lower-case letters, digits, `-` and `.`, and begins and ends with a letter or a digit: correct it"
	Name string `json:"name,omitempty"`
}

// DeviceInfo describes the device that is expected to hold a token.
type DeviceInfo struct {
	// id of the device, at most 128 characters. When unset: unknown.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	ID string `json:"id,omitempty"`
	// name of the device, for display, at most 256 characters. When unset: none.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name,omitempty"`
	// os is the operating system, at most 128 characters. When unset: unknown.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	OS string `json:"os,omitempty"`
	// browser of the device, at most 128 characters. When unset: unknown.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Browser string `json:"browser,omitempty"`
}

// SecretSpec configures the Secret for the token.
type SecretSpec struct {
	// mode is Write, or None for no Secret. When unset: Write.
	// +optional
	Mode SecretMode `json:"mode,omitempty"`

	// name of the Secret, at most 253 characters. When unset: the name of the refresh key. After a change, the
	// operator writes the new Secret at once and deletes the old one after the overlap.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')`,message="the name of a Secret is lower-case letters, digits, `-` and `.`, and begins and ends with a letter or a digit: correct it"
	Name string `json:"name,omitempty"`

	// labels added to the Secret, at most 32. Prefixes kubernetes.io, k8s.io and refreshkeys.dev,
	// and their subdomains, are refused. When unset: only the operator's own.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.matches('^([^/]*[.])?(kubernetes[.]io|k8s[.]io|refreshkeys[.]dev)/'))",message="labels under kubernetes.io/, k8s.io/ and refreshkeys.dev/ are reserved: use a prefix of your own"
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$') && k.indexOf('/') <= 253)",message="a label name must be an optional DNS name and a slash, and at most 63 of letters, digits, `-`, `_` and `.`: correct it"
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(self[k]) <= 63 && self[k].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'))",message="a label value must be at most 63 of letters, digits, `-`, `_` and `.`: correct it"
	Labels map[string]LabelValue `json:"labels,omitempty"`

	// annotations added to the Secret, at most 32, each value at most 1024 characters. Prefixes
	// kubernetes.io, k8s.io and refreshkeys.dev, and their subdomains, are refused. When unset: only
	// the operator's own.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.matches('^([^/]*[.])?(kubernetes[.]io|k8s[.]io|refreshkeys[.]dev)/'))",message="annotations under kubernetes.io/, k8s.io/ and refreshkeys.dev/ are reserved: use a prefix of your own"
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$') && k.indexOf('/') <= 253)",message="an annotation name must be an optional DNS name and a slash, and at most 63 of letters, digits, `-`, `_` and `.`: correct it"
	Annotations map[string]AnnotationValue `json:"annotations,omitempty"`

	// accessToken also stores a valid access token under `access-token`. Each renewal costs a write of the
	// Secret. Refused with binding, idleTimeout, OneTimeUse, or an access token's lifetime under 5m.
	// When unset: false.
	// +optional
	AccessToken bool `json:"accessToken,omitempty"`

	// deletionPolicy is Delete (the Secret is deleted with the refresh key) or Retain (the Secret stays, with a
	// token that is no longer accepted; a refresh key of the same name adopts it). When unset: Delete.
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// LabelValue is the value of a label.
// +kubebuilder:validation:MaxLength=63
type LabelValue string

// AnnotationValue is the value of an annotation.
// +kubebuilder:validation:MaxLength=1024
type AnnotationValue string

// RotationSpec defines when a new token supersedes the current one.
type RotationSpec struct {
	// mode is Scheduled (by time, with an overlap), OneTimeUse (at each use, for the processes of one
	// holder; see retryGrace) or Never (one token). When unset: Scheduled.
	// +optional
	Mode RotationMode `json:"mode,omitempty"`

	// renewBefore is how long before its expiry a token is superseded by the next, at least 1s and
	// shorter than lifetime. The operator renews earlier by up to a tenth of the token's age at that time, depending
	// on the UID of the refresh key, so that refresh keys created together do not renew together. No token is renewed
	// before it is 30s old, or a tenth of its lifetime if that is shorter. Only in mode Scheduled.
	// When unset: a third of lifetime.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$`
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+[hms])+$') && duration(self) >= duration('1s')",message="renewBefore must be at least 1s, in hours, minutes and seconds such as 720h or 1h30m: write a day as 24h"
	RenewBefore *metav1.Duration `json:"renewBefore,omitempty"`

	// overlap is the time in which a superseded token is still accepted. Only in mode Scheduled.
	// When unset: the defaults of its fields.
	// +optional
	Overlap *OverlapSpec `json:"overlap,omitempty"`

	// retryGrace has two effects, from 0s to 10m. For this long after a token is superseded, a client that presents
	// it gets the current token, so that a client can repeat a request whose response was lost, and several
	// processes can share one stored token. A token that is younger than retryGrace is not superseded, unless it
	// is an enrolment from a Secret or spec changes its content. A later use of a superseded token ends the line
	// (ReuseDetected), unless the client proves possession of the key of binding.jwkThumbprint. With 0s, each use
	// issues a new token, and each second use ends the line. Only in mode OneTimeUse. When unset: 30s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$`
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+[hms])+$') && duration(self) <= duration('10m')",message="retryGrace must be between 0s and 10m, in hours, minutes and seconds such as 720h or 1h30m: write a day as 24h"
	RetryGrace *metav1.Duration `json:"retryGrace,omitempty"`
}

// OverlapSpec is the time in which a superseded token is still accepted.
type OverlapSpec struct {
	// quiet is how long a superseded token must be unused before it is retired, while the current token is in
	// use; up to 87600h. The minimum in force is the access token's lifetime plus 5m. When unset: this minimum.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$`
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+[hms])+$') && duration(self) <= duration('87600h')",message="quiet must be between 0s and 87600h, in hours, minutes and seconds such as 720h or 1h30m: write a day as 24h"
	Quiet *metav1.Duration `json:"quiet,omitempty"`

	// max is the longest time from when a token is superseded until it is retired, from 0s to 87600h. When
	// unset: until the token expires.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$`
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+[hms])+$') && duration(self) <= duration('87600h')",message="max must be between 0s and 87600h, in hours, minutes and seconds such as 720h or 1h30m: write a day as 24h"
	Max *metav1.Duration `json:"max,omitempty"`
}

// KeyAccessTokenSpec configures the access tokens of a refresh key.
type KeyAccessTokenSpec struct {
	// lifetime of an access token, from 1m to 24h, at most the issuer's accessToken.maxLifetime. An access token
	// never expires after its refresh token. When unset: the issuer's accessToken.lifetime.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$`
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+[hms])+$') && duration(self) >= duration('1m') && duration(self) <= duration('24h')",message="an access token's lifetime must be between 1m and 24h, in hours, minutes and seconds such as 720h or 1h30m: write a day as 24h"
	Lifetime *metav1.Duration `json:"lifetime,omitempty"`
}

// BindingSpec restricts who can use a token.
// +kubebuilder:validation:XValidation:rule="has(self.serviceAccountName) || has(self.jwkThumbprint)",message="binding needs serviceAccountName or jwkThumbprint: set one, or remove binding"
type BindingSpec struct {
	// serviceAccountName names the ServiceAccount of the same namespace whose projected token, with the
	// issuer URL as audience, is required as client assertion (RFC 7523 §2.2). When unset: none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')`,message="the name of a ServiceAccount is lower-case letters, digits, `-` and `.`, and begins and ends with a letter or a digit: correct it"
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// jwkThumbprint is the SHA-256 thumbprint (RFC 7638) of the client key of the required DPoP proof
	// (RFC 9449): 43 characters of base64url, the last of which holds four bits. When unset: none.
	// +optional
	// +kubebuilder:validation:MinLength=43
	// +kubebuilder:validation:MaxLength=43
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$')`,message="jwkThumbprint must be the SHA-256 thumbprint of a public key (RFC 7638), 43 characters of base64url without padding: compute it again"
	JWKThumbprint string `json:"jwkThumbprint,omitempty"`
}

// WorkloadReference names a workload of the same namespace.
type WorkloadReference struct {
	// kind of the workload: Deployment, StatefulSet or DaemonSet.
	// +required
	// +kubebuilder:validation:Enum=Deployment;StatefulSet;DaemonSet
	Kind string `json:"kind"`
	// name of the workload, at most 253 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')`,message="the name of a workload is lower-case letters, digits, `-` and `.`, and begins and ends with a letter or a digit: correct it"
	Name string `json:"name"`
}

// JWTRefreshKey is a line of refresh tokens, at most one of them current.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=jrk,categories=refreshkeys
// +kubebuilder:printcolumn:name="Audience",type=string,JSONPath=`.spec.audience`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.status.expiresAt`
// +kubebuilder:printcolumn:name="Last Used",type=date,JSONPath=`.status.lastUsed`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Issuer",type=string,priority=1,JSONPath=`.status.issuer`
// +kubebuilder:printcolumn:name="Revision",type=integer,priority=1,JSONPath=`.status.revision`
// +kubebuilder:printcolumn:name="JTI",type=string,priority=1,JSONPath=`.status.jti`
// +kubebuilder:printcolumn:name="Secret",type=string,priority=1,JSONPath=`.status.secretName`
type JWTRefreshKey struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard metadata of an object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state.
	// +required
	Spec JWTRefreshKeySpec `json:"spec"`

	// status is the observed state. Only the operator and the token service write it.
	// +optional
	// +kubebuilder:default={observedGeneration: 0}
	Status JWTRefreshKeyStatus `json:"status,omitempty"`
}

// JWTRefreshKeyList is a list of JWTRefreshKeys.
// +kubebuilder:object:root=true
type JWTRefreshKeyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []JWTRefreshKey `json:"items"`
}
