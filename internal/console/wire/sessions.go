package wire

// Mine is the answer of GET api/mine: the sessions of the person at the token service.
type Mine struct {
	Sessions []OwnSession `json:"sessions"`
}

// OwnSession is one session of the person.
type OwnSession struct {
	ID      string `json:"id"`
	Current bool   `json:"current,omitempty"`
	// Status is Active, Revoked or Expired.
	Status   string `json:"status"`
	Audience string `json:"audience"`
	// Client is the id of the application that the person signed in to; empty for none.
	Client           string  `json:"client,omitempty"`
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
