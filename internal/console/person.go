package console

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/internal/unthrottled"
)

// person is a client of the API server with the rights of the person who is signed in, never those of the console.
type person struct {
	client.Client
	// watches opens watches.
	watches rest.Interface
	// user and groups are those that the API server sees.
	user   string
	groups []string
	means  wire.Means
	// session is the hash of the session's id: what belongs to one session is remembered under it.
	session    sessionKey
	credential *Credential
	// since is when the credential came.
	since    time.Time
	refusals refusals
}

// The user and the group of requests that the API server did not authenticate.
const (
	anonymousUser        = "system:anonymous"
	unauthenticatedGroup = "system:unauthenticated"
)

// identify makes a client with a credential, and asks the API server whose it is.
func (s *Server) identify(ctx context.Context, c *Credential) (*person, error) {
	p := &person{means: c.Means, credential: c, since: s.clock.Now()}
	config := unthrottled.Config(c.Config)
	config.UserAgent = "refreshkeys-console"
	config.WarningHandler = rest.NoWarnings{}
	s.calls.Wrap(config)
	p.refusals.wrap(config)
	var err error
	if p.Client, p.watches, err = s.clients.of(config); err != nil {
		return nil, err
	}
	review := &authenticationv1.SelfSubjectReview{}
	if err := p.Create(ctx, review); err != nil {
		return nil, fmt.Errorf("ask who the person is: %w", err)
	}
	p.user, p.groups = review.Status.UserInfo.Username, review.Status.UserInfo.Groups
	if p.user == "" || p.user == anonymousUser || slices.Contains(p.groups, unauthenticatedGroup) {
		return nil, fail(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "the API server knows no user for this credential")
	}
	return p, nil
}

// kinds returns the scheme of all objects that the console reads and writes.
func kinds() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(scheme.AddToScheme(s))
	utilruntime.Must(v1alpha1.AddToScheme(s))
	return s
}

// places says where the kinds of the console are, so that no client asks the API server for it.
func places() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(nil)
	// The guess of Add at the plural of JWTRefreshKey is wrong.
	mapper.AddSpecific(v1alpha1.GroupVersion.WithKind("JWTRefreshKey"), v1alpha1.GroupVersion.WithResource(keyResource),
		v1alpha1.GroupVersion.WithResource("jwtrefreshkey"), meta.RESTScopeNamespace)
	mapper.Add(v1alpha1.GroupVersion.WithKind("JWTIssuer"), meta.RESTScopeRoot)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Namespace"), meta.RESTScopeRoot)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	mapper.Add(eventsv1.SchemeGroupVersion.WithKind("Event"), meta.RESTScopeNamespace)
	mapper.Add(authenticationv1.SchemeGroupVersion.WithKind("SelfSubjectReview"), meta.RESTScopeRoot)
	mapper.Add(authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectAccessReview"), meta.RESTScopeRoot)
	return mapper
}

// clients makes clients of the API server.
type clients struct {
	scheme *runtime.Scheme
	mapper meta.RESTMapper
}

func newClients() *clients { return &clients{scheme: kinds(), mapper: places()} }

// of returns clients with the credential of config: one for objects, and one for watches of the API of this product. They follow no
// redirect: the credential goes to the API server alone.
func (c *clients) of(config *rest.Config) (client.Client, rest.Interface, error) {
	transport, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, nil, fmt.Errorf("make a client of the API server: %w", err)
	}
	transport.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	made, err := client.New(config, client.Options{HTTPClient: transport, Scheme: c.scheme, Mapper: c.mapper})
	if err != nil {
		return nil, nil, fmt.Errorf("make a client of the API server: %w", err)
	}
	config = rest.CopyConfig(config)
	config.APIPath, config.GroupVersion = "/apis", &v1alpha1.GroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(c.scheme).WithoutConversion()
	watches, err := rest.RESTClientForConfigAndClient(config, transport)
	if err != nil {
		return nil, nil, fmt.Errorf("make a client of the API server: %w", err)
	}
	return made, watches, nil
}
