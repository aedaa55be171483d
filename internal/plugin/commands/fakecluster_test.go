package commands

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// fakeCluster serves the objects of a fake client over HTTP, as far as the plugin asks for them. So the tables run the
// plugin's own clients, without an API server.
type fakeCluster struct {
	client.Client
	*httptest.Server
	// operate plays the operator: it is called after each write with the written object, and may change it.
	operate func(*fakeCluster, client.Object)
	// proxy answers requests through the proxy of a pod.
	proxy http.Handler
	// mayIntrospect is the answer to SelfSubjectAccessReviews.
	mayIntrospect bool
	// bare is a cluster without Refresh Keys.
	bare bool
	// version is that of Kubernetes, and ahead how far its clock is ahead of the plugin's.
	version string
	ahead   time.Duration
	// refuses is an error of admission for every object that is created.
	refuses error
	// events are what a watch sends before it ends with 410.
	events []watch.Event
}

func newFakeCluster(t *testing.T, objects []client.Object) *fakeCluster {
	t.Helper()
	scheme, err := fakeScheme()
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeCluster{Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()}
	f.Server = quietServer(t, f)
	f.version = "v1.37.2"
	return f
}

var fakeScheme = sync.OnceValues(func() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme))
})

// quietServer returns a server with TLS that logs no failed handshakes, which some rows want.
func quietServer(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// certificateOf returns the certificate of a server, which is its own CA, in PEM.
func certificateOf(server *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

// kinds are the kinds of object that the plugin reads or writes, by their resource.
var kinds = map[string]func() (client.Object, client.ObjectList){
	"jwtrefreshkeys": func() (client.Object, client.ObjectList) {
		return &v1alpha1.JWTRefreshKey{}, &v1alpha1.JWTRefreshKeyList{}
	},
	"jwtissuers":  func() (client.Object, client.ObjectList) { return &v1alpha1.JWTIssuer{}, &v1alpha1.JWTIssuerList{} },
	"secrets":     func() (client.Object, client.ObjectList) { return &corev1.Secret{}, &corev1.SecretList{} },
	"pods":        func() (client.Object, client.ObjectList) { return &corev1.Pod{}, &corev1.PodList{} },
	"namespaces":  func() (client.Object, client.ObjectList) { return &corev1.Namespace{}, &corev1.NamespaceList{} },
	"events":      func() (client.Object, client.ObjectList) { return &eventsv1.Event{}, &eventsv1.EventList{} },
	"services":    func() (client.Object, client.ObjectList) { return &corev1.Service{}, &corev1.ServiceList{} },
	"deployments": func() (client.Object, client.ObjectList) { return &appsv1.Deployment{}, &appsv1.DeploymentList{} },
	"leases":      func() (client.Object, client.ObjectList) { return &coordinationv1.Lease{}, &coordinationv1.LeaseList{} },
	"validatingadmissionpolicies": func() (client.Object, client.ObjectList) {
		return &admissionregistrationv1.ValidatingAdmissionPolicy{}, &admissionregistrationv1.ValidatingAdmissionPolicyList{}
	},
	"validatingadmissionpolicybindings": func() (client.Object, client.ObjectList) {
		return &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}, &admissionregistrationv1.ValidatingAdmissionPolicyBindingList{}
	},
	"serviceaccounts": func() (client.Object, client.ObjectList) {
		return &corev1.ServiceAccount{}, &corev1.ServiceAccountList{}
	},
}

// target is what a path of the Kubernetes API names.
type target struct{ namespace, resource, name, subresource, rest string }

func targetOf(path string) (to target) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if parts[0] == "api" {
		parts = parts[2:]
	} else {
		parts = parts[3:]
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		to.namespace, parts = parts[1], parts[2:]
	}
	for i, into := range []*string{&to.resource, &to.name, &to.subresource} {
		if i < len(parts) {
			*into = parts[i]
		}
	}
	if len(parts) > 3 {
		to.rest = "/" + strings.Join(parts[3:], "/")
	}
	return to
}

