package harness

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/go-logr/logr"
	"github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// Manage runs a manager, with the rights of its ServiceAccount, until the test ends or stop is called.
func (h *Harness) Manage() (stop func()) {
	h.T.Helper()
	return operator.Manage(h.T, h.ManagerConfig(), logr.Discard(), controllers.Options{Clock: h.Clock})
}

// Replica runs a replica of the token service, with the rights of its ServiceAccount, and waits until it is ready.
func (h *Harness) Replica(change ...func(*rest.Config, *registry.Options)) *operator.Replica {
	h.T.Helper()
	config, options := h.TokenServiceConfig(), registry.Options{Clock: h.Clock}
	for _, c := range change {
		c(config, &options)
	}
	return operator.ServeLogged(h.T, config, options, h.Log)
}

// Post sends a form to an endpoint of the test's issuer. The headers are names and values in turn.
func (h *Harness) Post(r *operator.Replica, endpoint string, form url.Values, headers ...string) *operator.Answer {
	h.T.Helper()
	return h.PostTo(r, "/"+h.Name+endpoint, form, headers...)
}

// PostTo sends a form to a path of a replica. The headers are names and values in turn.
func (h *Harness) PostTo(r *operator.Replica, path string, form url.Values, headers ...string) *operator.Answer {
	h.T.Helper()
	request, err := http.NewRequestWithContext(h.Ctx, http.MethodPost, r.Server.URL+path, strings.NewReader(form.Encode()))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return h.Do(r, request)
}

// Do sends a request as the replica's client, and reads the answer, which is JSON or empty.
func (h *Harness) Do(r *operator.Replica, request *http.Request) *operator.Answer {
	h.T.Helper()
	answer, err := operator.Do(r.Client, request)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return answer
}

// Refresh exchanges a refresh token at the test's issuer. More parameters are names and values in turn.
func (h *Harness) Refresh(r *operator.Replica, compact string, more ...string) *operator.Answer {
	h.T.Helper()
	return h.RefreshAt(r, h.Name, compact, more...)
}

// RefreshAt exchanges a refresh token at an issuer. More parameters are names and values in turn.
func (h *Harness) RefreshAt(r *operator.Replica, issuer, compact string, more ...string) *operator.Answer {
	h.T.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {compact}}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return h.PostTo(r, "/"+issuer+"/token", form)
}

// Revoke revokes a refresh token at the test's issuer.
func (h *Harness) Revoke(r *operator.Replica, compact string) *operator.Answer {
	h.T.Helper()
	return h.Post(r, "/revoke", url.Values{"token": {compact}})
}

// Introspect asks the test's issuer about a token, as a caller with a bearer token. An empty bearer token or hint is not
// sent.
func (h *Harness) Introspect(r *operator.Replica, bearer, compact, hint string) *operator.Answer {
	h.T.Helper()
	form := url.Values{"token": {compact}}
	if hint != "" {
		form.Set("token_type_hint", hint)
	}
	if bearer == "" {
		return h.Post(r, "/introspect", form)
	}
	return h.Post(r, "/introspect", form, "Authorization", "Bearer "+bearer)
}
