package tenancy

import (
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// newIssuer creates an issuer whose path is its name, since one token service serves many issuers.
func newIssuer(t *testing.T, rules ...v1alpha1.PolicyRule) *v1alpha1.JWTIssuer {
	t.Helper()
	name := newName("issuer")
	issuer := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.JWTIssuerSpec{URL: "https://tokens.example.com/" + name}}
	if len(rules) > 0 {
		issuer.Spec.Policy = &v1alpha1.PolicySpec{Rules: rules}
	}
	return create(t, issuer)
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

func managerConfig(t *testing.T) *rest.Config {
	t.Helper()
	config, err := server.Manager(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func tokenServerConfig(t *testing.T) *rest.Config {
	t.Helper()
	config, err := server.TokenServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func startManager(t *testing.T) {
	t.Helper()
	operator.Manage(t, managerConfig(t), logr.Discard(), controllers.Options{})
}

func startReplica(t *testing.T) *operator.Replica {
	t.Helper()
	return operator.Serve(t, tokenServerConfig(t), registry.Options{})
}

func exchange(t *testing.T, r *operator.Replica, issuer *v1alpha1.JWTIssuer, compact string) *operator.Answer {
	t.Helper()
	return r.Post(t, "/"+issuer.Name+"/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {compact}})
}

// awaitExchange waits until an exchange of a token has an outcome.
func awaitExchange(t *testing.T, r *operator.Replica, issuer *v1alpha1.JWTIssuer, compact, want string) {
	t.Helper()
	eventually(t, "the exchange gets "+want, func() (bool, string) {
		got := exchange(t, r, issuer, compact).Outcome()
		return got == want, got
	})
}

// reload reads an object again as the cluster administrator.
func reload(t *testing.T, object client.Object) error {
	t.Helper()
	return clientOf(t, "").Get(t.Context(), client.ObjectKeyFromObject(object), object)
}

func secretOf(t *testing.T, namespace, name string) (*corev1.Secret, error) {
	t.Helper()
	secret := &corev1.Secret{}
	err := clientOf(t, "").Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: name}, secret)
	return secret, err
}

// awaitRevision waits until a refresh key has a revision and its Secret holds the current token. It returns
// the token.
func awaitRevision(t *testing.T, key *v1alpha1.JWTRefreshKey, revision int64) string {
	t.Helper()
	var held string
	eventually(t, fmt.Sprintf("revision %d of %s", revision, key.Name), func() (bool, string) {
		if err := reload(t, key); err != nil {
			return false, err.Error()
		}
		secret, err := secretOf(t, key.Namespace, key.Status.SecretName)
		if err != nil {
			return false, fmt.Sprint(readyMessage(key), " ", err)
		}
		held = string(secret.Data[v1alpha1.SecretToken])
		return key.Status.Revision == revision && token.Hash(held) == key.Status.TokenHash, readyMessage(key)
	})
	return held
}

// readyMessage returns the reason and the message of the condition Ready.
func readyMessage(key *v1alpha1.JWTRefreshKey) string {
	for _, condition := range key.Status.Conditions {
		if condition.Type == v1alpha1.ConditionReady {
			return condition.Reason + ": " + condition.Message
		}
	}
	return "no condition Ready"
}

// awaitReason waits until the condition Ready of a refresh key has a reason for the present generation, and
// returns its message.
func awaitReason(t *testing.T, key *v1alpha1.JWTRefreshKey, reason string) string {
	t.Helper()
	var message string
	eventually(t, key.Name+" has reason "+reason, func() (bool, string) {
		if err := reload(t, key); err != nil {
			return false, err.Error()
		}
		for _, condition := range key.Status.Conditions {
			if condition.Type == v1alpha1.ConditionReady && condition.Reason == reason && condition.ObservedGeneration == key.Generation {
				message = condition.Message
				return true, ""
			}
		}
		return false, readyMessage(key)
	})
	return message
}

// edit changes an object as the cluster administrator. After a conflict it tries again with the newest
// state.
func edit[T client.Object](t *testing.T, object T, change func(T)) {
	t.Helper()
	eventually(t, "the edit of "+object.GetName(), func() (bool, string) {
		err := reload(t, object)
		if err == nil {
			change(object)
			err = clientOf(t, "").Update(t.Context(), object)
		}
		return err == nil, fmt.Sprint(err)
	})
}
