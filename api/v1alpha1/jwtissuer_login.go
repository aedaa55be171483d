package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// LoginSpec defines who can sign in at the token service.
// +kubebuilder:validation:XValidation:rule="!has(self.clients) || self.clients.all(one, !has(one.device) || self.clients.exists_one(other, has(other.device) && other.device.codePrefix == one.device.codePrefix))",fieldPath=".clients",message="two clients have the same device.codePrefix, so that a code would not name its client: change one of them"
type LoginSpec struct {
	// sessionNamespace is the namespace of sessions that oidc and passwords start, at most 63 characters.
	// When unset: the operator's namespace.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule=`self.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$')`,message="the name of a namespace is lower-case letters, digits and `-`, and begins and ends with a letter or a digit: correct it"
	SessionNamespace string `json:"sessionNamespace,omitempty"`

	// sessionsPerSubject is the largest number of sessions of one subject, from 1 to 1000. A further login
	// ends the session that was unused for the longest time. When unset: 10.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	SessionsPerSubject int32 `json:"sessionsPerSubject,omitempty"`

	// maxSessions is the largest number of sessions of the issuer, from 1 to 1000000. When unset: 10000.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxSessions int32 `json:"maxSessions,omitempty"`

	// sessionLifetime is how long a session lasts at most, regardless of its use, from 1m to 87600h; less
	// if the policy grants less. When unset: 720h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$`
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+[hms])+$') && duration(self) >= duration('1m') && duration(self) <= duration('87600h')",message="sessionLifetime must be between 1m and 87600h, in hours, minutes and seconds such as 720h or 1h30m: write a day as 24h"
	SessionLifetime *metav1.Duration `json:"sessionLifetime,omitempty"`

	// sessionIdleTimeout is how long a session can be unused before it ends, from 1h to 87600h. When unset: no limit.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$`
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+[hms])+$') && duration(self) >= duration('1h') && duration(self) <= duration('87600h')",message="sessionIdleTimeout must be between 1h and 87600h, in hours, minutes and seconds such as 720h or 1h30m: write a day as 24h"
	SessionIdleTimeout *metav1.Duration `json:"sessionIdleTimeout,omitempty"`

	// sessionRetryGrace is rotation.retryGrace of new sessions, from 0s to 10m: for this long after a session's token
	// is followed by the next one, a client that presents the earlier token gets the current one. Raise it if several
	// processes share one stored token. Existing sessions keep their rotation.retryGrace; you can edit it in each
	// session. When unset: 30s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$`
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+[hms])+$') && duration(self) <= duration('10m')",message="sessionRetryGrace must be between 0s and 10m, in minutes and seconds such as 90s or 2m30s: write 0s for no grace"
	SessionRetryGrace *metav1.Duration `json:"sessionRetryGrace,omitempty"`

	// oidc lists upstream OpenID Connect providers; a user signs in with an id_token of one of them. At most 8. When unset: none.
	// +optional
	// +listType=map
	// +listMapKey=issuerURL
	// +kubebuilder:validation:MaxItems=8
	OIDC []OIDCProvider `json:"oidc,omitempty"`

	// passwords enables login by user name and password, on the login page and by the grant of RFC 6749 §4.3, which
	// RFC 9700 §2.4 forbids. When unset: off.
	// +optional
	Passwords *PasswordLogin `json:"passwords,omitempty"`

	// clients are the applications that people sign in to with a browser (RFC 6749 §4.1) or a device (RFC 8628). All are
	// public clients: each must use PKCE (RFC 7636), and none has a secret. At most 64. When unset: none, and the
	// issuer has no login page.
	// +optional
	// +listType=map
	// +listMapKey=id
	// +kubebuilder:validation:MaxItems=64
	Clients []LoginClient `json:"clients,omitempty"`
}

