package wire

import "encoding/json"

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

// Session is the login of a key that is a session.
type Session struct {
	Subject string `json:"subject"`
	// Client is the id of the application that the person signed in to; empty for none.
	Client    string `json:"client,omitempty"`
	Method    string `json:"method,omitempty"`
	Provider  string `json:"provider,omitempty"`
	StartedAt string `json:"startedAt"`
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
	// AccessTokenSeconds is the lifetime of access tokens: those that were issued before a revocation expire after it at the latest.
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
