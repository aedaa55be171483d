package session

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// TestOwns checks whose session a refresh key is, by its status, its issuer and its namespace. Its labels and its spec
// do not count.
func TestOwns(t *testing.T) {
	const till = "system:serviceaccount:shop:till"
	issuer := &registry.Issuer{Name: "people", Login: registry.Login{SessionNamespace: "people"}}
	person := func(change ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
		key := &v1alpha1.JWTRefreshKey{
			ObjectMeta: metav1.ObjectMeta{Namespace: "people", Name: "session-1"},
			Spec:       v1alpha1.JWTRefreshKeySpec{IssuerRef: &v1alpha1.IssuerReference{Name: "people"}, Subject: "jane"},
			Status:     v1alpha1.JWTRefreshKeyStatus{Session: &v1alpha1.SessionStatus{Subject: "jane", Method: v1alpha1.LoginOIDC}},
		}
		for _, c := range change {
			c(key)
		}
		return key
	}
	workload := func(key *v1alpha1.JWTRefreshKey) {
		key.Namespace, key.Spec.Subject = "shop", till
		key.Status.Session = &v1alpha1.SessionStatus{Subject: till, Method: v1alpha1.LoginServiceAccount}
	}
	for _, c := range []struct {
		name, subject string
		key           *v1alpha1.JWTRefreshKey
		want          bool
	}{
		{"a person's", "jane", person(), true},
		{"another person's", "john", person(), false},
		{"of a subject that begins alike", "jan", person(), false},
		{"a ServiceAccount's", till, person(workload), true},
		{"of a ServiceAccount of that name in another namespace", "system:serviceaccount:bank:till", person(workload), false},
		{"a ServiceAccount's, by a status in another namespace", till, person(workload, func(k *v1alpha1.JWTRefreshKey) { k.Namespace = "bank" }), false},
		{"a person's, by a status in another namespace", "jane", person(func(k *v1alpha1.JWTRefreshKey) { k.Namespace = "shop" }), false},
		{"a person's with the subject of a ServiceAccount", till, person(func(k *v1alpha1.JWTRefreshKey) { k.Status.Session.Subject = till }), false},
		{"of another issuer", "jane", person(func(k *v1alpha1.JWTRefreshKey) { k.Spec.IssuerRef.Name = "other" }), false},
		{"a key with the labels and the spec of a session", "jane", person(func(k *v1alpha1.JWTRefreshKey) {
			k.Labels = map[string]string{v1alpha1.LabelSessionOf: sessionOf("people", "jane")}
			k.Status.Session = nil
		}), false},
		{"with another subject in spec", "jane", person(func(k *v1alpha1.JWTRefreshKey) { k.Spec.Subject = "john" }), true},
		{"one that is being deleted", "jane", person(func(k *v1alpha1.JWTRefreshKey) { k.DeletionTimestamp = &metav1.Time{} }), false},
	} {
		if got := Owns(issuer, c.subject, c.key); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
