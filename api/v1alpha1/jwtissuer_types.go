package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SigningAlgorithm is a JWS algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
// +kubebuilder:validation:Enum=ES256;ES384;RS256;EdDSA
type SigningAlgorithm string

// The algorithms an issuer can sign with.
const (
	// ES256 is ECDSA with P-256 and SHA-256.
	ES256 SigningAlgorithm = "ES256"
	// ES384 is ECDSA with P-384 and SHA-384.
	ES384 SigningAlgorithm = "ES384"
	// RS256 is RSASSA-PKCS1-v1_5 with SHA-256 and keys of 3072 bits.
	RS256 SigningAlgorithm = "RS256"
	// EdDSA is Ed25519. kube-apiserver's structured authentication does not accept it.
	EdDSA SigningAlgorithm = "EdDSA"
)

// JWTIssuerSpec is the desired state of an issuer.
type JWTIssuerSpec struct {
	// url is `iss` of the tokens and the base URL of the endpoints (RFC 8414 §2): https, without query,
	// fragment, user or trailing slash, 9 to 512 characters. Immutable, because every token and every
	// verifier names it. If two issuers have the same URL, the younger one is stalled.
	// +required
	// +kubebuilder:validation:MinLength=9
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="url is immutable, since tokens and verifiers name it: create another JWTIssuer"
	// +kubebuilder:validation:XValidation:rule="self.startsWith('https://')",message="url must begin with https:// (RFC 8414 §2): change the scheme"
	// +kubebuilder:validation:XValidation:rule="!self.contains('?')",message="url must have no query (RFC 8414 §2): remove `?` and what follows"
	// +kubebuilder:validation:XValidation:rule="!self.contains('#')",message="url must have no fragment (RFC 8414 §2): remove `#` and what follows"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[^?#]*://[^?#]*/[.]{0,2}(/|[?#]|$)')",message="url must not end in a slash, nor hold empty, `.` or `..` path segments: remove them"
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z]+://([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*|[[][0-9a-f:]+[]])(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?(/[A-Za-z0-9._~/-]*)?([?#].*)?$')",message="url must be https:// and a lower-case host name or an address (IPv6 in brackets), with an optional port and a path of letters, digits and . _ ~ - /: such as https://tokens.example.com"
	// +kubebuilder:validation:XValidation:rule=`!self.contains('[') || self.matches('^[^[]*[[]([0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}|([0-9a-f]{1,4}:){1,7}:|([0-9a-f]{1,4}:){1,6}(:[0-9a-f]{1,4}){1,1}|([0-9a-f]{1,4}:){1,5}(:[0-9a-f]{1,4}){1,2}|([0-9a-f]{1,4}:){1,4}(:[0-9a-f]{1,4}){1,3}|([0-9a-f]{1,4}:){1,3}(:[0-9a-f]{1,4}){1,4}|([0-9a-f]{1,4}:){1,2}(:[0-9a-f]{1,4}){1,5}|([0-9a-f]{1,4}:){1,1}(:[0-9a-f]{1,4}){1,6}|:(:[0-9a-f]{1,4}){1,7}|::)[]]')`,message="url: the text in brackets must be an IPv6 address in lower case, without a zone, such as https://[fd00::1]:8443: correct it"
	URL string `json:"url"`

	// endpointURL is the URL at which clients inside the cluster reach the token service: https, at most 512
	// characters. When unset: url. In both fields the host can be an IP address; write IPv6 in brackets.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self == '' || (self.matches('^https://([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*|[[][0-9a-f:]+[]])(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?(/[A-Za-z0-9._~/-]*)?$') && !self.matches('^https://.*/[.]{0,2}(/|$)'))",message="endpointURL must be https:// and a lower-case host name or an address (IPv6 in brackets), with an optional port and path, and without query, fragment, user or trailing slash: such as https://refreshkeys.refreshkeys-system.svc"
	// +kubebuilder:validation:XValidation:rule=`!self.contains('[') || self.matches('^[^[]*[[]([0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}|([0-9a-f]{1,4}:){1,7}:|([0-9a-f]{1,4}:){1,6}(:[0-9a-f]{1,4}){1,1}|([0-9a-f]{1,4}:){1,5}(:[0-9a-f]{1,4}){1,2}|([0-9a-f]{1,4}:){1,4}(:[0-9a-f]{1,4}){1,3}|([0-9a-f]{1,4}:){1,3}(:[0-9a-f]{1,4}){1,4}|([0-9a-f]{1,4}:){1,2}(:[0-9a-f]{1,4}){1,5}|([0-9a-f]{1,4}:){1,1}(:[0-9a-f]{1,4}){1,6}|:(:[0-9a-f]{1,4}){1,7}|::)[]]')`,message="endpointURL: the text in brackets must be an IPv6 address in lower case, without a zone, such as https://[fd00::1]:8443: correct it"
	EndpointURL string `json:"endpointURL,omitempty"`

	// signing configures the signing keys. When unset: the defaults of its fields.
	// +optional
	Signing *SigningSpec `json:"signing,omitempty"`

	// accessToken configures access tokens. When unset: the defaults of its fields.
	// +optional
	AccessToken *IssuerAccessTokenSpec `json:"accessToken,omitempty"`

	// policy defines which tokens a namespace can get. When unset: any namespace can get any audience for up to
	// 2160h, with the default subject and no scopes or claims. A policy without rules grants nothing.
	// +optional
	Policy *PolicySpec `json:"policy,omitempty"`

	// login defines who can sign in at the token service. When unset: no login is possible.
	// +optional
	Login *LoginSpec `json:"login,omitempty"`
}

