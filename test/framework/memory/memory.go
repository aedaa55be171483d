// Package memory is a registry in memory, for tests that need no API server. It holds what the API server holds, with
// UIDs, resourceVersions and conflicts, and a view that follows it unless a test holds it back. A test switches faults
// on. test/framework/registrytest runs the same cases against it and against a real cluster.
package memory

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// Namespace is the operator's own namespace.
var Namespace = "refreshkeys-system"

// Registry is a registry in memory. Its methods can be called concurrently. Those in this file are for tests, as
// administrator of the cluster; the others are those of a replica of the token service.
type Registry struct {
	clock clock.PassiveClock

	mu sync.Mutex
	// version is the resourceVersion of the last write, and made the number of objects that were created.
	version, made int64
	cluster, view state
	// directory is made from the issuers of the view.
	directory *registry.Directory
	// recent are the refresh keys that were read for a token.
	recent map[string]read
	faults faults
	counts Counts
}

// state is what the API server holds, or a replica's view of it. Objects are not changed, but replaced.
type state struct {
	keys       map[types.NamespacedName]*v1alpha1.JWTRefreshKey
	issuers    map[string]*v1alpha1.JWTIssuer
	rings      map[string]*corev1.Secret
	namespaces map[string]map[string]string
	accounts   map[types.NamespacedName]types.UID
}

func (s *state) copy() state {
	return state{
		keys: maps.Clone(s.keys), issuers: maps.Clone(s.issuers), rings: maps.Clone(s.rings),
		namespaces: maps.Clone(s.namespaces), accounts: maps.Clone(s.accounts),
	}
}

type read struct {
	key *v1alpha1.JWTRefreshKey
	at  time.Time
}

// faults are switched on by tests.
type faults struct {
	away, stale, held bool
	// begins is how many of the next starts of sessions fail.
	begins int
}

// Counts are the requests of the replica to the API server.
type Counts struct {
	// Reads are those of refresh keys; Lists are those of issuers and of signing keys. Writes are all others
	// than the reports of uses, since a real replica reports a use later, and few of them. Lost are the writes that
	// another one overtook, which changed nothing.
	Reads, Lists, Writes, Lost int
}

// New returns an empty Registry with the operator's namespace.
func New(clock clock.PassiveClock) *Registry {
	r := &Registry{clock: clock, recent: map[string]read{}, cluster: state{
		keys: map[types.NamespacedName]*v1alpha1.JWTRefreshKey{}, issuers: map[string]*v1alpha1.JWTIssuer{}, rings: map[string]*corev1.Secret{},
		namespaces: map[string]map[string]string{}, accounts: map[types.NamespacedName]types.UID{},
	}}
	r.PutNamespace(Namespace, nil)
	return r
}

// change changes what the API server holds. The view follows, unless it is held.
func (r *Registry) change(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	r.follow()
}

// follow brings the view up to date.
func (r *Registry) follow() {
	if r.faults.held {
		return
	}
	r.view = r.cluster.copy()
	for name, key := range r.view.keys {
		r.view.keys[name] = slim(key)
	}
	r.rebuild()
}

func slim(key *v1alpha1.JWTRefreshKey) *v1alpha1.JWTRefreshKey {
	key = key.DeepCopy()
	registry.Slim(key)
	return key
}

func (r *Registry) rebuild() {
	r.directory = registry.NewDirectory(slices.Collect(maps.Values(r.view.issuers)), Namespace, r.view.rings)
}

// stamp gives an object its next resourceVersion, and a UID and a time of creation if it is new.
func (r *Registry) stamp(object metav1.Object) {
	r.version++
	object.SetResourceVersion(strconv.FormatInt(r.version, 10))
	if object.GetUID() == "" {
		object.SetUID(r.newUID())
		object.SetCreationTimestamp(metav1.NewTime(r.clock.Now().Truncate(time.Second)))
	}
}

func (r *Registry) newUID() types.UID {
	r.made++
	return types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", r.made))
}

// Put creates a refresh key with its status, or replaces it, and fills in its UID and resourceVersion.
func (r *Registry) Put(key *v1alpha1.JWTRefreshKey) {
	r.change(func() {
		r.stamp(key)
		r.cluster.keys[nameOf(key)] = key.DeepCopy()
	})
}

