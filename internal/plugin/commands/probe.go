package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// replicaFlags hold the addresses of the replicas of the token service, and how to query them.
type replicaFlags struct {
	urls      []string
	caFile    string
	namespace string
	account   string
}

func (f *replicaFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.urls, "replica", nil, "the URL of a replica of the token service, such as https://10.0.0.1:8443; repeat the flag for several; if not set, the plugin looks in --operator-namespace")
	flags.StringVar(&f.caFile, "ca-file", "", "a PEM file with the CA certificate of --replica, in addition to the ca.crt of the key's Secret")
	flags.StringVar(&f.namespace, "operator-namespace", operatorNamespace, "the namespace of the token service's pods")
	flags.StringVar(&f.account, "introspect-as", "", "query /introspect at --replica as this ServiceAccount (namespace/name), which may create jwtrefreshkeys/introspect; required for one-time keys")
}

// probe presents a token to the replicas in a way that neither uses it up nor counts as use.
type probe struct {
	*app
	cluster    *cluster
	flags      *replicaFlags
	token      string
	jti        string
	namespace  string
	issuer     string
	ca         []byte
	introspect bool

	bearer  string
	direct  *http.Client
	through *http.Client
	// refused are the replicas that have refused the token. They are not queried again: a revocation is final.
	refused map[string]bool
}

// replica is a replica of the token service, with the URL to query.
type replica struct {
	name string
	url  string
	// host is the request's Host header; empty for the host of the URL.
	host   string
	client *http.Client
}

// tokenServers is the label selector of the token service's pods.
const tokenServers = "app.kubernetes.io/component=tokenserver" //nolint:gosec // a label, not a secret

// prepare makes the checks and the clients that the probe needs. Errors must occur here, before the key is revoked.
func (p *probe) prepare(ctx context.Context) (err error) {
	p.refused = map[string]bool{}
	if p.introspect && len(p.flags.urls) == 0 {
		// The API server consumes the header Authorization.
		return errors.New("/introspect cannot be queried through the API server: set --replica for each replica, such as to a kubectl port-forward")
	}
	if p.introspect {
		if p.bearer, err = p.cluster.serviceAccountToken(ctx, p.flags.account, p.issuer); err != nil {
			return err
		}
		if err := p.cluster.mayIntrospect(ctx, p.flags.account, p.namespace); err != nil {
			return err
		}
	}
	if p.direct, err = p.httpClient(p.flags.caFile, p.ca); err != nil {
		return err
	}
	p.through, err = rest.HTTPClientFor(p.cluster.config)
	return err
}

// mayIntrospect asks the API server, as the ServiceAccount, whether it may introspect tokens of keys in a
// namespace. Without that right, a replica answers active false, as for a revoked token (RFC 7662 §2.2), and
// the plugin must not read this as a refusal of the token.
func (k *cluster) mayIntrospect(ctx context.Context, account, namespace string) error {
	token, err := k.serviceAccountToken(ctx, account)
	if err != nil {
		return err
	}
	config := rest.AnonymousClientConfig(k.config)
	config.BearerToken = token
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	answer, err := clients.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Group: v1alpha1.Group, Version: v1alpha1.GroupVersion.Version, Resource: "jwtrefreshkeys", Subresource: "introspect",
			Verb: "create", Namespace: namespace,
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("cannot check the rights of ServiceAccount %s: %w", account, err)
	}
	if !answer.Status.Allowed {
		return fmt.Errorf("ServiceAccount %s may not create jwtrefreshkeys/introspect in namespace %s", account, namespace)
	}
	return nil
}

// serviceAccountToken returns a short-lived token of a ServiceAccount for an audience, and for the API server
// if no audience is given.
func (k *cluster) serviceAccountToken(ctx context.Context, account string, audiences ...string) (string, error) {
	namespace, name, ok := strings.Cut(account, "/")
	if !ok || namespace == "" || name == "" {
		return "", cli.UsageError("a ServiceAccount must be written namespace/name, not %q", account)
	}
	seconds := int64(600)
	issued, err := k.clients.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: audiences, ExpirationSeconds: &seconds},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("cannot get a token of ServiceAccount %s: %w", account, err)
	}
	return issued.Status.Token, nil
}

// replicas returns the current replicas: pods can change between two queries.
func (p *probe) replicas(ctx context.Context) ([]replica, error) {
	return p.cluster.replicas(ctx, p.flags, p.issuer, func(place string) string {
		if p.introspect {
			return endpoint.IntrospectURL(place)
		}
		return endpoint.TokenURL(place)
	}, p.direct, p.through)
}

