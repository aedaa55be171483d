// Package wire defines what the server of the console and its page exchange, in JSON: the page's TypeScript types are generated
// from it. All times are RFC 3339 in UTC; an absent time means never, or not yet.
//
// An answer that is not 2xx is a Failure. No type but Revealed holds the text of a token.
package wire

import "encoding/json"

// AutomaticHeader is the header of requests that the page sends without an action of the person, with the value true: like a stream,
// they do not keep a session from becoming idle.
const AutomaticHeader = "X-Refreshkeys-Automatic"

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

// Failure is a Status of the API server, or of this server in the same form.
type Failure struct {
	Code    int    `json:"code"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message"`
	// Causes name fields, such as spec.audience.
	Causes []Cause `json:"causes,omitempty"`
	// Ask is a command that shows the missing right, to give to a cluster administrator: kubectl auth can-i …
	Ask string `json:"ask,omitempty"`
}

// Cause is one fault of a manifest.
type Cause struct {
	// Field is a path such as spec.overlap.max; empty for the whole manifest.
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
}

// Device is what is known of a client.
type Device struct {
	ID        string `json:"id,omitempty"`
	Name      string `json:"name,omitempty"`
	OS        string `json:"os,omitempty"`
	Browser   string `json:"browser,omitempty"`
	UserAgent string `json:"userAgent,omitempty"`
	Address   string `json:"address,omitempty"`
}

// Session is the login of a key that is a session.
type Session struct {
	Subject   string `json:"subject"`
	Method    string `json:"method,omitempty"`
	Provider  string `json:"provider,omitempty"`
	StartedAt string `json:"startedAt"`
}

// KeyRow is a refresh key in a list.
type KeyRow struct {
	UID string `json:"uid"`
	// Version is the resource version of the object: of two rows the one with the larger number is newer.
	Version   string `json:"version,omitempty"`
	Namespace string `json:"ns"`
	Name      string `json:"name"`
	Audience  string `json:"audience"`
	Issuer    string `json:"issuer"`
	// Subject is that of spec; empty for the default.
	Subject string `json:"subject,omitempty"`
	// Status is one word: the reason of Ready, Deleting or Pending, as `kubectl get jrk` shows it.
	Status string `json:"status"`
	// Since is when Ready last changed.
	Since string `json:"since,omitempty"`
	// Tone is good (Ready), wait (something happens by itself), bad (a person must act) or off (revoked, expired or deleting).
	Tone    string `json:"tone"`
	Message string `json:"message,omitempty"`
	// Waits is the message of Reconciling, WaitsFor its reason, and WaitsSince when it became True.
	Waits      string `json:"waits,omitempty"`
	WaitsFor   string `json:"waitsFor,omitempty"`
	WaitsSince string `json:"waitsSince,omitempty"`
	// Mode is Scheduled, OneTimeUse or Never.
	Mode     string `json:"mode"`
	Revision int64  `json:"revision,omitempty"`
	// Overlap is the number of superseded tokens that are still accepted.
	Overlap            int    `json:"overlap,omitempty"`
	CreatedAt          string `json:"createdAt,omitempty"`
	ExpiresAt          string `json:"expiresAt,omitempty"`
	RenewalTime        string `json:"renewalTime,omitempty"`
	LastUsed           string `json:"lastUsed,omitempty"`
	SupersededLastUsed string `json:"supersededLastUsed,omitempty"`
	RevokedAt          string `json:"revokedAt,omitempty"`
	RevocationReason   string `json:"revocationReason,omitempty"`
	// Revoked is spec.revoked: the key is restored by setting it to false. Another revoked key needs a rotation.
	Revoked   bool     `json:"revoked,omitempty"`
	JTI       string   `json:"jti,omitempty"`
	TokenHash string   `json:"tokenHash,omitempty"`
	KeyID     string   `json:"keyID,omitempty"`
	Device    *Device  `json:"device,omitempty"`
	Session   *Session `json:"session,omitempty"`
	// GitOps is the tool that applies the manifest of the key: Argo CD, Flux or Helm; empty if none is known.
	GitOps string `json:"gitops,omitempty"`
	// MadeAt is the creation time of the object.
	MadeAt string `json:"madeAt"`
}

// IssuerRow is an issuer in a list.
type IssuerRow struct {
	UID string `json:"uid"`
	// Version is the resource version of the object: of two rows the one with the larger number is newer.
	Version string `json:"version,omitempty"`
	Name    string `json:"name"`
	URL     string `json:"url"`
	Status  string `json:"status"`
	Tone    string `json:"tone"`
	Message string `json:"message,omitempty"`
	// Algorithm is that of new signing keys.
	Algorithm string `json:"algorithm"`
	// SessionNamespace is where people's sessions are; empty without login.
	SessionNamespace string `json:"sessionNamespace,omitempty"`
	MadeAt           string `json:"madeAt"`
}

