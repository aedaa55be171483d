package wire

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
	// away (the API server cannot be reached: the page opens the stream again), or renewed (the credential is to be renewed: the page
	// opens the stream again at once, with the next one).
	Reason string `json:"reason"`
	// Kind is keys or issuers, where Reason is forbidden.
	Kind    string  `json:"kind,omitempty"`
	Failure Failure `json:"failure"`
}
