package registry_test

import (
	"context"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/test/framework/registrytest"
)

const (
	operatorNamespace = "refreshkeys-system"
	shop              = "shop"
)

// newCluster returns a Cluster that runs until the test ends, with its API server.
func newCluster(t *testing.T, options registry.Options) (*registry.Cluster, *apiServer) {
	t.Helper()
	server := newAPIServer(t)
	for _, name := range []string{operatorNamespace, shop} {
		server.store(metadataOf("Namespace", types.NamespacedName{Name: name}))
	}
	options.Namespace = operatorNamespace
	cluster := registry.NewOver(server, options)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := cluster.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return cluster, server
}

// TestContract runs the contract of a registry against a Cluster and an API server in memory, with the race detector in
// make test. test/service runs it against a real API server.
func TestContract(t *testing.T) {
	registrytest.Run(t, func(t *testing.T) *registrytest.Cluster {
		cluster, server := newCluster(t, registry.Options{})
		awaitFresh(t, cluster)
		return &registrytest.Cluster{
			Registry: cluster, Admin: admin{server}, Namespace: shop, Prefix: "tokens", Report: func() { cluster.ReportUses(t.Context()) },
		}
	})
}

// awaitFresh waits until all views are proven.
func awaitFresh(t *testing.T, cluster *registry.Cluster) {
	t.Helper()
	eventually(t, "the views are not proven", func() bool { return cluster.Fresh() == nil })
}

func eventually(t *testing.T, failure string, is func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, 20*time.Second, true, func(context.Context) (bool, error) { return is(), nil })
	if err != nil {
		t.Fatal(failure)
	}
}

// admin is the administrator of a cluster, with the operator's right to write status.
type admin struct{ *apiServer }

func (a admin) Put(key *v1alpha1.JWTRefreshKey) { a.store(key) }

func (a admin) Edit(name types.NamespacedName, change func(*v1alpha1.JWTRefreshKey)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := a.objects[stored{"JWTRefreshKey", name}].DeepCopyObject().(*v1alpha1.JWTRefreshKey)
	change(key)
	a.write(key)
}

func (a admin) Delete(name types.NamespacedName) { a.drop(stored{"JWTRefreshKey", name}) }

func (a admin) Stored(name types.NamespacedName) *v1alpha1.JWTRefreshKey {
	a.mu.Lock()
	defer a.mu.Unlock()
	key, _ := a.objects[stored{"JWTRefreshKey", name}].(*v1alpha1.JWTRefreshKey)
	return key.DeepCopy()
}

func (a admin) PutIssuer(issuer *v1alpha1.JWTIssuer, rings *keyring.Rings) {
	a.store(issuer)
	a.PutRings(issuer.Name, rings)
}

func (a admin) PutRings(issuer string, rings *keyring.Rings) {
	data, err := keyring.Encode(rings)
	if err != nil {
		a.t.Fatal(err)
	}
	a.store(&corev1.Secret{Data: data, ObjectMeta: metav1.ObjectMeta{
		Namespace: operatorNamespace, Name: issuer + "-keys", Labels: map[string]string{v1alpha1.LabelSigningKeysOf: issuer},
	}})
}

func (a admin) PutAccount(name types.NamespacedName) types.UID {
	account := metadataOf("ServiceAccount", name)
	a.store(account)
	return account.UID
}

func (a admin) DeleteAccount(name types.NamespacedName) { a.drop(stored{"ServiceAccount", name}) }

func (a admin) Away(away bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.away = away
}

func (a admin) Hold(held bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held = held
	for w := range a.watches {
		w.deliver()
	}
}

// store creates or replaces an object.
func (s *apiServer) store(object client.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write(object)
}

func (s *apiServer) drop(name stored) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(name)
}

func metadataOf(kind string, name types.NamespacedName) *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}}
	object.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
	return object
}
