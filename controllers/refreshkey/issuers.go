package refreshkey

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/queue"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/issuerlifecycle"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/memo"
	"github.com/refreshkeys/refreshkeys/internal/policy"
)

// issuerView is the part of an issuer that its refresh keys need. All keys share it; a change of the issuer or of its
// signing keys creates a new one. It is immutable.
type issuerView struct {
	issuer    lifecycle.Issuer
	rings     *keyring.Rings
	endpoints endpoints
	// record is the issuer itself, for the signing keys in its status.
	record *v1alpha1.JWTIssuer

	issuerVersion, ringsVersion string
}

// endpoints are the URLs of an issuer for the Secrets of its keys; empty if it does not exist.
type endpoints struct {
	issuer string
	// token is the token endpoint for clients in the cluster, and publicToken that for clients outside it.
	token, publicToken string
}

// issuers reads and caches issuerViews.
type issuers struct {
	cached    client.Reader
	live      client.Reader
	namespace string

	mu    sync.Mutex
	views map[string]*issuerView

	clock      clock.PassiveClock
	confirming sync.Mutex
	// confirmed holds, by the name of an issuer, the resourceVersion of its signing keys at the API server.
	confirmed *memo.Memo[string, string]
}

func newIssuers(cached, live client.Reader, namespace string, clock clock.PassiveClock) *issuers {
	return &issuers{
		cached: cached, live: live, namespace: namespace, views: map[string]*issuerView{},
		clock: clock, confirmed: memo.New[string, string](rememberedConfirmations, clock),
	}
}

func (s *issuers) view(ctx context.Context, name string) (*issuerView, error) {
	return s.read(ctx, s.cached, name)
}

// viewLive reads from the API server, for decisions that must not depend on an outdated cache.
func (s *issuers) viewLive(ctx context.Context, name string) (*issuerView, error) {
	return s.read(ctx, s.live, name)
}

// confirmedFor is how long a view that was compared with the API server is not compared again. The withdrawal of a
// signing key affects all tokens of an issuer at once.
const confirmedFor = 5 * time.Second

// rememberedConfirmations is the maximum number of issuers that are remembered as confirmed. Another one costs a read.
const rememberedConfirmations = 1024

// viewConfirmed returns the view as the API server has it, read at most once per issuer and time. If another worker
// reads it, viewConfirmed does not wait and returns queue.ErrBusy.
func (s *issuers) viewConfirmed(ctx context.Context, seen *issuerView) (*issuerView, error) {
	name := seen.issuer.Name
	if !s.confirming.TryLock() {
		return nil, queue.ErrBusy
	}
	defer s.confirming.Unlock()
	if version, known := s.confirmed.Get(name); known && version == seen.ringsVersion {
		return seen, nil
	}
	asked := s.clock.Now()
	fresh, err := s.viewLive(ctx, name)
	if err == nil {
		s.confirmed.Put(name, fresh.ringsVersion, asked.Add(confirmedFor))
	}
	return fresh, err
}

// formerKey returns the signing key of an earlier issuer of a refresh key that now names another issuer. gone is true
// if that signing key no longer exists; it stays false while a ring cannot be read. As in signingKey, gone is true
// only after a read from the API server.
func (s *issuers) formerKey(ctx context.Context, url, kid string, now time.Time) (key *keyring.Key, gone bool, err error) {
	var all v1alpha1.JWTIssuerList
	if err := s.cached.List(ctx, &all); err != nil {
		return nil, false, err
	}
	gone = true
	for i := range all.Items {
		if all.Items[i].Spec.URL != url {
			continue
		}
		view, err := s.view(ctx, all.Items[i].Name)
		if err != nil {
			return nil, false, err
		}
		if key, found := view.rings.Lookup(keyring.Refresh, kid); found {
			return key, false, nil
		}
		fresh, err := s.viewConfirmed(ctx, view)
		if err != nil {
			return nil, false, err
		}
		if key, found := fresh.rings.Lookup(keyring.Refresh, kid); found {
			return key, false, nil
		}
		gone = gone && (!fresh.issuer.Found || (fresh.issuer.Ready && !fresh.lost(kid, now)))
	}
	return nil, gone, nil
}