// The events of GET api/stream?ns=NAMESPACE&kind=keys,issuers (text/event-stream). Each has an id to resume from.
//
//	put     Put
//	del     Del
//	synced  {}   all that exists was sent
//	reset   {}   forget all rows: the following ones are all that exist
//	bye     Bye  the server ends the stream
//
// A stream begins with reset unless it resumes. A comment every 15 s keeps the connection open.

// Put has rows that are new or changed.
type Put struct {
	Keys    []KeyRow    `json:"keys,omitempty"`
	Issuers []IssuerRow `json:"issuers,omitempty"`
}

// Del has the uids of rows that are gone.
type Del struct {
	Keys    []string `json:"keys,omitempty"`
	Issuers []string `json:"issuers,omitempty"`
}

// Bye says why a stream ends.
type Bye struct {
	// Reason is expired (sign in again), forbidden (the person may not list or watch), missing (the CRDs are not installed),
	// away (the API server cannot be reached: the page opens the stream again), or renewed (the credential was at its end: the page
	// opens the stream again at once, with the next one).
	Reason string `json:"reason"`
	// Kind is keys or issuers, where Reason is forbidden.
	Kind    string  `json:"kind,omitempty"`
	Failure Failure `json:"failure"`
}

// Namespaces is the answer of GET api/namespaces.
type Namespaces struct {
	Names []string `json:"names"`
}

// KeyDetail is the answer of GET api/keys/{ns}/{name}.
type KeyDetail struct {
	Row KeyRow `json:"row"`
	// Object is the JWTRefreshKey without managedFields, and YAML the same as a manifest to read.
	Object json.RawMessage `json:"object" tstype:"any"`
	YAML   string          `json:"yaml"`
	// Manifest is what to apply to get the same key again: name, namespace, labels and spec.
	Manifest string `json:"manifest"`
	Next     []Next `json:"next"`
	// Revisions are the current token and the superseded ones, newest first.
	Revisions []Revision `json:"revisions"`
	// Content are the claims of the current token with their meaning.
	Content    []Claim     `json:"content,omitempty"`
	Conditions []Condition `json:"conditions,omitempty"`
	Events     []Event     `json:"events"`
	// EventsFailure says why there are no events.
	EventsFailure *Failure `json:"eventsFailure,omitempty"`
	// Guidance is what troubleshooting.md says of the reason.
	Guidance *Guidance `json:"guidance,omitempty"`
	// RevocationNote is what a person wrote at the revocation.
	RevocationNote string `json:"revocationNote,omitempty"`
	// Meant is spec.deviceInfo, Seen status.deviceInfo. Differs are the fields in which they are of different devices: id, os, browser.
	Meant   *Device  `json:"meant,omitempty"`
	Seen    *Device  `json:"seen,omitempty"`
	Differs []string `json:"differs,omitempty"`
	// Subject is that of the tokens, with the default.
	Subject string `json:"subject"`
	// SecretName is empty for a key without a Secret. AccessToken: the Secret holds an access token, too.
	SecretName  string   `json:"secretName,omitempty"`
	AccessToken bool     `json:"accessToken,omitempty"`
	Scopes      []string `json:"scopes,omitempty"`
	// AccessTokenSeconds is the lifetime of access tokens: so long do those live on that were issued before a revocation.
	AccessTokenSeconds int64 `json:"accessTokenSeconds,omitempty"`
	// Facts are the other settings in force, in the words of `kubectl refreshkey describe`.
	Facts []Fact `json:"facts"`
	// Snippets show how a workload uses the Secret; none without one.
	Snippets []Snippet `json:"snippets,omitempty"`
}

// Snippet is an example in one language.
type Snippet struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Fact is a named value.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Next is one thing that happens next, in the words of `kubectl refreshkey describe`.
type Next struct {
	// What is Blocked, Waiting, Renewal, Use, Retirement, SupersededEnd, IdleEnd, TokenEnd or KeyEnd.
	What     string `json:"what"`
	At       string `json:"at,omitempty"`
	Sentence string `json:"sentence"`
	// Action is Rotate or RotateNow: what a person can do about it; empty for none.
	Action string `json:"action,omitempty"`
}

// Revision is a token on record.
type Revision struct {
	Number int64 `json:"number"`
	// State is current, superseded, revoked or ended.
	State     string `json:"state"`
	JTI       string `json:"jti,omitempty"`
	TokenHash string `json:"tokenHash,omitempty"`
	CreatedAt string `json:"createdAt,omitempty"`
	ExpiresAt string `json:"expiresAt,omitempty"`
	LastUsed  string `json:"lastUsed,omitempty"`
}

