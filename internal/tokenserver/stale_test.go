package tokenserver

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/grant"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// staleRegistry is a registry with a view that may be too old. It has no other methods.
type staleRegistry struct{ grant.Registry }

func (staleRegistry) Fresh() error { return upstream.ErrUnavailable }

// newGrant is a grant that a contributor might add. It does not check the freshness of the view.
type newGrant struct{}

func (newGrant) Check(*registry.Issuer) error { return nil }

func (newGrant) Answer(context.Context, *grant.Fresh, *registry.Issuer, *grant.Outcome) (*oauth.TokenAnswer, error) {
	return &oauth.TokenAnswer{AccessToken: "x"}, nil
}

// TestANewGrantOnAStaleView checks that a new grant_type is answered with 503 on a stale view, although it has no code
// for it.
func TestANewGrantOnAStaleView(t *testing.T) {
	const name = "urn:example:new-grant"
	tokenGrants[name] = func(*Server, *Request, oauth.Form) (grant.Request, error) { return newGrant{}, nil }
	t.Cleanup(func() { delete(tokenGrants, name) })
	clock := clocktesting.NewFakePassiveClock(time.Unix(1e9, 0))
	grants, err := grant.New(grant.Options{Registry: staleRegistry{}, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Issuers: &oneIssuer{}, Grants: grants, Clock: clock, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequest(http.MethodPost, "https://tokens.example.com/token", strings.NewReader("grant_type="+name))
	request.Header.Set("Content-Type", formType)
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, request)
	if recorder.Code != http.StatusServiceUnavailable || recorder.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", recorder.Code, recorder.Body)
	}
}

// noIssuers is an Issuers with no issuer, whose view may be too old.
type noIssuers struct{ stale error }

func (noIssuers) At(string, string) registry.Place { return registry.Place{} }

func (n noIssuers) Fresh() error { return n.stale }

// TestAnUnknownIssuerOnAStaleView checks that a replica that has just started, or that cannot reach the API server, does not say that there is no
// such issuer.
func TestAnUnknownIssuerOnAStaleView(t *testing.T) {
	for _, c := range []struct {
		stale error
		want  int
	}{{upstream.ErrUnavailable, http.StatusServiceUnavailable}, {nil, http.StatusNotFound}} {
		s, err := New(Options{Issuers: noIssuers{c.stale}, Clock: clocktesting.NewFakePassiveClock(time.Unix(1e9, 0)), Log: logr.Discard()})
		if err != nil {
			t.Fatal(err)
		}
		recorder := httptest.NewRecorder()
		s.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "https://tokens.example.com/office/jwks.json", http.NoBody))
		if recorder.Code != c.want || (recorder.Header().Get("Retry-After") != "") != (c.stale != nil) {
			t.Errorf("%v: %d %s", c.stale, recorder.Code, recorder.Body)
		}
	}
}
