package console

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// Credential is what a person acts with at the API server.
type Credential struct {
	// Config makes clients with the person's rights.
	Config *rest.Config
	Means  wire.Means
	// Until is the end of the credential; zero for one whose end is not known.
	Until time.Time
	// Renew returns the next credential of the same person. It is called before Until, by one caller at a time. If it is nil, the
	// session ends with the credential.
	Renew func(ctx context.Context) (*Credential, error)
	// End ends at the provider what the credential comes from, and returns where the browser must go for that; empty for nowhere.
	// It may be nil.
	End func(ctx context.Context) (location string)
	// Drop is End for a session that ends without its browser: after its time, or for another login. It may be called again, and may
	// be nil.
	Drop func(ctx context.Context)
	// OwnSessions are the person's own sessions at the token service; nil for a credential that does not come from one of them.
	OwnSessions OwnSessions
}

// OwnSessions are the sessions of a person at the token service. Its errors are those of a person who is not signed in there
// (Unauthorized), or of a service that gives no answer.
type OwnSessions interface {
	List(ctx context.Context) (*wire.Mine, error)
	EndSessions(ctx context.Context, which *wire.EndSessions) (*wire.Ended, error)
}

// Arrival is the return of a browser from the provider.
type Arrival struct {
	// Credential is that of the person.
	Credential *Credential
	// Path, below the base path, is the page that the person asked for.
	Path string
	// Session is that of Login.
	Session string
}

// SignIn is a way to sign in at a provider. It is implemented by package signin.
type SignIn interface {
	// Provider is the host of the provider, for people.
	Provider() string
	// Login answers GET auth/login: it sends the browser to the provider. session names the session that the browser has; empty for
	// none. On the way back, from another site, the browser does not send the cookie of that session.
	Login(w http.ResponseWriter, r *http.Request, session string)
	// Callback reads what the provider sent the browser back with. It may set cookies and must not answer. An Arrival that comes with
	// an error has no credential.
	Callback(w http.ResponseWriter, r *http.Request) (Arrival, error)
	// Logout answers GET auth/logout: it sends the browser to the provider, for a location that End of a credential returned.
	Logout(w http.ResponseWriter, r *http.Request)
}

// refusals remembers that the API server refused a credential. It passes all requests of one person.
type refusals struct{ refused atomic.Bool }

// wrap changes the configuration of a client so that refusals of its requests are remembered.
func (f *refusals) wrap(config *rest.Config) {
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &watchful{next: next, refusals: f} })
}

type watchful struct {
	next     http.RoundTripper
	refusals *refusals
}

// RoundTrip implements http.RoundTripper.
func (t *watchful) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(request)
	if err == nil && response.StatusCode == http.StatusUnauthorized {
		t.refusals.refused.Store(true)
	}
	return response, err
}

// WrappedRoundTripper returns the underlying transport, for client-go (k8s.io/apimachinery/pkg/util/net).
func (t *watchful) WrappedRoundTripper() http.RoundTripper { return t.next }
