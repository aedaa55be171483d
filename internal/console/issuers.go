package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/view"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
)

// TokenService is where the console reaches the token service.
type TokenService struct {
	// Client trusts its certificate, and follows no redirects.
	Client *http.Client
	// Base is its URL without a path, such as https://refreshkeys-tokenserver.refreshkeys-system.svc; nil for the own URL of each issuer.
	Base *url.URL
}

// request returns a request for the public keys of an issuer.
func (t *TokenService) request(ctx context.Context, issuer *v1alpha1.JWTIssuer) (*http.Request, error) {
	at, err := url.Parse(endpoint.JWKSOf(issuer))
	if err != nil {
		return nil, err
	}
	from := at
	if t.Base != nil {
		from = t.Base.JoinPath(at.Path)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	// Several issuers share one service, which finds the issuer by host and path.
	request.Host = at.Host
	return request, nil
}

// issuerDetail answers GET api/issuers/{name}.
func (s *Server) issuerDetail(ctx context.Context, p *person, r *http.Request) (any, error) {
	issuer := &v1alpha1.JWTIssuer{}
	stored, err := p.stored(ctx, view.IssuerKind, issuer, right{"get", issuerResource, "", r.PathValue("name")})
	if err != nil {
		return nil, err
	}
	// Events about objects without a namespace are in default.
	events, failure := p.events(ctx, issuer, metav1.NamespaceDefault)
	return view.IssuerDetail(issuer, stored, events, failure)
}

// issuer reads the issuer of a path.
func (p *person) issuer(ctx context.Context, r *http.Request) (*v1alpha1.JWTIssuer, error) {
	name, issuer := r.PathValue("name"), &v1alpha1.JWTIssuer{}
	err := p.Get(ctx, client.ObjectKey{Name: name}, issuer)
	return issuer, explain(err, right{"get", issuerResource, "", name})
}

// changeIssuer answers PATCH api/issuers/{name}.
func (s *Server) changeIssuer(ctx context.Context, p *person, r *http.Request) (any, error) {
	var change wire.IssuerChange
	if err := decode(r, &change); err != nil {
		return nil, err
	}
	issuer := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: r.PathValue("name")}}
	var err error
	switch {
	case change.Action == "rotateKeys" && change.KID == "":
		metadata := map[string]any{"annotations": map[string]any{v1alpha1.AnnotationRotateKeys: view.Stamp(s.clock.Now())}}
		err = p.patch(ctx, issuer, change.UID, issuerResource, map[string]any{"metadata": metadata})
	case change.Action == "withdrawKey" && change.KID != "":
		// The operator may write status meanwhile.
		conflicts := func(err error) bool { return failureOf(err).Code == http.StatusConflict }
		err = retry.OnError(retry.DefaultRetry, conflicts, func() error { return p.withdraw(ctx, r, issuer, &change) })
	default:
		err = fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "the action is rotateKeys, or withdrawKey with a kid")
	}
	if err != nil {
		return nil, err
	}
	row := view.IssuerRow(issuer)
	return wire.Changed{Issuer: &row}, nil
}

// withdraw adds a signing key to those that are withdrawn. Another withdrawal in between must not be lost.
func (p *person) withdraw(ctx context.Context, r *http.Request, issuer *v1alpha1.JWTIssuer, change *wire.IssuerChange) error {
	present, err := p.issuer(ctx, r)
	if err != nil {
		return err
	}
	kids, err := withdrawing(present, change.KID)
	if err != nil {
		return err
	}
	return p.patch(ctx, issuer, change.UID, issuerResource, map[string]any{"metadata": map[string]any{
		"resourceVersion": present.ResourceVersion, "annotations": map[string]any{v1alpha1.AnnotationWithdrawKey: kids},
	}})
}

// withdrawing returns the value of the annotation that withdraws one more signing key. Signing keys that are gone leave it.
func withdrawing(issuer *v1alpha1.JWTIssuer, kid string) (string, error) {
	known := func(kid string) bool {
		return slices.ContainsFunc(issuer.Status.Keys, func(key v1alpha1.SigningKeyStatus) bool { return key.KID == kid })
	}
	if !known(kid) {
		return "", fail(http.StatusNotFound, metav1.StatusReasonNotFound, "the issuer has no signing key %s", kid)
	}
	kids := slices.DeleteFunc(v1alpha1.WithdrawnKIDs(issuer), func(asked string) bool { return asked == kid || !known(asked) })
	return strings.Join(append(kids, kid), ","), nil
}

// trial answers POST api/issuers/{name}/trial: would the policy grant it?
func (s *Server) trial(ctx context.Context, p *person, r *http.Request) (any, error) {
	var trial wire.Trial
	if err := decode(r, &trial); err != nil {
		return nil, err
	}
	if len(validation.IsDNS1123Label(trial.Namespace)) > 0 {
		return nil, fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "the trial needs the name of a namespace")
	}
	issuer, labels, err := p.policySources(ctx, r.PathValue("name"), trial.Namespace)
	if err != nil {
		needs := right{"get", issuerResource, "", r.PathValue("name")}
		var status apierrors.APIStatus
		if errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces" {
			needs = right{"get", "namespaces", "", trial.Namespace}
		}
		return nil, explain(err, needs)
	}
	return view.PolicyOf(view.TrialKey(&trial), issuer, labels), nil
}

// longestKeySet is the longest set of public keys, in bytes.
const longestKeySet = 1 << 20

// publicKeys answers GET api/issuers/{name}/jwks: the public keys of an issuer. In a cluster, the request goes to the configured service
// only; on a person's own machine, to the URL of the issuer, as that of kubectl refreshkey verify does. The API server says whether the
// person may read the issuer.
func (s *Server) publicKeys(ctx context.Context, p *person, r *http.Request) (any, error) {
	if s.TokenService == nil {
		return nil, fail(http.StatusNotFound, metav1.StatusReasonNotFound, "this console does not reach the token service, which publishes the keys: set --token-service, or use kubectl refreshkey verify")
	}
	issuer, err := p.issuer(ctx, r)
	if err != nil {
		return nil, err
	}
	request, err := s.TokenService.request(ctx, issuer)
	if err != nil {
		return nil, err
	}
	response, err := s.TokenService.Client.Do(request)
	if err != nil {
		s.log.Error(err, "cannot read the public keys of an issuer", "issuer", issuer.Name)
		return nil, fail(http.StatusBadGateway, metav1.StatusReasonServiceUnavailable, "%s", s.TokenService.unreachable(request.URL))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, longestKeySet))
	if err != nil || response.StatusCode != http.StatusOK || !json.Valid(body) {
		return nil, fail(http.StatusBadGateway, metav1.StatusReasonServiceUnavailable, "the token service answers %d to the request for the key set", response.StatusCode)
	}
	return json.RawMessage(body), nil
}

// unreachable returns what the page says about a token service that gives no answer.
func (t *TokenService) unreachable(at *url.URL) string {
	if t.Base != nil {
		return "the token service cannot be reached"
	}
	return fmt.Sprintf("%s cannot be read from this machine; if its certificate authority is private, start the console with --ca-file", at)
}