// Claim is one claim of a token.
type Claim struct {
	Name string `json:"name"`
	// Value is JSON. Time is set if the claim is a time. Meaning is a short explanation; empty for a claim of the key's spec.
	Value   json.RawMessage `json:"value" tstype:"any"`
	Time    string          `json:"time,omitempty"`
	Meaning string          `json:"meaning,omitempty"`
}

// Condition is one of status.conditions.
type Condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
	Since   string `json:"since"`
}

// Event is an event (events.k8s.io) about the object.
type Event struct {
	At     string `json:"at"`
	Type   string `json:"type"`
	Reason string `json:"reason"`
	Note   string `json:"note"`
	Count  int32  `json:"count,omitempty"`
}

// Guidance is a row of troubleshooting.md.
type Guidance struct {
	Means string `json:"means"`
	Do    string `json:"do"`
}

// Preview is the body of POST api/keys/{ns}/preview, and of POST api/keys/{ns}, which stores the manifest.
type Preview struct {
	// Manifest is a JWTRefreshKey: metadata.name, labels and annotations, and spec. The namespace is that of the path.
	Manifest json.RawMessage `json:"manifest" tstype:"any"`
	// UID is that of the key to edit; empty to create one.
	UID string `json:"uid,omitempty"`
}

// Previewed is its answer, 200 also if the API server refuses the manifest.
type Previewed struct {
	// Causes of the refusal; empty if the API server accepts the manifest. Those without a field concern the whole form.
	Causes []Cause `json:"causes,omitempty"`
	// Denied is set if the person may not create the key, or a quota or a name that is taken prevents it.
	Denied *Failure `json:"denied,omitempty"`
	// Policy is what the issuer would say; absent if the issuer or the labels of the namespace cannot be read.
	Policy *PolicyAnswer `json:"policy,omitempty"`
	// FirstRenewal and End are empty for never.
	FirstRenewal string `json:"firstRenewal,omitempty"`
	End          string `json:"end,omitempty"`
	// YAML is the manifest as a person writes it.
	YAML string `json:"yaml"`
	// Scopes are suggestions: the scopes that the granting rule names without a glob.
	Scopes []string `json:"scopes,omitempty"`
}

// PolicyAnswer says whether a policy grants a request.
type PolicyAnswer struct {
	Granted bool `json:"granted"`
	// Rule is the number, from 1, of the rule that grants or came closest; 0 for none, and for an issuer without a policy.
	Rule int `json:"rule,omitempty"`
	// Missing is what is not granted.
	Missing []string `json:"missing,omitempty"`
	// LongestSeconds is the longest lifetime that is granted for the request otherwise; 0 if the rest is not granted.
	LongestSeconds int64 `json:"longestSeconds,omitempty"`
	// NoPolicy: the issuer has no policy, and its documented default holds.
	NoPolicy bool `json:"noPolicy,omitempty"`
	// Issuer is its name.
	Issuer string `json:"issuer"`
}

// Change is the body of PATCH api/keys/{ns}/{name}: exactly one action.
type Change struct {
	// UID is a precondition: a key that was made again under the name is not changed.
	UID string `json:"uid"`
	// Action is rotate, rotateNow, revoke, restore, or edit.
	Action string `json:"action"`
	// Note becomes the annotation jwt.refreshkeys.dev/revocation-note.
	Note string `json:"note,omitempty"`
	// Spec is a JSON merge patch of spec, for edit.
	Spec json.RawMessage `json:"spec,omitempty" tstype:"any"`
}

// Precondition is the body of DELETE api/keys/{ns}/{name} and of POST api/keys/{ns}/{name}/reveal.
type Precondition struct {
	UID string `json:"uid"`
}

// Changed is the answer of POST api/keys/{ns} and of each PATCH and DELETE. Key or Issuer is set where the object remains.
type Changed struct {
	Key    *KeyRow    `json:"key,omitempty"`
	Issuer *IssuerRow `json:"issuer,omitempty"`
}

// Revealed is the answer of POST api/keys/{ns}/{name}/reveal.
type Revealed struct {
	Token         string `json:"token"`
	TokenEndpoint string `json:"tokenEndpoint"`
	// CA is in PEM; empty if the endpoint's certificate is publicly trusted.
	CA string `json:"ca,omitempty"`
	// OneTime: the first client that exchanges the token has the next one.
	OneTime bool `json:"oneTime,omitempty"`
}

