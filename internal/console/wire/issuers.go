package wire

import "encoding/json"

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
