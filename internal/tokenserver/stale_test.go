package tokenserver

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/endpoint"
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
// such issuer, and that a person gets a page at each endpoint for people.
func TestAnUnknownIssuerOnAStaleView(t *testing.T) {
	people := []string{
		endpoint.AuthorizeURL(""), endpoint.PasswordURL(""), endpoint.ConsentURL(""), endpoint.ProviderURL(""),
		endpoint.CallbackURL("", endpoint.ProviderID("https://accounts.example.com")),
		endpoint.DeviceURL(""), endpoint.DeviceCodeURL(""), endpoint.DeviceDecisionURL(""),
	}
	for _, c := range []struct {
		stale error
		want  int
		// page and code are what a person and a client read.
		page, code string
	}{
		{upstream.ErrUnavailable, http.StatusServiceUnavailable, "Sign-in is not available now", `"temporarily_unavailable"`},
		{nil, http.StatusNotFound, "No such issuer or endpoint.", `"invalid_request"`},
	} {
		s, err := New(Options{Issuers: noIssuers{c.stale}, Clock: clocktesting.NewFakePassiveClock(time.Unix(1e9, 0)), Log: logr.Discard()})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(people, slices.Collect(maps.Keys(endpoints)))))) {
			contentType, said := jsonType, c.code
			if slices.Contains(people, path) {
				contentType, said = "text/html; charset=utf-8", c.page
			}
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				recorder := httptest.NewRecorder()
				request := httptest.NewRequest(method, "https://tokens.example.com/office"+path, strings.NewReader(""))
				s.ServeHTTP(recorder, request)
				if recorder.Code != c.want || (recorder.Header().Get("Retry-After") != "") != (c.stale != nil) ||
					recorder.Header().Get("Content-Type") != contentType || !strings.Contains(recorder.Body.String(), said) {
					t.Errorf("%s %s, %v: %d %v %s", method, path, c.stale, recorder.Code, recorder.Header(), recorder.Body)
				}
			}
		}
	}
}