// SigningSpec configures the signing keys of an issuer.
// +kubebuilder:validation:XValidation:rule="duration(has(self.prepublish) ? self.prepublish : '1h') < duration(has(self.rotateAfter) ? self.rotateAfter : '2160h') || (has(self.prepublish) && !self.prepublish.matches('^([0-9]+[hms])+$')) || (has(self.rotateAfter) && !self.rotateAfter.matches('^([0-9]+[hms])+$'))",fieldPath=".prepublish",message="prepublish (1h when unset) must be shorter than rotateAfter (2160h when unset): lower the first or raise the second"
type SigningSpec struct {
	// algorithm of new signing keys: ES256, ES384, RS256 or EdDSA. When unset: ES256. After a change, the operator
	// publishes the next signing key, with the new algorithm, at once. It signs after prepublish.
	// +optional
	Algorithm SigningAlgorithm `json:"algorithm,omitempty"`

	// rotateAfter is how long a signing key signs before the next one replaces it, from 1h to 87600h. When unset: 2160h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$`
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+[hms])+$') && duration(self) >= duration('1h') && duration(self) <= duration('87600h')",message="rotateAfter must be between 1h and 87600h, in hours, minutes and seconds such as 720h or 1h30m: write a day as 24h"
	RotateAfter *metav1.Duration `json:"rotateAfter,omitempty"`

	// prepublish is how long a signing key is published before it signs, from 1m to 168h, so that the
	// cache of every verifier contains it in time. When unset: 1h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$`
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+[hms])+$') && duration(self) >= duration('1m') && duration(self) <= duration('168h')",message="prepublish must be between 1m and 168h, in hours, minutes and seconds such as 720h or 1h30m: write a day as 24h"
	Prepublish *metav1.Duration `json:"prepublish,omitempty"`
}

// IssuerAccessTokenSpec configures the access tokens of an issuer.
// +kubebuilder:validation:XValidation:rule="duration(has(self.lifetime) ? self.lifetime : '15m') <= duration(has(self.maxLifetime) ? self.maxLifetime : '1h') || (has(self.lifetime) && !self.lifetime.matches('^([0-9]+[hms])+$')) || (has(self.maxLifetime) && !self.maxLifetime.matches('^([0-9]+[hms])+$'))",fieldPath=".lifetime",message="lifetime (15m when unset) must be at most maxLifetime (1h when unset): lower the first or raise the second"
type IssuerAccessTokenSpec struct {
	// lifetime of an access token if the refresh key does not set accessToken.lifetime, from 1m to 24h. When unset: 15m.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$`
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+[hms])+$') && duration(self) >= duration('1m') && duration(self) <= duration('24h')",message="an access token's lifetime must be between 1m and 24h, in hours, minutes and seconds such as 720h or 1h30m: write a day as 24h"
	Lifetime *metav1.Duration `json:"lifetime,omitempty"`

	// maxLifetime is the longest accessToken.lifetime of a refresh key, from 1m to 24h. When unset: 1h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$`
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+[hms])+$') && duration(self) >= duration('1m') && duration(self) <= duration('24h')",message="an access token's maxLifetime must be between 1m and 24h, in hours, minutes and seconds such as 720h or 1h30m: write a day as 24h"
	MaxLifetime *metav1.Duration `json:"maxLifetime,omitempty"`
}

// PolicySpec defines which tokens a namespace can get.
type PolicySpec struct {
	// rules grant tokens; a refresh key is granted if one rule grants all of its spec. At most 64. With placeholders,
	// one rule can serve all teams. When unset or empty: nothing is granted.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Rules []PolicyRule `json:"rules,omitempty"`
}

