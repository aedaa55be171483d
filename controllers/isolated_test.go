package controllers_test

import (
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// testsAtOnce is how many isolated tests run at the same time: they wait most of their time.
const testsAtOnce = "8"

// harnessLabel is on the issuer of an isolated harness.
const harnessLabel = "harness"

// newIsolated returns a harness whose managers see only its own namespace and issuer, and have an operator's namespace of their
// own. So its test runs beside others, whose clocks differ. It is for tests that wait.
func newIsolated(t *testing.T) *harness {
	t.Helper()
	t.Parallel()
	w := newHarness(t)
	w.isolated, w.operator = true, w.namespace+"-operator"
	w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.operator}})
	return w
}

// isolation adds to the lists and watches of a manager, which are for all namespaces, what selects the objects of one harness.
type isolation struct {
	next              http.RoundTripper
	namespace, issuer string
}

// RoundTrip is part of http.RoundTripper.
func (i *isolation) RoundTrip(request *http.Request) (*http.Response, error) {
	name, value := "", ""
	switch request.URL.Path {
	case "/api/v1/secrets", "/apis/" + v1alpha1.Group + "/v1alpha1/jwtrefreshkeys":
		name, value = "fieldSelector", "metadata.namespace="+i.namespace
	case "/apis/" + v1alpha1.Group + "/v1alpha1/jwtissuers":
		name, value = "labelSelector", harnessLabel+"="+i.issuer
	default:
		return i.next.RoundTrip(request)
	}
	request = request.Clone(request.Context())
	query := request.URL.Query()
	if query.Get(name) != "" {
		value = query.Get(name) + "," + value
	}
	query.Set(name, value)
	request.URL.RawQuery = query.Encode()
	return i.next.RoundTrip(request)
}