// Edit changes a refresh key at the API server. It panics if the key does not exist.
func (r *Registry) Edit(name types.NamespacedName, change func(*v1alpha1.JWTRefreshKey)) {
	r.change(func() {
		key := r.cluster.keys[name].DeepCopy()
		change(key)
		r.stamp(key)
		r.cluster.keys[name] = key
	})
}

// Delete deletes a refresh key.
func (r *Registry) Delete(name types.NamespacedName) {
	r.change(func() { r.version++; delete(r.cluster.keys, name) })
}

// Stored returns a copy of a refresh key as the API server has it; nil if it does not exist.
func (r *Registry) Stored(name types.NamespacedName) *v1alpha1.JWTRefreshKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cluster.keys[name].DeepCopy()
}

// All returns copies of the refresh keys of a namespace, sorted by name.
func (r *Registry) All(namespace string) []v1alpha1.JWTRefreshKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cluster.list(func(key *v1alpha1.JWTRefreshKey) bool { return key.Namespace == namespace })
}

func (s *state) list(selects func(*v1alpha1.JWTRefreshKey) bool) []v1alpha1.JWTRefreshKey {
	names := slices.SortedFunc(maps.Keys(s.keys), func(a, b types.NamespacedName) int {
		return slices.Compare([]string{a.Namespace, a.Name}, []string{b.Namespace, b.Name})
	})
	var all []v1alpha1.JWTRefreshKey
	for _, name := range names {
		if key := s.keys[name]; selects(key) {
			all = append(all, *key.DeepCopy())
		}
	}
	return all
}

// PutIssuer creates or replaces an issuer with its signing keys; nil rings remove the signing keys.
func (r *Registry) PutIssuer(issuer *v1alpha1.JWTIssuer, rings *keyring.Rings) {
	r.change(func() {
		r.stamp(issuer)
		r.cluster.issuers[issuer.Name] = issuer.DeepCopy()
	})
	r.PutRings(issuer.Name, rings)
}

// PutRings replaces the signing keys of an issuer; nil removes them. It panics on rings that cannot be encoded.
func (r *Registry) PutRings(issuer string, rings *keyring.Rings) {
	r.change(func() {
		if rings == nil {
			delete(r.cluster.rings, issuer)
			return
		}
		data, err := keyring.Encode(rings)
		if err != nil {
			panic(err)
		}
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: "keys-of-" + issuer}, Data: data}
		r.stamp(secret)
		r.cluster.rings[issuer] = secret
	})
}

// DeleteIssuer deletes an issuer, and keeps its signing keys.
func (r *Registry) DeleteIssuer(name string) {
	r.change(func() { delete(r.cluster.issuers, name) })
}

// PutNamespace creates a namespace or replaces its labels.
func (r *Registry) PutNamespace(name string, labels map[string]string) {
	r.change(func() { r.cluster.namespaces[name] = labels })
}

// PutAccount creates a ServiceAccount and returns its UID. One that exists is replaced by another of its name.
func (r *Registry) PutAccount(name types.NamespacedName) (uid types.UID) {
	r.change(func() {
		uid = r.newUID()
		r.cluster.accounts[name] = uid
	})
	return uid
}

// DeleteAccount deletes a ServiceAccount.
func (r *Registry) DeleteAccount(name types.NamespacedName) {
	r.change(func() { delete(r.cluster.accounts, name) })
}

// Away makes the API server unavailable, or available again.
func (r *Registry) Away(away bool) { r.change(func() { r.faults.away = away }) }

// Stale makes the view one that was not proven for too long.
func (r *Registry) Stale(stale bool) { r.change(func() { r.faults.stale = stale }) }

// Hold holds the view back: it does not follow the API server until it is released, except for what the replica itself
// reads and writes.
func (r *Registry) Hold(held bool) { r.change(func() { r.faults.held = held }) }

// BeginsFail lets the next starts of sessions fail, as if the replica died after it created the object.
func (r *Registry) BeginsFail(times int) { r.change(func() { r.faults.begins = times }) }

// Counts returns the requests of the replica so far.
func (r *Registry) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

func nameOf(key *v1alpha1.JWTRefreshKey) types.NamespacedName {
	return types.NamespacedName{Namespace: key.Namespace, Name: key.Name}
}

// answers returns ErrUnavailable while the API server is away.
func (r *Registry) answers() error {
	if r.faults.away {
		return upstream.Unavailable("the API server in memory is away")
	}
	return nil
}
