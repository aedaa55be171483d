package console

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/view"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// fieldManager is the manager of the fields that a person changes on the page.
const fieldManager = "refreshkeys-console"

// The resources that the page asks about, as the API server names them.
const (
	keyResource    = "jwtrefreshkeys"
	issuerResource = "jwtissuers"
	secretResource = "secrets"
)

// apiRoutes registers the routes of keys and issuers.
func (s *Server) apiRoutes() {
	s.route("GET /api/keys/{ns}/{name}", s.keyDetail)
	s.route("POST /api/keys/{ns}/preview", s.preview)
	s.route("POST /api/keys/{ns}", s.createKey)
	s.route("PATCH /api/keys/{ns}/{name}", s.changeKey)
	s.route("DELETE /api/keys/{ns}/{name}", s.deleteKey)
	s.route("POST /api/keys/{ns}/{name}/reveal", s.reveal)
	s.route("GET /api/issuers/{name}", s.issuerDetail)
	s.route("PATCH /api/issuers/{name}", s.changeIssuer)
	s.route("POST /api/issuers/{name}/trial", s.trial)
	s.route("GET /api/issuers/{name}/jwks", s.publicKeys)
	s.route("POST /api/can", s.can)
	s.route("GET /api/namespaces", s.namespaces)
	s.stream("GET /api/stream", s.changes)
}

// right is what a request needs.
type right struct{ verb, resource, namespace, name string }

// ask returns the command that shows whether a person has the right.
func (r right) ask() string {
	resource := r.resource
	if strings.HasPrefix(resource, "jwt") {
		resource += "." + v1alpha1.Group
	}
	if r.name != "" {
		resource += "/" + r.name
	}
	command := fmt.Sprintf("kubectl auth can-i %s %s", r.verb, resource)
	switch {
	case r.namespace != "":
		return command + " --namespace " + r.namespace
	case r.resource == keyResource || r.resource == secretResource:
		return command + " --all-namespaces"
	default:
		return command
	}
}

// explain returns the error of a request to the API server with the command that shows the right that it needed, if that is what it
// lacked, and with causes at the fields of the page.
func explain(err error, needs right) error {
	var status apierrors.APIStatus
	if err == nil || !errors.As(err, &status) {
		return err
	}
	said := status.Status()
	failure := ofStatus(said)
	if view.IsRefusal(&said) && said.Details != nil && len(said.Details.Causes) > 0 {
		failure.Causes = view.Causes(&said)
	}
	if lacksRight(&said, needs) {
		failure.Ask = needs.ask()
	}
	return &failed{failure}
}

// lacksRight reports whether a Status is a refusal of authorization, and not of a quota, a webhook or a policy.
func lacksRight(status *metav1.Status, needs right) bool {
	return status.Code == http.StatusForbidden && strings.Contains(status.Message, " cannot "+needs.verb+" resource ")
}

// failureFrom returns the failure of a request that leaves the others of a page in order.
func failureFrom(err error, needs right) *wire.Failure {
	if err == nil {
		return nil
	}
	failure := failureOf(explain(err, needs))
	return &failure
}
