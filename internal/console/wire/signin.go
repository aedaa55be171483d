package wire

// Means says how the session got its credential.
type Means string

// The ways to sign in.
const (
	// Token: a bearer token that the person pasted.
	Token Means = "Token"
	// IDToken: the id_token of an OpenID Connect provider, forwarded to the API server.
	IDToken Means = "IDToken"
	// Exchange: an access token of the token service, for which the provider's id_token was exchanged, forwarded to the API server.
	Exchange Means = "Exchange"
	// Impersonation: the console's own credential, with the person's name and groups (constrained impersonation).
	Impersonation Means = "Impersonation"
	// Kubeconfig: the credential of the current context, where `kubectl refreshkey console` runs.
	Kubeconfig Means = "Kubeconfig"
)

// Ways says how a person can sign in at this server.
type Ways struct {
	// Token: POST api/login takes a bearer token.
	Token bool `json:"token,omitempty"`
	// Provider is the host of the OpenID Connect provider that auth/login redirects to; empty without one.
	Provider string `json:"provider,omitempty"`
	// Local: POST api/login takes the one-time code of the URL's fragment, and nothing else.
	Local bool `json:"local,omitempty"`
}

// SignInFailure says why a sign-in at the provider failed. auth/callback and auth/login send the browser to the page signin with it
// in the query parameter failed, and with the page that the person asked for in the parameter return; any other value of failed is
// unknown.
type SignInFailure string

// The failures of a sign-in at the provider.
const (
	// AccessDenied: the person, or the provider, refused.
	AccessDenied SignInFailure = "AccessDenied"
	// ProviderRefused: the provider does not accept the console's request.
	ProviderRefused SignInFailure = "ProviderRefused"
	// ProviderAway: the provider or the token service cannot be reached now.
	ProviderAway SignInFailure = "ProviderAway"
	// NotBegunHere: this browser did not begin the sign-in, it took longer than five minutes, or it was used before.
	NotBegunHere SignInFailure = "NotBegunHere"
	// NotTrusted: what the provider sent is not for this sign-in, or its id_token cannot be verified.
	NotTrusted SignInFailure = "NotTrusted"
	// NameRefused: the id_token has no name that the console may act with.
	NameRefused SignInFailure = "NameRefused"
	// NotGranted: the token service does not grant the person a session.
	NotGranted SignInFailure = "NotGranted"
)

// Me is the answer of GET api/me, also without a session.
type Me struct {
	SignedIn bool `json:"signedIn"`
	Ways     Ways `json:"ways"`
	// User and Groups are those that the API server sees (SelfSubjectReview).
	User   string   `json:"user,omitempty"`
	Groups []string `json:"groups,omitempty"`
	Means  Means    `json:"means,omitempty"`
	// Until is when the session ends at the latest: the end of its credential that cannot be renewed, or of the longest session.
	Until string `json:"until,omitempty"`
	// IdleSeconds is how long the session lives without a request of the person. A stream is not one.
	IdleSeconds int64 `json:"idleSeconds,omitempty"`
	// Namespace is where the page begins: that of the kubeconfig's context; empty for all.
	Namespace string `json:"namespace,omitempty"`
	// Reveal: tokens can be revealed, where the person may get the Secret.
	Reveal bool `json:"reveal,omitempty"`
	// OwnSessions: the page "My sessions" works, since the session is one of the token service.
	OwnSessions bool   `json:"ownSessions,omitempty"`
	Version     string `json:"version,omitempty"`
	DocsURL     string `json:"docsURL,omitempty"`
	// SharedStream: the page is served over HTTP/1.1, so its tabs must share one stream.
	SharedStream bool `json:"sharedStream,omitempty"`
}

// Login is the body of POST api/login: one of the two.
type Login struct {
	Token string `json:"token,omitempty"`
	Code  string `json:"code,omitempty"`
}

// LoggedOut is the answer of POST api/logout.
type LoggedOut struct {
	// Location is where the provider ends its own session (RP-Initiated Logout); empty for none.
	Location string `json:"location,omitempty"`
}