// replicas returns the replicas that serve an issuer, with the URL of an endpoint, whose path at returns for the path of the issuer.
func (k *cluster) replicas(ctx context.Context, flags *replicaFlags, issuerURL string, at func(place string) string, direct, through *http.Client) ([]replica, error) {
	issuer, err := url.Parse(issuerURL)
	if err != nil {
		return nil, err
	}
	path := at(strings.TrimSuffix(issuer.Path, "/"))
	var all []replica
	for _, base := range flags.urls {
		all = append(all, replica{name: base, url: strings.TrimSuffix(base, "/") + path, host: issuer.Host, client: direct})
	}
	if len(all) > 0 {
		return all, nil
	}
	pods, err := k.clients.CoreV1().Pods(flags.namespace).List(ctx, metav1.ListOptions{LabelSelector: tokenServers})
	if err != nil {
		return nil, fmt.Errorf("the pods of the token service cannot be read: %w", err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if !isReady(pod) {
			continue
		}
		proxy := k.clients.CoreV1().RESTClient().Post().Namespace(pod.Namespace).Resource("pods").
			Name("https:" + pod.Name + ":" + strconv.Itoa(int(httpsPort(pod)))).SubResource("proxy").Suffix(path).URL()
		all = append(all, replica{name: "pod " + pod.Name, url: proxy.String(), client: through})
	}
	if len(all) > 0 {
		return all, nil
	}
	outside, err := k.outsideReplicas(ctx, flags.namespace)
	if err != nil {
		return nil, err
	}
	for _, base := range outside {
		all = append(all, replica{name: base, url: base + path, host: issuer.Host, client: direct})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("namespace %s has no ready pod labelled %s: set --operator-namespace or --replica", flags.namespace, tokenServers)
	}
	return all, nil
}

// outsideReplicas returns the URLs of the replicas of a token service that runs outside the cluster: each port of the Services of type
// ExternalName in a namespace that are labelled as the token service. A cluster of `make up` has one.
func (k *cluster) outsideReplicas(ctx context.Context, namespace string) (urls []string, err error) {
	services, err := k.clients.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{LabelSelector: tokenServers})
	if err != nil {
		return nil, fmt.Errorf("no pod of the token service is ready, and its Services cannot be read: %w", err)
	}
	for i := range services.Items {
		spec := &services.Items[i].Spec
		if spec.Type != corev1.ServiceTypeExternalName {
			continue
		}
		for _, port := range spec.Ports {
			urls = append(urls, "https://"+net.JoinHostPort(spec.ExternalName, strconv.Itoa(int(port.Port))))
		}
	}
	return urls, nil
}

// isReady reports whether the Service sends requests to a pod.
func isReady(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// httpsPort returns the port named https of a pod; 8443 if there is none.
func httpsPort(pod *corev1.Pod) int32 {
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == "https" {
				return port.ContainerPort
			}
		}
	}
	return 8443
}

// form returns a request for an access token with a resource and a scope that no key has, or an introspection request.
func (p *probe) form() url.Values {
	if p.introspect {
		return url.Values{oauth.ParamToken: {p.token}, oauth.ParamTokenTypeHint: {oauth.HintRefreshToken}}
	}
	return url.Values{
		oauth.ParamGrantType: {oauth.GrantRefreshToken}, oauth.ParamRefreshToken: {p.token},
		oauth.ParamResource: {"urn:refreshkeys:probe:" + p.jti}, oauth.ParamScope: {"refreshkeys:probe:" + p.jti},
	}
}

// ask presents the token to the replicas that have not refused it yet. It returns a reason for each that does not refuse it.
func (p *probe) ask(ctx context.Context, all []replica) (left []string) {
	for _, one := range all {
		if p.refused[one.name] {
			continue
		}
		refuses, why := p.askOne(ctx, &one)
		if refuses {
			p.refused[one.name] = true
			continue
		}
		left = append(left, one.name+": "+why)
	}
	return left
}

func (p *probe) askOne(ctx context.Context, one *replica) (refuses bool, why string) {
	ctx, cancel := context.WithTimeout(ctx, responseTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, one.url, strings.NewReader(p.form().Encode()))
	if err != nil {
		return false, err.Error()
	}
	request.Header.Set("Content-Type", formType)
	request.Host = one.host
	if p.introspect {
		request.Header.Set("Authorization", "Bearer "+p.bearer)
	}
	response, err := one.client.Do(request)
	if err != nil {
		return false, "cannot be reached: " + err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	if err != nil {
		return false, "cannot be reached: " + err.Error()
	}
	return judge(response.StatusCode, body, p.introspect)
}

// judge reports whether an answer permanently refuses a token: only 400 invalid_grant of /token and active false of
// /introspect do. why describes any other answer.
func judge(status int, body []byte, introspect bool) (refuses bool, why string) {
	var answer struct {
		Error  oauth.Code `json:"error"`
		Active *bool      `json:"active"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return false, fmt.Sprintf("answered %d, but not JSON; is it the token service?", status)
	}
	switch {
	case introspect && status == http.StatusOK && answer.Active != nil:
		return !*answer.Active, "still accepts the token"
	case !introspect && status == http.StatusBadRequest && answer.Error == oauth.InvalidGrant:
		return true, ""
	case introspect, status >= http.StatusInternalServerError, status == http.StatusTooManyRequests, answer.Error == "":
		return false, fmt.Sprintf("answered %d %s", status, answer.Error)
	default:
		return false, "still accepts the token"
	}
}

// stillAccepting describes the replicas that have not refused; empty if all have.
func stillAccepting(left []string, of int) string {
	if len(left) == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d replicas have not refused: %s", len(left), of, strings.Join(left, "; "))
}
