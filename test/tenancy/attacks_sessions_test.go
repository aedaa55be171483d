package tenancy

import (
	"context"
	"net/url"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

const accountSubject = "system:serviceaccount:"

// signIn signs in with a token that a pod of the ServiceAccount has for the issuer.
func (h *fixture) signIn(namespace, name string) *operator.Answer {
	h.T.Helper()
	return h.PostTo(h.replicas[0], "/"+h.issuer.Name+"/token", url.Values{
		"grant_type": {oauth.GrantTokenExchange}, "subject_token_type": {oauth.TypeJWT}, "subject_token": {h.AccountToken(namespace, name, h.issuer.Spec.URL)}, "audience": {harness.Audience},
	})
}

// sessionIn returns the only session in a namespace.
func sessionIn(h *harness.Harness, namespace string) *v1alpha1.JWTRefreshKey {
	h.T.Helper()
	var list v1alpha1.JWTRefreshKeyList
	if err := h.Admin.List(h.Ctx, &list, client.InNamespace(namespace), client.HasLabels{v1alpha1.LabelSession}); err != nil || len(list.Items) != 1 {
		h.T.Fatalf("got %d sessions in %s, error %v, want 1", len(list.Items), namespace, err)
	}
	return &list.Items[0]
}

// forgedSessions forges sessions. A session acts as its subject: as the victim's workload, or as a person.
func (h *fixture) forgedSessions() {
	account := harness.Created(h.Harness, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: h.victim.Namespace, Name: harness.UniqueName("till")}})
	if got := h.signIn(account.Namespace, account.Name); payload(h.Harness, got.Text("access_token"))["sub"] != accountSubject+account.Namespace+":"+account.Name {
		h.T.Fatalf("the victim's workload cannot sign in: %s", got.Outcome())
	}
	victims := sessionIn(h.Harness, account.Namespace)
	h.T.Cleanup(func() { _ = h.Admin.Delete(context.Background(), victims) })
	own := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: harness.UniqueName("own")}}
	h.create(own)
	for name, session := range map[string]v1alpha1.SessionStatus{
		"the victim's, copied":              *victims.Status.Session,
		"an own one, with the victim's UID": {Subject: accountSubject + h.namespace + ":" + own.Name, Method: v1alpha1.LoginServiceAccount, UID: victims.Status.Session.UID},
		"an own one without a login":        {Subject: accountSubject + h.namespace + ":" + own.Name, Method: v1alpha1.LoginServiceAccount, UID: string(own.UID)},
		"a person's":                        {Subject: "jane", Method: v1alpha1.LoginOIDC, Provider: "https://idp.example.com"},
		"a person's, by a password":         {Subject: "jane", Method: v1alpha1.LoginPassword},
		"the victim's key's":                {Subject: ownSubject(h.victim), Method: v1alpha1.LoginServiceAccount},
		"the victim's, as a person's":       {Subject: victims.Spec.Subject, Method: v1alpha1.LoginOIDC},
	} {
		h.T.Run(name, func(t *testing.T) {
			h := h.in(t)
			h.checkForgedSession(session)
		})
	}
	h.T.Run("the victim's whole status", func(t *testing.T) {
		h := h.in(t)
		key, held := h.issueKey(oneTime)
		if !h.forgeStatus(key, func(status *v1alpha1.JWTRefreshKeyStatus) { *status = *victims.Status.DeepCopy() }) {
			return
		}
		h.expectSameSubject(key, held)
	})
	h.T.Run("an own one, for the victim's ServiceAccount", func(t *testing.T) {
		h := h.in(t)
		got := h.signIn(own.Namespace, own.Name)
		if got.Outcome() != "200" {
			t.Fatal(got.Raw)
		}
		session := sessionIn(h.Harness, h.namespace)
		t.Cleanup(func() { _ = h.attacker.Delete(context.Background(), session) })
		if err := h.setSubject(session, victims.Spec.Subject); h.guarded {
			expectRefusal(h.Harness, err, "only a login can set a subject that begins with system:")
			return
		}
		if !h.forgeStatus(session, func(status *v1alpha1.JWTRefreshKeyStatus) { status.Session.Subject = victims.Spec.Subject }) {
			return
		}
		h.expectSameSubject(session, got.Text("refresh_token"))
	})
}

func oneTime(key *v1alpha1.JWTRefreshKey) {
	key.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
}

// checkForgedSession turns a one-time key of the attacker into a session, as far as they can write it, and
// checks that its tokens keep their subject.
func (h *fixture) checkForgedSession(session v1alpha1.SessionStatus) {
	key, held := h.issueKey(oneTime)
	session.StartedAt = metav1.NewTime(time.Now().Truncate(time.Second))
	if !h.forgeStatus(key, func(status *v1alpha1.JWTRefreshKeyStatus) { status.Session = &session }) {
		return
	}
	// Only the admission policy checks this subject, and here it is not in force.
	_ = h.setSubject(key, session.Subject)
	h.expectSameSubject(key, held)
}

// setSubject changes the subject of a refresh key as the attacker, and returns the API server's error.
func (h *fixture) setSubject(key *v1alpha1.JWTRefreshKey, subject string) (err error) {
	h.T.Helper()
	h.AwaitState("the subject is written or refused", func() (bool, string) {
		if err := h.attacker.Get(h.Ctx, keyOf(key), key); err != nil {
			return false, err.Error()
		}
		key.Spec.Subject = subject
		err = h.attacker.Update(h.Ctx, key)
		return !apierrors.IsConflict(err), ""
	})
	return err
}

// expectSameSubject checks that an exchange of a token returns only tokens with the same subject, or none.
func (h *fixture) expectSameSubject(key *v1alpha1.JWTRefreshKey, held string) {
	h.T.Helper()
	was := payload(h.Harness, held)["sub"]
	for range 3 {
		for _, r := range h.replicas {
			got := h.RefreshAt(r, h.issuer.Name, held)
			for _, kind := range []string{"access_token", "refresh_token"} {
				if compact := got.Text(kind); compact != "" && payload(h.Harness, compact)["sub"] != was {
					h.T.Errorf("subject of the %s: got %v, want %v", kind, payload(h.Harness, compact)["sub"], was)
				}
			}
		}
	}
	if err := h.Reload(key); client.IgnoreNotFound(err) != nil {
		h.T.Error(err)
	}
}
