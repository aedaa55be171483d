package apicalls

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/client-go/rest"
)

func TestResourceOf(t *testing.T) {
	for path, want := range map[string]string{
		"/api/v1/namespaces/shop/secrets/orders":             "secrets",
		"/api/v1/namespaces/shop/secrets":                    "secrets",
		"/api/v1/secrets":                                    "secrets",
		"/api/v1/namespaces":                                 "namespaces",
		"/api/v1/namespaces/shop":                            "namespaces",
		"/api/v1/namespaces/shop/serviceaccounts/till/token": "serviceaccounts/token",
		"/apis/jwt.refreshkeys.dev/v1alpha1/namespaces/shop/jwtrefreshkeys/orders/status": "jwtrefreshkeys/status",
		"/apis/jwt.refreshkeys.dev/v1alpha1/jwtissuers/default/status":                    "jwtissuers/status",
		"/apis/authentication.k8s.io/v1/tokenreviews":                                     "tokenreviews",
		"/apis/jwt.refreshkeys.dev/v1alpha1":                                              "other",
		"/api/v1":                                                                         "other",
		"/api":                                                                            "other",
		"/version":                                                                        "other",
		"/":                                                                               "other",
		"":                                                                                "other",
	} {
		if got := resourceOf(path); got != want {
			t.Errorf("%s is of %q, want %q", path, got, want)
		}
	}
}

type away struct{}

func (away) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("away") }

func TestCounter(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusConflict)
		}
	}))
	defer server.Close()
	counter := New()
	call := func(config *rest.Config, method, path string) {
		counter.Wrap(config)
		client, err := rest.HTTPClientFor(config)
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if response, err := client.Do(request); err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
	}
	call(&rest.Config{}, http.MethodGet, "/api/v1/namespaces/shop/secrets?watch=1&limit=1")
	call(&rest.Config{}, http.MethodGet, "/api/v1/namespaces/shop/secrets/orders")
	call(&rest.Config{}, http.MethodPut, "/api/v1/namespaces/shop/secrets/orders")
	call(&rest.Config{Transport: away{}}, http.MethodPost, "/apis/authentication.k8s.io/v1/tokenreviews")
	want := `
# HELP refreshkeys_api_calls_total Calls at the API server, by verb, resource (with its subresource) and HTTP status; code error where no answer came.
# TYPE refreshkeys_api_calls_total counter
refreshkeys_api_calls_total{code="200",resource="secrets",verb="get"} 1
refreshkeys_api_calls_total{code="200",resource="secrets",verb="watch"} 1
refreshkeys_api_calls_total{code="409",resource="secrets",verb="update"} 1
refreshkeys_api_calls_total{code="error",resource="tokenreviews",verb="create"} 1
`
	if err := testutil.CollectAndCompare(counter, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
