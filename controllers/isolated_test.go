package controllers_test

import (
	"net/http"
	"testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// testsAtOnce is how many isolated tests run at the same time: they wait most of their time.
const testsAtOnce = "8"

// newIsolated returns a fixture whose managers see only its own namespace and issuer, and have an operator's namespace of their
// own. So its test runs beside others, whose clocks differ. It is for tests that wait.
func newIsolated(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	w := newFixture(t)
	w.isolated, w.operator = true, w.Name+"-operator"
	w.CreateNamespace(w.operator, nil)
	return w
}

// isolation adds to the lists and watches of a manager, which are for all namespaces, what selects the objects of one fixture.
// name is that of its namespace and of its issuer.
type isolation struct {
	next http.RoundTripper
	name string
}

// RoundTrip is part of http.RoundTripper.
func (i *isolation) RoundTrip(request *http.Request) (*http.Response, error) {
	selector := ""
	switch request.URL.Path {
	case "/api/v1/secrets", "/apis/" + v1alpha1.Group + "/v1alpha1/jwtrefreshkeys":
		selector = "metadata.namespace=" + i.name
	case "/apis/" + v1alpha1.Group + "/v1alpha1/jwtissuers":
		selector = "metadata.name=" + i.name
	default:
		return i.next.RoundTrip(request)
	}
	request = request.Clone(request.Context())
	query := request.URL.Query()
	if already := query.Get("fieldSelector"); already != "" {
		selector = already + "," + selector
	}
	query.Set("fieldSelector", selector)
	request.URL.RawQuery = query.Encode()
	return i.next.RoundTrip(request)
}