// PolicyRule grants tokens to the refresh keys of some namespaces. In globs, `*` matches
// any characters except `/` and `:`, and `**` matches any characters. `{namespace}` stands for the name of
// the key's namespace and `{label:KEY}` for the value of the namespace's label KEY. The value is compared character
// by character: a `*` in it is not a glob. If the namespace does not have the label, or its value is empty, the
// glob matches nothing. Other braces are refused; use `*` to match a brace.
type PolicyRule struct {
	// namespaces selects namespaces by their labels. When unset or empty: all.
	// +optional
	Namespaces *NamespaceSelector `json:"namespaces,omitempty"`

	// audiences are globs over spec.audience, at most 64 of at most 512 printable characters. When
	// unset: any audience.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:XValidation:rule=`self.matches('^[!-~]+$')`,message="a glob over audiences is printable ASCII characters without spaces: write each glob as an item of its own"
	// +kubebuilder:validation:items:XValidation:rule=`self.matches(r'^([^{}]|{namespace}|{label:[\w./-]+})+$')`,message="braces enclose a placeholder, {namespace} or {label:KEY} with the name of a label, and nothing else: correct it, or match a brace by *"
	Audiences []string `json:"audiences,omitempty"`

	// maxLifetime is the longest lifetime granted, from 1m to 87600h. When unset: 2160h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$`
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+[hms])+$') && duration(self) >= duration('1m') && duration(self) <= duration('87600h')",message="maxLifetime must be between 1m and 87600h, in hours, minutes and seconds such as 720h or 1h30m: write a day as 24h"
	MaxLifetime *metav1.Duration `json:"maxLifetime,omitempty"`

	// scopes are globs over each of spec.scopes, at most 64 of at most 128 printable characters. When
	// unset: no scope.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:XValidation:rule=`self.matches('^([!#-[]|[]-~])+$')`,message="a glob over scopes is printable ASCII characters without spaces, double quotes and backslashes, as scopes are (RFC 6749 §3.3): write each glob as an item of its own"
	// +kubebuilder:validation:items:XValidation:rule=`self.matches(r'^([^{}]|{namespace}|{label:[\w./-]+})+$')`,message="braces enclose a placeholder, {namespace} or {label:KEY} with the name of a label, and nothing else: correct it, or match a brace by *"
	Scopes []string `json:"scopes,omitempty"`

	// claims are the names of spec.claims granted, with any value, at most 64. When unset: none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:XValidation:rule=`self.matches('^[A-Za-z0-9_.:/-]+$')`,message="the name of a claim is 1 to 64 of letters, digits and _ . : / -: write each name as an item of its own, without globs"
	Claims []string `json:"claims,omitempty"`

	// subjects are globs over spec.subject, at most 64 of at most 255 printable characters. No glob grants
	// subjects that begin with `refreshkey:` or `system:`. When unset: the default subject only.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=255
	// +kubebuilder:validation:items:XValidation:rule=`self.matches('^[!-~]+$')`,message="a glob over subjects is printable ASCII characters without spaces: write each glob as an item of its own"
	// +kubebuilder:validation:items:XValidation:rule=`self.matches(r'^([^{}]|{namespace}|{label:[\w./-]+})+$')`,message="braces enclose a placeholder, {namespace} or {label:KEY} with the name of a label, and nothing else: correct it, or match a brace by *"
	// +kubebuilder:validation:XValidation:rule="!self.exists(s, s.startsWith('refreshkey:') || s.startsWith('system:'))",message="subjects that begin with refreshkey: or system: are never granted: remove them"
	Subjects []string `json:"subjects,omitempty"`
}

// NamespaceSelector is a label selector over namespaces: all of its requirements must hold.
type NamespaceSelector struct {
	// matchLabels maps label names to the required values, at most 32. When unset: none.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$') && k.indexOf('/') <= 253)",message="a label name must be an optional DNS name and a slash, and at most 63 of letters, digits, `-`, `_` and `.`: correct it"
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(self[k]) <= 63 && self[k].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'))",message="a label value must be at most 63 of letters, digits, `-`, `_` and `.`: correct it"
	MatchLabels map[string]LabelValue `json:"matchLabels,omitempty"`

	// matchExpressions are requirements, at most 32. When unset: none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	MatchExpressions []NamespaceRequirement `json:"matchExpressions,omitempty"`
}