// ServeHTTP implements http.Handler. It answers for a user without rights (--as guest) and for one with all rights.
func (f *fakeCluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", noon.Add(f.ahead).Format(http.TimeFormat))
	if f.discovery(w, r) {
		return
	}
	to := targetOf(r.URL.Path)
	if to.subresource == "proxy" {
		r.URL.Path, r.Host = to.rest, ""
		f.proxy.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	var answer any
	switch {
	case err != nil:
	case r.Header.Get("Impersonate-User") == "guest":
		err = apierrors.NewForbidden(schema.GroupResource{Group: groupOf(r.URL.Path), Resource: to.resource}, to.name, errors.New("guest has no rights"))
	case to.resource == "selfsubjectaccessreviews":
		answer = &authorizationv1.SelfSubjectAccessReview{Status: authorizationv1.SubjectAccessReviewStatus{Allowed: f.mayIntrospect}}
	case to.resource == "selfsubjectreviews":
		answer = &authenticationv1.SelfSubjectReview{
			TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "SelfSubjectReview"},
			Status:   authenticationv1.SelfSubjectReviewStatus{UserInfo: authenticationv1.UserInfo{Username: "jane"}},
		}
	case to.subresource == "token":
		answer, err = f.serviceAccountToken(r.Context(), to)
	case r.URL.Query().Get("watch") != "":
		f.watch(w)
		return
	default:
		answer, err = f.object(r, to, body)
	}
	code := http.StatusOK
	if err != nil {
		var known apierrors.APIStatus
		if !errors.As(err, &known) {
			known = apierrors.NewInternalError(err)
		}
		status := known.Status()
		status.Kind, status.APIVersion, code = "Status", "v1", int(status.Code)
		// The fake client guesses the plural.
		status.Message = strings.ReplaceAll(status.Message, "jwtrefreshkeies", "jwtrefreshkeys")
		answer = &status
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(answer)
}

// discovery answers what an API server says about itself, and reports whether the request asks for that. A bare cluster does not know the
// group of Refresh Keys.
func (f *fakeCluster) discovery(w http.ResponseWriter, r *http.Request) bool {
	path := strings.Trim(r.URL.Path, "/")
	w.Header().Set("Content-Type", "application/json")
	switch {
	case path == "version":
		fmt.Fprintf(w, `{"gitVersion":%q}`, f.version)
	case f.bare && strings.HasPrefix(path, "apis/"+v1alpha1.Group):
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		http.Error(w, "404 page not found", http.StatusNotFound)
	case path == "apis/"+v1alpha1.GroupVersion.String():
		fmt.Fprintf(w, `{"kind":"APIResourceList","groupVersion":%q,"resources":[{"name":"jwtrefreshkeys"},{"name":"jwtissuers"}]}`, v1alpha1.GroupVersion)
	case path == "apis/admissionregistration.k8s.io/v1":
		fmt.Fprint(w, `{"kind":"APIResourceList","groupVersion":"admissionregistration.k8s.io/v1","resources":[{"name":"validatingadmissionpolicies"}]}`)
	default:
		return false
	}
	return true
}

// watch sends the events, and then the error that ends a watch.
func (f *fakeCluster) watch(w http.ResponseWriter) {
	gone := apierrors.NewResourceExpired("too old").Status()
	gone.Kind, gone.APIVersion = "Status", "v1"
	for _, event := range append(slices.Clone(f.events), watch.Event{Type: watch.Error, Object: &gone}) {
		_ = json.NewEncoder(w).Encode(map[string]any{"type": event.Type, "object": event.Object})
	}
}

func groupOf(path string) string {
	if parts := strings.Split(strings.Trim(path, "/"), "/"); parts[0] == "apis" {
		return parts[1]
	}
	return ""
}

func (f *fakeCluster) serviceAccountToken(ctx context.Context, to target) (any, error) {
	account := &corev1.ServiceAccount{}
	if err := f.Get(ctx, client.ObjectKey{Namespace: to.namespace, Name: to.name}, account); err != nil {
		return nil, err
	}
	return &authenticationv1.TokenRequest{Status: authenticationv1.TokenRequestStatus{Token: "token-of-" + to.name}}, nil
}

func (f *fakeCluster) object(r *http.Request, to target, body []byte) (any, error) {
	of, known := kinds[to.resource]
	if !known {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: to.resource}, to.name)
	}
	object, list := of()
	object.SetNamespace(to.namespace)
	object.SetName(to.name)
	var err error
	switch {
	case r.Method == http.MethodGet && to.name == "":
		return f.list(r, to, list)
	case r.Method == http.MethodGet:
		err = f.Get(r.Context(), client.ObjectKeyFromObject(object), object)
	case r.Method == http.MethodPost && f.refuses != nil:
		err = f.refuses
	case r.Method == http.MethodPost:
		if strings.Contains(r.Header.Get("Content-Type"), "protobuf") {
			_, _, err = clientgoscheme.Codecs.UniversalDeserializer().Decode(body, nil, object)
		} else {
			err = json.Unmarshal(body, object)
		}
		if err == nil {
			var options []client.CreateOption
			if r.URL.Query().Has("dryRun") {
				options = append(options, client.DryRunAll)
			}
			err = f.Create(r.Context(), object, options...)
		}
	case r.Method == http.MethodPatch:
		err = f.Patch(r.Context(), object, client.RawPatch(types.MergePatchType, body))
	default:
		err = apierrors.NewMethodNotSupported(schema.GroupResource{Resource: to.resource}, r.Method)
	}
	if err != nil {
		return nil, err
	}
	if r.Method != http.MethodGet && !r.URL.Query().Has("dryRun") && f.operate != nil {
		// The writer gets the object as it was written, and the operator acts later.
		later, _ := object.DeepCopyObject().(client.Object)
		f.operate(f, later)
	}
	return object, f.named(object)
}

