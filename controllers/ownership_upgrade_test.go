package controllers_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
)

// TestTheOwnerAnnotationOfAnEarlierVersion checks that the earlier form causes no write, and that the next write replaces
// it.
func TestTheOwnerAnnotationOfAnEarlierVersion(t *testing.T) {
	tests := []struct {
		policy     v1alpha1.DeletionPolicy
		annotation string
		earlier    func(*corev1.Secret)
	}{
		{v1alpha1.DeletionRetain, v1alpha1.AnnotationOwner, func(s *corev1.Secret) { s.Annotations[v1alpha1.AnnotationOwner] = "orders" }},
		{v1alpha1.DeletionDelete, madeFor, func(s *corev1.Secret) { delete(s.Annotations, madeFor) }},
	}
	for _, tt := range tests {
		t.Run(string(tt.policy), func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			w.Issuer()
			key := w.Key("orders", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{DeletionPolicy: tt.policy} })
			stop := w.startFor()
			w.AwaitReason(key, v1alpha1.ReasonIssued)
			stop()
			secret := w.MustSecret("orders")
			w.Edit(secret, func() { tt.earlier(secret) })
			writes, _ := w.startCounting()
			w.AwaitReason(key, v1alpha1.ReasonIssued)
			probe := w.Key("probe")
			w.AwaitReason(probe, v1alpha1.ReasonIssued)
			w.Expect(w.MustSecret("orders")).To(gomega.Equal(secret), "an upgrade must write nothing")
			w.Expect(writes.to("/secrets/orders")).To(gomega.BeZero())

			w.Annotate(key, v1alpha1.AnnotationRotate, "once")
			w.AwaitRevision(key, 2)
			w.Expect(w.MustSecret("orders").Annotations).To(gomega.HaveKeyWithValue(tt.annotation, fmt.Sprintf("%s/orders/%s", w.Name, key.UID)))
		})
	}
}

// writeCounter counts the requests of a manager that write, by path.
type writeCounter struct {
	next  http.RoundTripper
	total *atomic.Int64
	paths chan string
}

// writes returns the paths of the writes.
type writes struct {
	total atomic.Int64
	paths chan string
	seen  []string
}

func (c *writeCounter) RoundTrip(request *http.Request) (*http.Response, error) {
	// Events, leases and access reviews do not count.
	if request.Method != http.MethodGet && !strings.Contains(request.URL.Path, "/events") && !strings.HasSuffix(request.URL.Path, "reviews") {
		c.total.Add(1)
		c.paths <- request.URL.Path
	}
	return c.next.RoundTrip(request)
}

// to returns the number of writes to paths with this suffix.
func (w *writes) to(ending string) (n int) {
	for _, path := range w.all() {
		if strings.HasSuffix(path, ending) {
			n++
		}
	}
	return n
}

// all returns the paths of all writes so far.
func (w *writes) all() []string {
	for len(w.paths) > 0 {
		w.seen = append(w.seen, <-w.paths)
	}
	return w.seen
}

// startCounting runs a manager whose writes are counted.
func (w *fixture) startCounting(change ...func(*rest.Config, *controllers.Options)) (counted *writes, stop func()) {
	w.T.Helper()
	counted = &writes{paths: make(chan string, 100_000)}
	stop = w.startOnly(append(change, func(config *rest.Config, _ *controllers.Options) {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return &writeCounter{next: next, total: &counted.total, paths: counted.paths}
		})
	})...)
	return counted, stop
}

// startFor runs a manager for the namespace of the fixture and further ones, so that no clock of another test decides here.
func (w *fixture) startFor(others ...string) (stop func()) {
	w.T.Helper()
	return w.start(func(_ *rest.Config, options *controllers.Options) {
		options.Namespaces = slices.Concat(others, []string{w.Name})
	})
}
