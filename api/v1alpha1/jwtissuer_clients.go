package v1alpha1

// LoginClient is an application that people sign in to.
// +kubebuilder:validation:XValidation:rule="has(self.redirectURIs) || has(self.device)",message="a client needs redirectURIs, for a sign-in with a browser, or device, for one with a code: add one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.consent) || self.consent != 'Never' || !has(self.device)",fieldPath=".consent",message="consent Never is not possible with device, since anyone can start the sign-in of a device: remove it"
// +kubebuilder:validation:XValidation:rule="!has(self.consent) || self.consent != 'Never' || !has(self.redirectURIs) || self.redirectURIs.all(uri, uri.startsWith('https://'))",fieldPath=".consent",message="consent Never needs redirectURIs that begin with https://, since any program can use the others: remove it"
// +kubebuilder:validation:XValidation:rule="!has(self.device) || size(self.audiences) == 1",fieldPath=".audiences",message="with device the client has exactly one audience, since the device does not say which one it wants: remove the others"
// +kubebuilder:validation:XValidation:rule="!self.audiences.exists(audience, audience == self.id)",fieldPath=".audiences",message="an audience must differ from the id of the client, which is the audience of its id_tokens: change one of them"
type LoginClient struct {
	// id is `client_id` (RFC 6749 §2.2): letters, digits and . _ ~ -, 1 to 128 characters. No token is issued for an
	// audience that is equal to it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[A-Za-z0-9][A-Za-z0-9._~-]*$')`,message="a client id is letters, digits and . _ ~ -, and begins with a letter or a digit: correct it"
	ID string `json:"id"`

	// name is what the login page calls the client, at most 64 characters. When unset: the id.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[^\\p{C}\\p{Zl}\\p{Zp}]*$')`,message="a name is one line of printable characters: remove other characters"
	Name string `json:"name,omitempty"`

	// redirectURIs are where a sign-in can end, compared byte for byte (RFC 6749 §3.1.2): https; or http with 127.0.0.1 or
	// [::1] and without a port, which matches each port (RFC 8252 §7.3); or a private-use scheme with a dot
	// (RFC 8252 §7.1). At most 12 of at most 512 characters. When unset: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=12
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:XValidation:rule=`self.matches('^[!-~]+$') && !self.contains('#')`,message="a redirect URI is printable ASCII characters without spaces, and has no fragment (RFC 6749 §3.1.2): remove other characters"
	// +kubebuilder:validation:items:XValidation:rule=`self.matches('^https://([a-z0-9]+(-+[a-z0-9]+)*([.][a-z0-9]+(-+[a-z0-9]+)*)*|[[][0-9a-f:]+[]])(:[1-9][0-9]{0,4})?([/?]|$)') || self.matches('^http://(127[.]0[.]0[.]1|[[]::1[]])([/?]|$)') || self.matches('^[a-z][a-z0-9+-]*([.][a-z0-9+-]+)+:/')`,message="a redirect URI begins with https:// and a lower-case host name, with http://127.0.0.1 or http://[::1] without a port, or with a scheme with a dot such as com.example.app:/: correct it"
	RedirectURIs []string `json:"redirectURIs,omitempty"`

	// audiences are the APIs that the client can ask tokens for. The first one is the default. The issuer's policy must grant
	// them. 1 to 16.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:XValidation:rule=`self.matches('^[!-~]+$')`,message="an audience is 1 to 512 printable ASCII characters without spaces: write it as the API expects it in `aud`, such as https://orders.example.com"
	Audiences []string `json:"audiences"`

	// scopes are what the client can ask for. A client that asks for no scope gets none. The issuer's policy must grant
	// them, except `openid`, which asks for an id_token (OpenID Connect Core §3.1.2.1). At most 64. When unset: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:XValidation:rule=`self.matches('^([!#-[]|[]-~])+$')`,message="a scope is 1 to 128 printable ASCII characters without spaces, double quotes and backslashes (RFC 6749 §3.3): write each scope as an item of its own"
	Scopes []string `json:"scopes,omitempty"`

	// consent is whether the login page asks people if the client can have the tokens: Always, or Never for an application
	// of your own organization. When unset: Always.
	// +optional
	Consent ConsentMode `json:"consent,omitempty"`

	// device allows the sign-in of a device that has no browser (RFC 8628). When unset: not possible.
	// +optional
	Device *DeviceClient `json:"device,omitempty"`

	// allowedOrigins are the origins whose pages can call the token service with scripts (CORS), such as
	// https://app.example.com. At most 16 of at most 255 characters. When unset: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=255
	// +kubebuilder:validation:items:XValidation:rule=`self.matches('^(https://([a-z0-9]+(-+[a-z0-9]+)*([.][a-z0-9]+(-+[a-z0-9]+)*)*|[[][0-9a-f:]+[]])|http://(localhost|127[.]0[.]0[.]1|[[]::1[]]))(:[1-9][0-9]{0,4})?$')`,message="an origin is https:// and a lower-case host name, with an optional port and nothing after it; http:// only with localhost, 127.0.0.1 or [::1]: correct it"
	AllowedOrigins []string `json:"allowedOrigins,omitempty"`
}

// ConsentMode is whether the login page asks for consent.
// +kubebuilder:validation:Enum=Always;Never
type ConsentMode string

// The values of ConsentMode.
const (
	// ConsentAlways asks at each sign-in.
	ConsentAlways ConsentMode = "Always"
	// ConsentNever never asks.
	ConsentNever ConsentMode = "Never"
)

// DeviceClient configures the device grant of a client. The device gets tokens for the client's only audience, with all of
// its scopes.
type DeviceClient struct {
	// codePrefix begins the codes that people type, so that each code names its client: 2 to 8 upper-case letters and digits. Each
	// client of an issuer has a prefix of its own.
	// +required
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=8
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[A-Z0-9]+$')`,message="codePrefix is upper-case letters and digits: remove other characters"
	CodePrefix string `json:"codePrefix"`
}
