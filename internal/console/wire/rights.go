package wire

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
