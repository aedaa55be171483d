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
	"github.com/refreshkeys/refreshkeys/test/operator"
)

const accountSubject = "system:serviceaccount:"

// signIn is a login by the token that a ServiceAccount's pod has for the issuer.
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

// sessionIn is the one session in a namespace.
func sessionIn(t *testing.T, namespace string) *v1alpha1.JWTRefreshKey {
	t.Helper()
	var list v1alpha1.JWTRefreshKeyList
	if err := clientOf(t, "").List(t.Context(), &list, client.InNamespace(namespace), client.HasLabels{v1alpha1.LabelSession}); err != nil || len(list.Items) != 1 {
		t.Fatalf("%d sessions in %s, error %v", len(list.Items), namespace, err)
	}
	return &list.Items[0]
}

// anothersSession: a session is its subject. With one of the victim's ServiceAccount one is the
// victim's workload, and with one of a person one is that person.
func (h *harness) forgedSessions(t *testing.T) {
	account := create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: h.victim.Namespace, Name: newName("till")}})
	if got := h.signIn(t, account.Namespace, account.Name); payload(t, got.Text("access_token"))["sub"] != accountSubject+account.Namespace+":"+account.Name {
		t.Fatalf("the victim's workload does not sign in: %s", got.Outcome())
	}
	victims := sessionIn(t, account.Namespace)
	t.Cleanup(func() { _ = clientOf(t, "").Delete(context.Background(), victims) })
	own := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: newName("own")}}
	h.create(t, own)
	for name, session := range map[string]v1alpha1.SessionStatus{
		"the victim's, copied":           *victims.Status.Session,
		"the victim's, for one's own":    {Subject: accountSubject + h.namespace + ":" + own.Name, Method: v1alpha1.LoginServiceAccount, UID: victims.Status.Session.UID},
		"one's own without a login":      {Subject: accountSubject + h.namespace + ":" + own.Name, Method: v1alpha1.LoginServiceAccount, UID: string(own.UID)},
		"a person's":                     {Subject: "jane", Method: v1alpha1.LoginOIDC, Provider: "https://idp.example.com"},
		"a person's, by a password":      {Subject: "jane", Method: v1alpha1.LoginPassword},
		"the victim's key's":             {Subject: ownSubject(h.victim), Method: v1alpha1.LoginServiceAccount},
		"the victim's, said of a person": {Subject: victims.Spec.Subject, Method: v1alpha1.LoginOIDC},
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
	t.Run("one's own, for the victim's ServiceAccount", func(t *testing.T) {
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

// forgesSession makes of a one-time key of the attacker's a session, as far as he can write it.
func (h *harness) checkForgedSession(t *testing.T, session v1alpha1.SessionStatus) {
	key, held := h.issueKey(t, oneTime)
	session.StartedAt = metav1.NewTime(time.Now().Truncate(time.Second))
	if !h.forgeStatus(t, key, func(status *v1alpha1.JWTRefreshKeyStatus) { status.Session = &session }) {
		return
	}
	// Of a key's subject the admission policy knows, and it is away.
	_ = h.setSubject(t, key, session.Subject)
	h.expectSameSubject(t, key, held)
}

// calls gives a key another subject, as the attacker, and returns what the API server says to it.
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

// staysItself: what is had for the token is for whom the token was made, or nothing.
func (h *harness) expectSameSubject(t *testing.T, key *v1alpha1.JWTRefreshKey, held string) {
	t.Helper()
	was := payload(t, held)["sub"]
	for range 3 {
		for _, r := range h.replicas {
			got := exchange(t, r, h.issuer, held)
			for _, kind := range []string{"access_token", "refresh_token"} {
				if compact := got.Text(kind); compact != "" && payload(t, compact)["sub"] != was {
					t.Errorf("for a token of %v one gets an %s of %v", was, kind, payload(t, compact)["sub"])
				}
			}
		}
	}
	if err := reload(t, key); client.IgnoreNotFound(err) != nil {
		t.Error(err)
	}
}