// OIDCProvider is an upstream OpenID Connect provider.
// +kubebuilder:validation:XValidation:rule="!has(self.client) || self.audiences.exists(audience, audience == self.client.id)",fieldPath=".client.id",message="client.id must be one of audiences, since it is the audience of the id_tokens that the login page gets: add it there"
type OIDCProvider struct {
	// issuerURL of the provider, compared byte for byte with `iss`: https, at most 512 characters.
	// +required
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule=`self.matches('^https://[!-~]+$')`,message="issuerURL must begin with https:// and have no spaces: write it exactly as the provider writes `iss`"
	IssuerURL string `json:"issuerURL"`
	// caBundle contains the CA certificates that verify the provider's serving certificate, in PEM, at most 32 KiB.
	// When unset: the system's CA certificates.
	// +optional
	// +kubebuilder:validation:MaxLength=32768
	CABundle string `json:"caBundle,omitempty"`
	// audiences are the accepted values of `aud`: the id_token must name one. 1 to 16 of at most 512 characters.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Audiences []string `json:"audiences"`
	// subjectClaim is the claim that becomes the subject, at most 64 characters. `email` needs
	// `email_verified` to be true. When unset: `sub`.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[!-~]*$')`,message="subjectClaim must be printable ASCII characters without spaces: write the name of one claim of the id_token"
	SubjectClaim string `json:"subjectClaim,omitempty"`
	// subjectPrefix precedes the subject, at most 64 printable characters. When unset: no prefix.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[!-~]*$')`,message="subjectPrefix must be printable ASCII characters without spaces: remove other characters"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('refreshkey:') && !self.startsWith('system:')",message="a subject that begins with refreshkey: or system: is never granted: choose another subjectPrefix"
	SubjectPrefix string `json:"subjectPrefix,omitempty"`
	// claims maps claims of the tokens to claims of the provider's id_token, at most 32 of at most 64
	// characters. The names follow the rules of a refresh key's spec.claims. When unset: none.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Claims map[string]ClaimName `json:"claims,omitempty"`
	// allowed restricts claims of the id_token: each claim must have one of its values. At most 16. When unset: no restriction.
	// +optional
	// +listType=map
	// +listMapKey=claim
	// +kubebuilder:validation:MaxItems=16
	Allowed []AllowedValues `json:"allowed,omitempty"`
	// displayName is what the button of the login page says, at most 64 characters. When unset: the host of issuerURL.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[^\\p{C}\\p{Zl}\\p{Zp}]*$')`,message="displayName is one line of printable characters: remove other characters"
	DisplayName string `json:"displayName,omitempty"`
	// client lets people sign in at the provider from the login page, by the authorization code flow with PKCE. When unset:
	// the login page has no button for the provider.
	// +optional
	Client *ProviderClient `json:"client,omitempty"`
}

// ProviderClient is the token service as a client of a provider. Without secretRef and assertion it is a public client.
// +kubebuilder:validation:XValidation:rule="!has(self.secretRef) || !has(self.assertion)",message="secretRef and assertion are two ways to authenticate the client, and only one is possible: remove one of them"
type ProviderClient struct {
	// id is `client_id` at the provider, one of audiences, at most 512 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[ -~]+$')`,message="client.id is printable ASCII characters (RFC 6749 §2.2): write it as the provider shows it"
	ID string `json:"id"`
	// secretRef names the Secret in the operator's namespace that contains the client secret under `client-secret`.
	// When unset: no client secret.
	// +optional
	SecretRef *LocalSecretReference `json:"secretRef,omitempty"`
	// assertion authenticates the client by a token of the token service's own ServiceAccount with issuerURL as
	// audience (RFC 7523 §2.2), so that there is no secret: the provider must trust the issuer of the cluster's
	// ServiceAccount tokens. Write `{}`. When unset: no assertion.
	// +optional
	Assertion *ClientAssertion `json:"assertion,omitempty"`
	// scopes are what the login page asks for besides `openid`. At most 16 of at most 128 characters. When unset: profile and email.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:XValidation:rule=`self.matches('^([!#-[]|[]-~])+$')`,message="a scope is 1 to 128 printable ASCII characters without spaces, double quotes and backslashes (RFC 6749 §3.3): write each scope as an item of its own"
	Scopes []string `json:"scopes,omitempty"`
}

// ClientAssertion authenticates a client by a ServiceAccount token. It has no fields.
type ClientAssertion struct{}

// ClaimName is the name of a claim.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=64
type ClaimName string

// AllowedValues are the accepted values of one claim.
type AllowedValues struct {
	// claim of the id_token, at most 64 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Claim string `json:"claim"`
	// values are the accepted values: the claim must have one. 1 to 64 of at most 256 characters.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=256
	Values []string `json:"values"`
}

// PasswordLogin enables login by user name and password.
type PasswordLogin struct {
	// secretRef names the Secret in the operator's namespace that contains bcrypt hashes in htpasswd format.
	// +required
	SecretRef LocalSecretReference `json:"secretRef"`
}

// LocalSecretReference names a Secret in the operator's namespace.
type LocalSecretReference struct {
	// name of the Secret, at most 253 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')`,message="the name of a Secret is lower-case letters, digits, `-` and `.`, and begins and ends with a letter or a digit: correct it"
	Name string `json:"name"`
}
