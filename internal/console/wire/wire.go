// Package wire defines what the server of the console and its page exchange, in JSON: the page's TypeScript types are generated
// from it. All times are RFC 3339 in UTC; an absent time means never, or not yet.
//
// An answer that is not 2xx is a Failure. No type but Revealed holds the text of a token.
package wire

// AutomaticHeader is the header of requests that the page sends without an action of the person, with the value true: like a stream,
// they do not keep a session from becoming idle.
const AutomaticHeader = "X-Refreshkeys-Automatic"

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

// Namespaces is the answer of GET api/namespaces.
type Namespaces struct {
	Names []string `json:"names"`
	// Unchecked: there are too many namespaces to ask about each, so Names has also those in which the person may list no keys.
	Unchecked bool `json:"unchecked,omitempty"`
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

// Fact is a named value.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}
