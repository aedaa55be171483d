package tenancy

import (
	"net/http"
	"sync"

	"k8s.io/client-go/rest"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// newIssuer creates an issuer with the rules of its policy; without rules, it has no policy.
func newIssuer(h *harness.Harness, rules ...v1alpha1.PolicyRule) *v1alpha1.JWTIssuer {
	h.T.Helper()
	if len(rules) == 0 {
		return h.CreateIssuer(harness.UniqueName("issuer"))
	}
	return h.CreateIssuer(harness.UniqueName("issuer"), harness.WithRules(rules...))
}

// forbiddenRequests records the requests that the API server forbids.
type forbiddenRequests struct {
	mu  sync.Mutex
	all []string
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func (r *forbiddenRequests) wrap(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			response, err := next.RoundTrip(request)
			if err == nil && response.StatusCode == http.StatusForbidden {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.all = append(r.all, request.Method+" "+request.URL.Path)
			}
			return response, err
		})
	})
	return config
}

func (r *forbiddenRequests) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all
}

// awaitExchange waits until an exchange of a token has an outcome.
func awaitExchange(h *harness.Harness, r *operator.Replica, issuer *v1alpha1.JWTIssuer, compact, want string) {
	h.T.Helper()
	h.AwaitState("the exchange gets "+want, func() (bool, string) {
		got := h.RefreshAt(r, issuer.Name, compact).Outcome()
		return got == want, got
	})
}
