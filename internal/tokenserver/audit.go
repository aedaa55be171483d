package tokenserver

import (
	"cmp"
	"encoding/json"
	"io"
	"regexp"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

// Audit writes one line of JSON for each exchange, login and revocation and for each request of a subject for its
// sessions, granted or refused, and for each introspection by a caller without the right to ask about the token. A line contains the subject, the refresh
// key, the client's address, the time and the result, and never a token.
type Audit struct {
	clock clock.PassiveClock
	lost  func(error)

	mu  sync.Mutex
	out io.Writer
}

// NewAudit returns an Audit. lost is called for each line that cannot be written; requests are not delayed.
func NewAudit(out io.Writer, clock clock.PassiveClock, lost func(error)) *Audit {
	return &Audit{out: out, clock: clock, lost: lost}
}

// record is a line of the audit log, without the members that are unknown.
type record struct {
	Time time.Time `json:"time"`
	// Event is exchange, sign-in, consent, login, revocation, introspection, sessions or sessions-end.
	Event string `json:"event"`
	// Issuer is empty if several issuers share the URL and the request names none of them.
	Issuer string `json:"issuer"`
	Grant  string `json:"grant,omitempty"`
	// Method is Password or OIDC; only set for a sign-in at a page, and for what the person decides there.
	Method string `json:"method,omitempty"`
	// Result is ok, or the OAuth error of the answer. For an introspection it is insufficient_scope, which the
	// caller does not get.
	Result string `json:"result"`
	Status int    `json:"status"`
	// Subject is the subject of the token, or the authenticated subject of a login.
	Subject   string `json:"subject,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	UID       string `json:"uid,omitempty"`
	Revision  int64  `json:"revision,omitempty"`
	JTI       string `json:"jti,omitempty"`
	AccessJTI string `json:"accessJTI,omitempty"`
	// Ended are the uids of the sessions that their subject ended.
	Ended []types.UID `json:"ended,omitempty"`
	// Caller is the user name of the caller; only set for an introspection.
	Caller string `json:"caller,omitempty"`
	// Address is the remote address of the connection; that of a proxy if there is one.
	Address   string `json:"address,omitempty"`
	UserAgent string `json:"userAgent,omitempty"`
}

// Observe writes the line of a request, if its kind is audited.
func (a *Audit) Observe(r *Request) {
	event := eventOf(r)
	if event == "" || (r.Issuer == "" && len(r.place.Issuers()) == 0) {
		return
	}
	line, err := json.Marshal(&record{
		Time: a.clock.Now().UTC(), Event: event, Issuer: r.Issuer, Grant: r.Grant, Method: string(r.Method), Result: auditResult(r), Status: r.Status,
		Subject: r.Outcome.Subject, Namespace: r.Outcome.Key.Namespace, Name: r.Outcome.Key.Name, UID: string(r.Outcome.UID),
		Revision: r.Outcome.Revision, JTI: r.Outcome.JTI, AccessJTI: r.Outcome.AccessJTI, Ended: r.Outcome.Ended, Caller: r.Caller,
		Address: address(r.http), UserAgent: namedAgent(r.http.UserAgent()),
	})
	if err == nil {
		a.mu.Lock()
		_, err = a.out.Write(append(line, '\n'))
		a.mu.Unlock()
	}
	if err != nil {
		a.lost(err)
	}
}

func auditResult(r *Request) string {
	if r.Outcome.Withheld != "" {
		return string(r.Outcome.Withheld)
	}
	return result(r.Code)
}

func eventOf(r *Request) string {
	switch {
	case r.Endpoint == endpointRevoke:
		return "revocation"
	case r.Endpoint == endpointPassword, r.Endpoint == endpointCallback, r.Endpoint == endpointDecision:
		return "sign-in"
	case r.Endpoint == endpointConsent:
		return "consent"
	case r.Endpoint == endpointSessions:
		return "sessions"
	case r.Endpoint == endpointEnd:
		return "sessions-end"
	case r.Outcome.Withheld != "":
		return "introspection"
	case r.Endpoint != endpointToken, isWaiting(r):
		return ""
	default:
		return cmp.Or(grantEvents[r.Grant], "exchange")
	}
}

// isWaiting reports whether a request is a poll of a device that nothing was decided about.
func isWaiting(r *Request) bool {
	return r.Grant == oauth.GrantDeviceCode && (r.Code == oauth.AuthorizationPending || r.Code == oauth.SlowDown)
}

// grantEvents maps each supported grant_type to its event. A request of another grant_type is a refused exchange.
var grantEvents = map[string]string{
	oauth.GrantRefreshToken:      "exchange",
	oauth.GrantTokenExchange:     "login",
	oauth.GrantPassword:          "login",
	oauth.GrantAuthorizationCode: "login",
	oauth.GrantDeviceCode:        "login",
}

// tokenShaped matches a token or a truncated one in a user agent: up to three parts of base64url, the first of
// which is a JSON object (RFC 7515 §3.1).
var tokenShaped = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*){0,2}`)

func withoutTokens(text string) string { return tokenShaped.ReplaceAllString(text, "[removed]") }