// IssuerDetail is the answer of GET api/issuers/{name}.
type IssuerDetail struct {
	Row           IssuerRow       `json:"row"`
	Object        json.RawMessage `json:"object" tstype:"any"`
	YAML          string          `json:"yaml"`
	TokenEndpoint string          `json:"tokenEndpoint,omitempty"`
	JWKSURI       string          `json:"jwksURI,omitempty"`
	EndpointURL   string          `json:"endpointURL,omitempty"`
	Keys          []SigningKey    `json:"keys"`
	Rules         []Rule          `json:"rules,omitempty"`
	// HasPolicy tells a policy without rules, which grants nothing, from none.
	HasPolicy     bool        `json:"hasPolicy,omitempty"`
	Conditions    []Condition `json:"conditions,omitempty"`
	Events        []Event     `json:"events"`
	EventsFailure *Failure    `json:"eventsFailure,omitempty"`
	Guidance      *Guidance   `json:"guidance,omitempty"`
	// NextRotation is when the next signing key of a ring begins to sign, by ring (refresh, access).
	NextRotation map[string]string `json:"nextRotation,omitempty"`
	Facts        []Fact            `json:"facts"`
	// MaxSessions and SessionsPerSubject are the limits of sessions; 0 without login.
	MaxSessions        int64 `json:"maxSessions,omitempty"`
	SessionsPerSubject int64 `json:"sessionsPerSubject,omitempty"`
}

// SigningKey is a signing key of an issuer, without its private part.
type SigningKey struct {
	KID       string `json:"kid"`
	Ring      string `json:"ring"`
	Algorithm string `json:"algorithm"`
	// State is Pending, Active or Retiring.
	State     string `json:"state"`
	CreatedAt string `json:"createdAt"`
	ActiveAt  string `json:"activeAt,omitempty"`
	RetireAt  string `json:"retireAt,omitempty"`
}

// Rule is a rule of a policy, for people.
type Rule struct {
	Number     int      `json:"number"`
	Namespaces string   `json:"namespaces"`
	Audiences  []string `json:"audiences,omitempty"`
	Scopes     []string `json:"scopes,omitempty"`
	Claims     []string `json:"claims,omitempty"`
	Subjects   []string `json:"subjects,omitempty"`
	// MaxLifetimeSeconds is never 0.
	MaxLifetimeSeconds int64 `json:"maxLifetimeSeconds"`
}

// IssuerChange is the body of PATCH api/issuers/{name}.
type IssuerChange struct {
	UID string `json:"uid"`
	// Action is rotateKeys or withdrawKey.
	Action string `json:"action"`
	// KID is the signing key to withdraw.
	KID string `json:"kid,omitempty"`
}

// Trial is the body of POST api/issuers/{name}/trial: would it be granted? The answer is a PolicyAnswer.
type Trial struct {
	Namespace       string   `json:"namespace"`
	Name            string   `json:"name,omitempty"`
	Audience        string   `json:"audience"`
	LifetimeSeconds int64    `json:"lifetimeSeconds,omitempty"`
	Scopes          []string `json:"scopes,omitempty"`
	Subject         string   `json:"subject,omitempty"`
	Claims          []string `json:"claims,omitempty"`
}

// Can is the body of POST api/can.
type Can struct {
	Checks []Check `json:"checks"`
}

// Check is a question to the API server. Resource is jwtrefreshkeys, jwtissuers or secrets.
type Check struct {
	Verb      string `json:"verb"`
	Resource  string `json:"resource"`
	Namespace string `json:"ns,omitempty"`
	Name      string `json:"name,omitempty"`
}

// Answers has one answer for each check, in the same order.
type Answers struct {
	Answers []Answer `json:"answers"`
}

// Answer is that of the API server. Unknown: the review failed, so the page offers the action and the API server decides.
type Answer struct {
	Allowed bool   `json:"allowed,omitempty"`
	Unknown bool   `json:"unknown,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// Ask is the command that shows the missing right.
	Ask string `json:"ask,omitempty"`
}

// Mine is the answer of GET api/mine: the sessions of the person at the token service.
type Mine struct {
	Sessions []OwnSession `json:"sessions"`
}

// OwnSession is one session of the person.
type OwnSession struct {
	ID      string `json:"id"`
	Current bool   `json:"current,omitempty"`
	// Status is Active, Revoked or Expired.
	Status           string  `json:"status"`
	Audience         string  `json:"audience"`
	Method           string  `json:"method,omitempty"`
	Provider         string  `json:"provider,omitempty"`
	Device           *Device `json:"device,omitempty"`
	StartedAt        string  `json:"startedAt"`
	LastUsed         string  `json:"lastUsed,omitempty"`
	ExpiresAt        string  `json:"expiresAt,omitempty"`
	RevokedAt        string  `json:"revokedAt,omitempty"`
	RevocationReason string  `json:"revocationReason,omitempty"`
}

// EndSessions is the body of POST api/mine/end: one of the three.
type EndSessions struct {
	IDs    []string `json:"ids,omitempty"`
	All    bool     `json:"all,omitempty"`
	Others bool     `json:"others,omitempty"`
}

// Ended is its answer.
type Ended struct {
	Ended int `json:"ended"`
}