func (s *issuers) read(ctx context.Context, reader client.Reader, name string) (*issuerView, error) {
	var issuer v1alpha1.JWTIssuer
	if err := reader.Get(ctx, types.NamespacedName{Name: name}, &issuer); err != nil {
		s.forget(name)
		return &issuerView{issuer: lifecycle.Issuer{Name: name}}, client.IgnoreNotFound(err)
	}
	var keys corev1.Secret
	err := reader.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: issuerlifecycle.SecretName(name)}, &keys)
	if client.IgnoreNotFound(err) != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.views[name]; v != nil && v.issuerVersion == issuer.ResourceVersion && v.ringsVersion == keys.ResourceVersion {
		return v, nil
	}
	view := viewOf(&issuer, &keys, apierrors.IsNotFound(err))
	view.issuer.SessionNamespace = lifecycle.SessionNamespace(&issuer, s.namespace)
	s.views[name] = view
	return view, nil
}

// forget removes the view of an issuer, with its private keys, from the cache.
func (s *issuers) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.views, name)
}

func viewOf(issuer *v1alpha1.JWTIssuer, keys *corev1.Secret, keysMissing bool) *issuerView {
	view := &issuerView{
		issuer: lifecycle.Issuer{
			Name: issuer.Name, Found: issuer.DeletionTimestamp == nil, URL: issuer.Spec.URL,
			AccessLifetime: policy.AccessLifetime(&issuer.Spec),
		},
		endpoints:     endpoints{issuer.Spec.URL, endpoint.TokenOf(issuer), endpoint.TokenURL(issuer.Spec.URL)},
		record:        issuer,
		issuerVersion: issuer.ResourceVersion,
		ringsVersion:  keys.ResourceVersion,
	}
	view.issuer.Ready, view.issuer.Message = view.readiness(issuer, keys, keysMissing)
	return view
}

// readiness fills in policy and rings, and reports whether refresh tokens can be signed, with a message if not.
func (v *issuerView) readiness(issuer *v1alpha1.JWTIssuer, keys *corev1.Secret, keysMissing bool) (bool, string) {
	compiled, err := policy.Compile(&issuer.Spec)
	if err != nil {
		return false, err.Error()
	}
	v.issuer.Policy = compiled
	if stalled := meta.FindStatusCondition(issuer.Status.Conditions, v1alpha1.ConditionStalled); stalled != nil && stalled.Status == "True" {
		return false, stalled.Message
	}
	if keysMissing {
		return false, keysNotMade(issuer)
	}
	rings, err := keyring.Decode(keys.Data)
	if err != nil {
		return false, fmt.Sprintf("its signing keys cannot be read: %v", err)
	}
	v.rings = rings
	if _, err := rings.Signer(keyring.Refresh); err != nil {
		return false, "its refresh ring has no key that may sign yet; the next one may, " + issuerlifecycle.SignsFrom(rings, keyring.Refresh) + "."
	}
	_, err = rings.Signer(keyring.Access)
	if v.issuer.AccessPending = err != nil; v.issuer.AccessPending {
		v.issuer.AccessFrom = issuerlifecycle.PendingFrom(rings, keyring.Access)
	}
	if meta.FindStatusCondition(issuer.Status.Conditions, v1alpha1.ConditionReady) == nil {
		return false, "the operator has not reconciled it yet."
	}
	return true, ""
}

// keysNotMade returns why an issuer has no signing keys, with the message of its condition Ready.
func keysNotMade(issuer *v1alpha1.JWTIssuer) string {
	ready := meta.FindStatusCondition(issuer.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Status == metav1.ConditionTrue {
		return "its signing keys do not exist yet."
	}
	return "its signing keys do not exist yet. " + ready.Message
}

// lost reports whether a signing key that is missing from the refresh ring must be there: status lists it, and it is
// neither withdrawn nor retired. Then the Secret is damaged, which the issuer's controller reports.
func (v *issuerView) lost(kid string, now time.Time) bool {
	return v.record != nil && slices.ContainsFunc(v.record.Status.Keys, func(key v1alpha1.SigningKeyStatus) bool {
		return key.KID == kid && issuerlifecycle.Belongs(v.record, &key, now)
	})
}