// NamespaceRequirement is one requirement on the labels of a namespace.
// +kubebuilder:validation:XValidation:rule="self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 : !has(self.values) || size(self.values) == 0",message="In and NotIn need values, Exists and DoesNotExist take none: add or remove values"
type NamespaceRequirement struct {
	// key is the name of the label: an optional DNS name and a slash, and at most 63 of letters,
	// digits, `-`, `_` and `.`.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[^\W_]([-.\w]{0,61}[^\W_])?$')`,message="a label name must be an optional DNS name and a slash, and at most 63 of letters, digits, `-`, `_` and `.`: correct it"
	// +kubebuilder:validation:XValidation:rule="self.indexOf('/') <= 253",message="the part of a label name before the slash must be at most 253 characters: correct it"
	Key string `json:"key"`
	// operator compares the label with values: In, NotIn, Exists or DoesNotExist.
	// +required
	// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist
	Operator metav1.LabelSelectorOperator `json:"operator"`
	// values to compare with, at most 64 of at most 63 characters. In and NotIn need at least one, the
	// others take none. When unset: none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	Values []string `json:"values,omitempty"`
}

// KeyUse is what a key of an issuer is for: refresh or access, for the kind of token that it signs, or seal.
// +kubebuilder:validation:Enum=refresh;access;seal
type KeyUse string

// KeyState is the state of a signing key.
// +kubebuilder:validation:Enum=Pending;Active;Retiring
type KeyState string

// JWTIssuerStatus is the observed state of an issuer. Times are RFC 3339 in UTC.
type JWTIssuerStatus struct {
	// observedGeneration is the generation of spec that the controller last observed.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740991
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// keys are the signing keys and the seal keys, without their private parts.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=272
	Keys []SigningKeyStatus `json:"keys,omitempty"`

	// jwksURI is the URL of the public keys of the access ring.
	// +optional
	// +kubebuilder:validation:MaxLength=600
	JWKSURI string `json:"jwksURI,omitempty"`

	// tokenEndpoint is the URL at which clients in the cluster exchange tokens: below endpointURL, or below url if that is unset.
	// +optional
	// +kubebuilder:validation:MaxLength=600
	TokenEndpoint string `json:"tokenEndpoint,omitempty"`

	// publicTokenEndpoint is the URL at which clients outside the cluster exchange tokens: below url.
	// +optional
	// +kubebuilder:validation:MaxLength=600
	PublicTokenEndpoint string `json:"publicTokenEndpoint,omitempty"`

	// conditions are Ready; Reconciling and Stalled, which are present only while True; and TrustBundle, which is present only
	// while False: ca.crt of the certificate that you provide cannot be used as it is.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// SigningKeyStatus is a signing key without its private part.
type SigningKeyStatus struct {
	// kid is the thumbprint of the key (RFC 7638).
	// +required
	// +kubebuilder:validation:MaxLength=64
	KID string `json:"kid"`
	// use is refresh or access, for the kind of token that it signs, or seal: it encrypts what a browser carries
	// between the steps of a sign-in.
	// +required
	Use KeyUse `json:"use"`
	// algorithm it signs with. A seal key is an EdDSA key and signs nothing.
	// +required
	Algorithm SigningAlgorithm `json:"algorithm"`
	// state is Pending (published, does not sign yet), Active (signs or seals) or Retiring (verifies or opens only).
	// +required
	State KeyState `json:"state"`
	// createdAt is when the signing key was created and published.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	CreatedAt metav1.Time `json:"createdAt"`
	// activeAt is when the signing key began to sign, or will begin to sign.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	ActiveAt *metav1.Time `json:"activeAt,omitempty"`
	// retireAt is the earliest time at which a Retiring key is removed.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`
	RetireAt *metav1.Time `json:"retireAt,omitempty"`
}

// JWTIssuer is an issuer of tokens: a URL, its signing keys and its policy. Its name has at most
// 63 characters.
//
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="the name of a JWTIssuer must have at most 63 characters, since it becomes the value of a label: shorten it"
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=jwtiss,categories=refreshkeys
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.spec.url`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Token Endpoint",type=string,priority=1,JSONPath=`.status.tokenEndpoint`
type JWTIssuer struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard metadata of an object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state.
	// +required
	Spec JWTIssuerSpec `json:"spec"`

	// status is the observed state. Only the operator writes it.
	// +optional
	// +kubebuilder:default={observedGeneration: 0}
	Status JWTIssuerStatus `json:"status,omitempty"`
}

// JWTIssuerList is a list of JWTIssuers.
// +kubebuilder:object:root=true
type JWTIssuerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []JWTIssuer `json:"items"`
}
