package console

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// host is the name under which the console of a test is served.
const host = "console.example.com"

// canary is part of every token of these tests.
const canary = "c4n4ry"

// cluster is an API server that knows users by their tokens, and answers SelfSubjectReviews only.
type cluster struct {
	*httptest.Server
	mu    sync.Mutex
	users map[string]authenticationv1.UserInfo
	seen  []*http.Request
	// answer answers in the place of the API server, if it is set.
	answer http.HandlerFunc
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{users: map[string]authenticationv1.UserInfo{}}
	c.Server = httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(c.Close)
	return c
}

func (c *cluster) serve(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.seen = append(c.seen, r)
	answer := c.answer
	c.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	user, known := c.users[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if !known {
		status(w, http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized")
		return
	}
	if !strings.HasSuffix(r.URL.Path, "/selfsubjectreviews") {
		status(w, http.StatusNotFound, metav1.StatusReasonNotFound, "the fake has no such path")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(&authenticationv1.SelfSubjectReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "SelfSubjectReview"},
		Status:   authenticationv1.SelfSubjectReviewStatus{UserInfo: user},
	})
}

func status(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(&metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message,
	})
}

// user makes a user, and returns their token.
func (c *cluster) user(name string) string {
	token := canary + "." + base64.RawURLEncoding.EncodeToString([]byte(name))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users[token] = authenticationv1.UserInfo{Username: name, Groups: []string{"system:authenticated"}}
	return token
}

// forget makes the API server refuse a token.
func (c *cluster) forget(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.users, token)
}

// answers makes the API server answer in another way; nil makes it answer by itself again.
func (c *cluster) answers(answer http.HandlerFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

// requests returns what the API server was asked.
func (c *cluster) requests() []*http.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*http.Request(nil), c.seen...)
}

// fixture is a console whose clock stands still.
type fixture struct {
	*Server
	t        *testing.T
	cluster  *cluster
	fake     *clocktesting.FakeClock
	registry *prometheus.Registry
	lines    bytes.Buffer
	mu       sync.Mutex
}

func newFixture(t *testing.T, change ...func(*Options)) *fixture {
	t.Helper()
	f := &fixture{t: t, cluster: newCluster(t), fake: clocktesting.NewFakeClock(time.Now()), registry: prometheus.NewRegistry()}
	o := Options{
		// The console's own credential, which must never be used.
		API: &rest.Config{
			Host: f.cluster.URL, BearerToken: "own-" + canary, BearerTokenFile: "/var/run/own-token", Username: "own", Password: canary,
			Impersonate: rest.ImpersonationConfig{UserName: "own"},
		},
		Clock: f.fake, Random: rand.Reader, Registerer: f.registry,
		Log: funcr.NewJSON(func(line string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			fmt.Fprintln(&f.lines, line)
		}, funcr.Options{}),
		Hosts: []string{host}, BasePath: "/", Reveal: true, SessionIdle: 30 * time.Minute, SessionMax: 12 * time.Hour, Version: "v1.2.3",
	}
	for _, each := range change {
		each(&o)
	}
	var err error
	if f.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	// A route and a stream, as those below /api/ are registered.
	f.route("GET /api/test/{ns}/{name}", func(_ context.Context, p *person, r *http.Request) (any, error) {
		return map[string]string{"user": p.user, "ns": r.PathValue("ns"), "name": r.PathValue("name")}, nil
	})
	f.route("POST /api/test", func(_ context.Context, p *person, r *http.Request) (any, error) {
		var body struct {
			Text string `json:"text"`
		}
		return body, decode(r, &body)
	})
	f.stream("GET /api/test/stream", func(w http.ResponseWriter, r *http.Request, _ *person, ended <-chan struct{}) {
		_, _ = io.WriteString(w, "event: synced\ndata: {}\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-ended:
		case <-r.Context().Done():
		}
	})
	return f
}

// log returns the lines of the log.
func (f *fixture) logged() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lines.String()
}

// call is a request as the page of the console sends it, and what a test changes of it.
type call struct {
	method, path, body, session string
	headers                     map[string]string
	// from is the address of the client; empty for one that all calls share.
	from string
}

// do sends a request to the console.
func (f *fixture) do(c call) *http.Response {
	f.t.Helper()
	r := httptest.NewRequest(c.method, "https://"+host+c.path, strings.NewReader(c.body))
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if c.method != http.MethodGet {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", "https://"+host)
	}
	if c.session != "" {
		r.AddCookie(&http.Cookie{Name: f.cookie.name, Value: c.session})
	}
	if c.from != "" {
		r.RemoteAddr = c.from
	}
	for name, value := range c.headers {
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Result()
}

// signedIn signs a person in, and returns the id of the session.
func (f *fixture) signedIn(token string) string {
	f.t.Helper()
	answer := f.try(wire.Login{Token: token}, "")
	if answer.StatusCode != http.StatusOK {
		f.t.Fatalf("sign-in: %d %s", answer.StatusCode, bodyOf(f.t, answer))
	}
	return cookieOf(f.t, answer).Value
}

func (f *fixture) try(asked wire.Login, session string) *http.Response {
	f.t.Helper()
	body, err := json.Marshal(asked)
	if err != nil {
		f.t.Fatal(err)
	}
	f.fake.Step(time.Second) // so that the rate of logins is no concern of the test
	return f.do(call{method: http.MethodPost, path: f.base + "api/login", body: string(body), session: session})
}

func (f *fixture) meIs(session string) wire.Me {
	f.t.Helper()
	return read[wire.Me](f.t, f.do(call{method: http.MethodGet, path: f.base + "api/me", session: session}))
}

func cookieOf(t *testing.T, answer *http.Response) *http.Cookie {
	t.Helper()
	found := answer.Cookies()
	if len(found) != 1 {
		t.Fatalf("the answer sets %d cookies", len(found))
	}
	return found[0]
}

func bodyOf(t *testing.T, answer *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func read[T any](t *testing.T, answer *http.Response) (value T) {
	t.Helper()
	body := bodyOf(t, answer)
	if err := json.Unmarshal([]byte(body), &value); err != nil {
		t.Fatalf("the answer %d %q is not the JSON of the route: %v", answer.StatusCode, body, err)
	}
	return value
}

// jwt returns a token with an end, signed by no key.
func jwt(end time.Time) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode(fmt.Appendf(nil, `{"exp":%d,"note":%q}`, end.Unix(), canary)) + "." + encode([]byte(canary))
}