// named sets the kind, which the API server does and the fake client does not.
func (f *fakeCluster) named(object runtime.Object) error {
	kind, err := apiutil.GVKForObject(object, f.Scheme())
	object.GetObjectKind().SetGroupVersionKind(kind)
	return err
}

func (f *fakeCluster) list(r *http.Request, to target, list client.ObjectList) (any, error) {
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if err := f.List(r.Context(), list, client.InNamespace(to.namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil, err
	}
	list.SetResourceVersion("1")
	if events, ok := list.(*eventsv1.EventList); ok {
		asked, err := fields.ParseSelector(r.URL.Query().Get("fieldSelector"))
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		events.Items = slices.DeleteFunc(events.Items, func(e eventsv1.Event) bool {
			return !asked.Matches(fields.Set{"regarding.uid": string(e.Regarding.UID)})
		})
	}
	return list, f.named(list)
}

// change reads an object again, changes it and writes it, as the operator does.
func (f *fakeCluster) change(object client.Object, change func()) {
	ctx := context.Background()
	if err := f.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
		panic(err)
	}
	change()
	if err := f.Update(ctx, object); err != nil {
		panic(err)
	}
}

// issue is an operator that issues the first token of each key, or the next one that is asked for.
func issue(f *fakeCluster, object client.Object) {
	key, ok := object.(*v1alpha1.JWTRefreshKey)
	if !ok || len(lifecycle.PendingRotations(key)) == 0 && key.Status.Revision > 0 {
		return
	}
	f.change(key, func() {
		status := &key.Status
		if status.Revision > 0 && key.Annotations[v1alpha1.AnnotationRotateNow] == "" {
			status.Previous = append(status.Previous, v1alpha1.SupersededToken{
				Revision: status.Revision, JTI: status.JTI, TokenHash: status.TokenHash, CreatedAt: *status.CreatedAt, ExpiresAt: *status.ExpiresAt,
			})
		} else {
			status.Previous = nil
		}
		status.Revision++
		status.CreatedAt, status.ExpiresAt, status.SecretName = at(0), at(30*day), key.Name
		status.LastHandledRotate = lifecycle.HandledRotate(key)
		ready(key, metav1.ConditionTrue, v1alpha1.ReasonIssued)
	})
}

// kubeconfig returns a kubeconfig for the fake cluster, with the namespace shop.
func (f *fakeCluster) kubeconfig() []byte {
	return []byte(strings.NewReplacer("SERVER", f.URL, "CA", base64.StdEncoding.EncodeToString(certificateOf(f.Server))).Replace(`apiVersion: v1
kind: Config
current-context: admin
clusters:
- name: here
  cluster: {server: "SERVER", certificate-authority-data: "CA"}
contexts:
- {name: admin, context: {cluster: here, user: admin, namespace: shop}}
- {name: self, context: {cluster: here, user: self, namespace: shop}}
- {name: roaming, context: {cluster: here, user: admin}}
users:
- {name: admin, user: {token: admin}}
- name: self
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1, command: kubectl-refreshkey, interactiveMode: Never}
`))
}
