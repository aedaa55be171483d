package console

import (
	"fmt"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// person is a client of the API server with the rights of the person who is signed in, never those of the console.
type person struct {
	client.WithWatch
	// user and groups are those that the API server sees.
	user   string
	groups []string
	means  wire.Means
	// session is the hash of the session's id: what belongs to one session is remembered under it.
	session sessionKey
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
	mapper.Add(v1alpha1.GroupVersion.WithKind("JWTRefreshKey"), meta.RESTScopeNamespace)
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

// of returns a client with the credential of config. It follows no redirect: the credential goes to the API server alone.
func (c *clients) of(config *rest.Config) (client.WithWatch, error) {
	transport, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make a client of the API server: %w", err)
	}
	transport.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	made, err := client.NewWithWatch(config, client.Options{HTTPClient: transport, Scheme: c.scheme, Mapper: c.mapper})
	if err != nil {
		return nil, fmt.Errorf("make a client of the API server: %w", err)
	}
	return made, nil
}
