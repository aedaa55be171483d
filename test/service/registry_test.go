package service

import (
	"fmt"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/registrytest"
)

// TestRegistry runs the contract of a registry against a replica and a real API server. No manager runs: the test
// writes what the operator would write.
func TestRegistry(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	line := &apiConnection{}
	r := h.Replica(line.wire(clock.RealClock{}))
	registrytest.Run(t, func(t *testing.T) *registrytest.Cluster {
		own := newFixture(t, clock.RealClock{})
		manager, err := client.New(own.ManagerConfig(), client.Options{Scheme: controllers.Scheme()})
		own.Expect(err).NotTo(gomega.HaveOccurred())
		return &registrytest.Cluster{
			Registry: r.Cluster, Admin: &clusterAdmin{own, manager, line}, Namespace: own.Name, Prefix: own.Name, Report: func() { r.ReportUses(own.Ctx) },
		}
	})
}

// clusterAdmin is the administrator of a real cluster, with the operator's right to write status.
type clusterAdmin struct {
	*fixture
	manager client.Client
	line    *apiConnection
}

func (a *clusterAdmin) Put(key *v1alpha1.JWTRefreshKey) {
	status := key.Status
	a.Create(key)
	key.Status = status
	a.Expect(a.manager.Status().Update(a.Ctx, key)).To(gomega.Succeed())
}

func (a *clusterAdmin) Edit(name types.NamespacedName, change func(*v1alpha1.JWTRefreshKey)) {
	key := a.Stored(name)
	change(key)
	status := key.Status
	a.Expect(a.Admin.Update(a.Ctx, key)).To(gomega.Succeed())
	key.Status = status
	a.Expect(a.manager.Status().Update(a.Ctx, key)).To(gomega.Succeed())
}

func (a *clusterAdmin) Delete(name types.NamespacedName) {
	a.Expect(a.Admin.Delete(a.Ctx, &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}})).To(gomega.Succeed())
}

func (a *clusterAdmin) Stored(name types.NamespacedName) *v1alpha1.JWTRefreshKey {
	key := &v1alpha1.JWTRefreshKey{}
	err := a.Admin.Get(a.Ctx, name, key)
	if apierrors.IsNotFound(err) {
		return nil
	}
	a.Expect(err).NotTo(gomega.HaveOccurred())
	return key
}

func (a *clusterAdmin) PutIssuer(issuer *v1alpha1.JWTIssuer, rings *keyring.Rings) {
	a.Create(issuer)
	data, err := keyring.Encode(rings)
	a.Expect(err).NotTo(gomega.HaveOccurred())
	a.Create(&corev1.Secret{ObjectMeta: a.keysOf(issuer.Name), Data: data})
}

func (a *clusterAdmin) keysOf(issuer string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: apiserver.Namespace, Name: issuer + "-keys", Labels: map[string]string{v1alpha1.LabelSigningKeysOf: issuer}}
}

func (a *clusterAdmin) PutRings(issuer string, rings *keyring.Rings) {
	data, err := keyring.Encode(rings)
	a.Expect(err).NotTo(gomega.HaveOccurred())
	a.Expect(a.Admin.Update(a.Ctx, &corev1.Secret{ObjectMeta: a.keysOf(issuer), Data: data})).To(gomega.Succeed())
}

func (a *clusterAdmin) PutAccount(name types.NamespacedName) types.UID {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}}
	a.Create(account)
	return account.UID
}

func (a *clusterAdmin) DeleteAccount(name types.NamespacedName) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}}
	a.Expect(a.Admin.Delete(a.Ctx, account)).To(gomega.Succeed())
	a.Eventually(func() error {
		if err := a.Admin.Get(a.Ctx, name, account); err == nil {
			return fmt.Errorf("the ServiceAccount is not deleted yet")
		}
		return nil
	}).Should(gomega.Succeed())
}

func (a *clusterAdmin) Away(away bool) { a.line.set(away) }

func (a *clusterAdmin) Hold(held bool) { a.line.hang(held) }
