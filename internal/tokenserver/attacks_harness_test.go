package tokenserver_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/tokenserver"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

const (
	patience = 20 * time.Second
	audience = replica.Audience
)

// answer is the answer to a client.
type answer struct {
	status int
	header http.Header
	body   map[string]any
	raw    string
}

func (a *answer) text(name string) string {
	text, _ := a.body[name].(string)
	return text
}

// outcome returns the status, and the error code if there is one.
func (a *answer) outcome() string {
	if a.status == http.StatusOK {
		return "200"
	}
	return fmt.Sprintf("%d %s", a.status, a.text("error"))
}

// attackHarness is a replica under attack. The attacker has everything, the signing keys included, so that tokens are
// refused for their content and not only for their signature.
type attackHarness struct {
	*replica.Replica
	*forger
	t   *testing.T
	ctx context.Context
	// name is the name of the namespace and of the issuer.
	name string
	// front is the server of the replica; its log is kept.
	front *httptest.Server
	log   *logbook
	// trap counts requests to the URLs of jku and x5u.
	trap    atomic.Int64
	trapURL string
	// caller is the token of a ServiceAccount that may ask about tokens.
	caller string
	// other is a second refresh key, and otherGood its token.
	other     *v1alpha1.JWTRefreshKey
	otherGood string
	// shortly is sufficient for a healthy connection, and the limit of a slow one here: a second, or on a slow machine
	// five times as long as the first exchange took with its handshake.
	shortly time.Duration
	// rows counts the sent requests, and secrets are texts that no log line may contain.
	rows    int
	secrets []string
}

// logbook keeps the lines of a log.
type logbook struct {
	mu      sync.Mutex
	written []string
}

func (l *logbook) logger() logr.Logger {
	return funcr.New(func(prefix, args string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.written = append(l.written, prefix+" "+args)
	}, funcr.Options{Verbosity: 10})
}

func (l *logbook) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.written)
}

func newAttackHarness(t *testing.T) *attackHarness {
	t.Helper()
	s := &attackHarness{t: t, ctx: t.Context(), name: replica.Name, log: &logbook{}, Replica: replica.New(t, func(i *v1alpha1.JWTIssuer) {
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Audiences: []string{"https://*.example.com"}, Scopes: []string{"orders:*"}}}}
	})}
	options := s.Server.Options
	options.Log = s.log.logger()
	handler, err := tokenserver.New(options)
	if err != nil {
		t.Fatal(err)
	}
	s.front = s.serve(handler, nil)
	good := s.Issue("orders", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Scopes = []string{"orders:read", "orders:write"} })
	s.otherGood = s.secret(s.Issue("stock"))
	s.other = s.Stored(replica.NameOf("stock"))
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { s.trap.Add(1) }))
	t.Cleanup(trap.Close)
	s.trapURL, s.caller = trap.URL, s.secret(s.Auditor("orders-api"))
	s.forger = newForger(t, s.Rings, s.secret(good))
	began := time.Now()
	if got := s.send(t, s.exchange(s.good)); got.outcome() != "200" {
		t.Fatalf("before the attacks, the good token gets %s", got.outcome())
	}
	s.shortly = max(time.Second, 5*time.Since(began))
	return s
}

// url returns the issuer's URL.
func (s *attackHarness) url() string { return replica.URL }

// secret adds a text that the log must not contain.
func (s *attackHarness) secret(text string) string {
	s.secrets = append(s.secrets, text)
	return text
}

func (s *attackHarness) serve(handler http.Handler, limits func(*http.Server)) *httptest.Server {
	s.t.Helper()
	served := httptest.NewUnstartedServer(handler)
	served.Config = tokenserver.NewHTTPServer(handler, nil)
	if limits != nil {
		limits(served.Config)
	}
	served.EnableHTTP2 = true
	served.StartTLS()
	s.t.Cleanup(served.Close)
	return served
}
