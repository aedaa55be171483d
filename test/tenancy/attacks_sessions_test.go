package tenancy

import (
	"context"
	"net/url"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

const accountSubject = "system:serviceaccount:"

// signIn signs in with a token that a pod of the ServiceAccount has for the issuer.
func (h *harness) signIn(t *testing.T, namespace, name string) *operator.Answer {
	t.Helper()
	clients, err := kubernetes.NewForConfig(server.Admin)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := clients.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), name,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{h.issuer.Spec.URL}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return h.replicas[0].Post(t, "/"+h.issuer.Name+"/token", url.Values{
		"grant_type": {oauth.GrantTokenExchange}, "subject_token_type": {oauth.TypeJWT}, "subject_token": {issued.Status.Token}, "audience": {audience},
	})
}

// sessionIn returns the only session in a namespace.
func sessionIn(t *testing.T, namespace string) *v1alpha1.JWTRefreshKey {
	t.Helper()
	var list v1alpha1.JWTRefreshKeyList
	if err := clientOf(t, "").List(t.Context(), &list, client.InNamespace(namespace), client.HasLabels{v1alpha1.LabelSession}); err != nil || len(list.Items) != 1 {
		t.Fatalf("got %d sessions in %s, error %v, want 1", len(list.Items), namespace, err)
	}
	return &list.Items[0]
}

// forgedSessions forges sessions. A session acts as its subject: as the victim's workload, or as a person.
func (h *harness) forgedSessions(t *testing.T) {
	account := create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: h.victim.Namespace, Name: newName("till")}})
	if got := h.signIn(t, account.Namespace, account.Name); payload(t, got.Text("access_token"))["sub"] != accountSubject+account.Namespace+":"+account.Name {
		t.Fatalf("the victim's workload cannot sign in: %s", got.Outcome())
	}
	victims := sessionIn(t, account.Namespace)
	t.Cleanup(func() { _ = clientOf(t, "").Delete(context.Background(), victims) })
	own := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: newName("own")}}
	h.create(t, own)
	for name, session := range map[string]v1alpha1.SessionStatus{
		"the victim's, copied":              *victims.Status.Session,
		"an own one, with the victim's UID": {Subject: accountSubject + h.namespace + ":" + own.Name, Method: v1alpha1.LoginServiceAccount, UID: victims.Status.Session.UID},
		"an own one without a login":        {Subject: accountSubject + h.namespace + ":" + own.Name, Method: v1alpha1.LoginServiceAccount, UID: string(own.UID)},
		"a person's":                        {Subject: "jane", Method: v1alpha1.LoginOIDC, Provider: "https://idp.example.com"},
		"a person's, by a password":         {Subject: "jane", Method: v1alpha1.LoginPassword},
		"the victim's key's":                {Subject: ownSubject(h.victim), Method: v1alpha1.LoginServiceAccount},
		"the victim's, as a person's":       {Subject: victims.Spec.Subject, Method: v1alpha1.LoginOIDC},
	} {
		t.Run(name, func(t *testing.T) { h.checkForgedSession(t, session) })
	}
	t.Run("the victim's whole status", func(t *testing.T) {
		key, held := h.issueKey(t, oneTime)
		if !h.forgeStatus(t, key, func(status *v1alpha1.JWTRefreshKeyStatus) { *status = *victims.Status.DeepCopy() }) {
			return
		}
		h.expectSameSubject(t, key, held)
	})
	t.Run("an own one, for the victim's ServiceAccount", func(t *testing.T) {
		got := h.signIn(t, own.Namespace, own.Name)
		if got.Outcome() != "200" {
			t.Fatal(got.Raw)
		}
		session := sessionIn(t, h.namespace)
		t.Cleanup(func() { _ = h.attacker.Delete(context.Background(), session) })
		if err := h.setSubject(t, session, victims.Spec.Subject); h.guarded {
			expectRefusal(t, err, "a subject that begins with system: is given by a login only")
			return
		}
		if !h.forgeStatus(t, session, func(status *v1alpha1.JWTRefreshKeyStatus) { status.Session.Subject = victims.Spec.Subject }) {
			return
		}
		h.expectSameSubject(t, session, got.Text("refresh_token"))
	})
}

func oneTime(key *v1alpha1.JWTRefreshKey) {
	key.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
}

// checkForgedSession turns a one-time key of the attacker into a session, as far as they can write it, and
// checks that its tokens keep their subject.
func (h *harness) checkForgedSession(t *testing.T, session v1alpha1.SessionStatus) {
	key, held := h.issueKey(t, oneTime)
	session.StartedAt = metav1.NewTime(time.Now().Truncate(time.Second))
	if !h.forgeStatus(t, key, func(status *v1alpha1.JWTRefreshKeyStatus) { status.Session = &session }) {
		return
	}
	// Only the admission policy checks this subject, and here it is not in force.
	_ = h.setSubject(t, key, session.Subject)
	h.expectSameSubject(t, key, held)
}

// setSubject changes the subject of a refresh key as the attacker, and returns the API server's error.
func (h *harness) setSubject(t *testing.T, key *v1alpha1.JWTRefreshKey, subject string) (err error) {
	t.Helper()
	eventually(t, "the subject is written or refused", func() (bool, string) {
		if err := h.attacker.Get(t.Context(), keyOf(key), key); err != nil {
			return false, err.Error()
		}
		key.Spec.Subject = subject
		err = h.attacker.Update(t.Context(), key)
		return !apierrors.IsConflict(err), ""
	})
	return err
}

// expectSameSubject checks that an exchange of a token returns only tokens with the same subject, or none.
func (h *harness) expectSameSubject(t *testing.T, key *v1alpha1.JWTRefreshKey, held string) {
	t.Helper()
	was := payload(t, held)["sub"]
	for range 3 {
		for _, r := range h.replicas {
			got := exchange(t, r, h.issuer, held)
			for _, kind := range []string{"access_token", "refresh_token"} {
				if compact := got.Text(kind); compact != "" && payload(t, compact)["sub"] != was {
					t.Errorf("subject of the %s: got %v, want %v", kind, payload(t, compact)["sub"], was)
				}
			}
		}
	}
	if err := reload(t, key); client.IgnoreNotFound(err) != nil {
		t.Error(err)
	}
}
