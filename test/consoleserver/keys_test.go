package consoleserver

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// otherUID is the UID of no object.
const otherUID = "4d5b3c7a-0000-4000-8000-000000000000"

// TestAKeyFromItsCreationToItsEnd walks the routes of a key with the operator at work.
func TestAKeyFromItsCreationToItsEnd(t *testing.T) {
	f := newFixture(t)
	v := f.visitor(everything)
	f.Issuer()
	f.Manage()
	made := ask[wire.Changed](v, http.MethodPost, "api/keys/"+f.Name, wire.Preview{
		Manifest: manifest("orders", map[string]any{"audience": harness.Audience, "issuerRef": map[string]any{"name": f.Name}}),
	})
	key := harness.NewKey(f.Name, "orders")
	held := f.AwaitRevision(key, 1)
	f.Expect(made.Key.UID).To(gomega.Equal(string(key.UID)))
	f.Expect(key.ManagedFields).To(gomega.ContainElement(gomega.HaveField("Manager", "refreshkeys-console")))
	uid := string(key.UID)

	detail := ask[wire.KeyDetail](v, http.MethodGet, keyPath(key), nil)
	f.Expect(detail.Row.Status).To(gomega.Equal(v1alpha1.ReasonIssued))
	f.Expect(detail.Row.TokenHash).To(gomega.Equal(token.Hash(held)))
	f.Expect(detail.Guidance.Means).To(gomega.ContainSubstring("the token is in the Secret"))
	f.Expect(detail.YAML).NotTo(gomega.ContainSubstring("managedFields"))
	f.Expect(detail.Content).To(gomega.ContainElement(gomega.HaveField("Name", "refreshkeys.dev")))
	f.AwaitState("the event about the token", func() (bool, string) {
		detail = ask[wire.KeyDetail](v, http.MethodGet, keyPath(key), nil)
		return len(detail.Events) > 0, "no events"
	})
	f.Expect(detail.EventsFailure).To(gomega.BeNil())

	revealed := v.send(http.MethodPost, keyPath(key)+"/reveal", wire.Precondition{UID: uid})
	f.Expect(revealed.failure()).To(gomega.Succeed())
	f.Expect(revealed.response.Header.Get("Cache-Control")).To(gomega.Equal("no-store"))
	var shown wire.Revealed
	f.Expect(json.Unmarshal(revealed.body, &shown)).To(gomega.Succeed())
	f.Expect(shown.Token).To(gomega.Equal(held))
	f.Expect(shown.TokenEndpoint).To(gomega.Equal(f.URL() + "/token"))

	change := func(action, note string) { // the answer has the row of the changed object
		changed := ask[wire.Changed](v, http.MethodPatch, keyPath(key), wire.Change{UID: uid, Action: action, Note: note})
		f.Expect(changed.Key.UID).To(gomega.Equal(uid))
	}
	change("rotate", "")
	f.AwaitRevision(key, 2)
	change("rotateNow", "")
	f.AwaitRevision(key, 3)
	f.Expect(key.Status.FirstRevision).To(gomega.Equal(int64(3)))
	change("revoke", "left in a train")
	f.AwaitReason(key, v1alpha1.ReasonRevoked)
	f.Expect(key.Annotations[v1alpha1.AnnotationRevocationNote]).To(gomega.Equal("left in a train"))
	f.Expect(v.send(http.MethodPatch, keyPath(key), wire.Change{UID: uid, Action: "rotate"}).code()).To(gomega.Equal(http.StatusConflict), "it would have no effect")
	empty := v.send(http.MethodPost, keyPath(key)+"/reveal", wire.Precondition{UID: uid})
	f.AwaitState("the Secret has no token", func() (bool, string) {
		empty = v.send(http.MethodPost, keyPath(key)+"/reveal", wire.Precondition{UID: uid})
		return empty.code() == http.StatusNotFound, string(empty.body)
	})
	change("restore", "")
	f.AwaitRevision(key, 4)
	f.Expect(key.Annotations).NotTo(gomega.HaveKey(v1alpha1.AnnotationRevocationNote))
	edited := ask[wire.Changed](v, http.MethodPatch, keyPath(key), wire.Change{UID: uid, Action: "edit", Spec: json.RawMessage(`{"lifetime":"1h"}`)})
	f.Expect(edited.Key.Audience).To(gomega.Equal(harness.Audience))
	f.AwaitRevision(key, 5)

	ask[wire.Changed](v, http.MethodDelete, keyPath(key), wire.Precondition{UID: uid})
	f.Expect(apierrors.IsNotFound(f.Reload(key))).To(gomega.BeTrue())
	gone := v.send(http.MethodGet, keyPath(key), nil)
	f.Expect(gone.code()).To(gomega.Equal(http.StatusNotFound))
}

// TestAChangeIsOfTheObjectOnThePage checks that no change reaches an object that was made again under the name.
func TestAChangeIsOfTheObjectOnThePage(t *testing.T) {
	f := newFixture(t)
	v := f.visitor(everything)
	key := f.Key("orders")
	issuer := f.Issuer()
	for name, refused := range map[string]*answer{
		"revoke": v.send(http.MethodPatch, keyPath(key), wire.Change{UID: otherUID, Action: "revoke"}),
		"rotate": v.send(http.MethodPatch, keyPath(key), wire.Change{UID: otherUID, Action: "rotate"}),
		"edit":   v.send(http.MethodPatch, keyPath(key), wire.Change{UID: otherUID, Action: "edit", Spec: json.RawMessage(`{"lifetime":"1h"}`)}),
		"delete": v.send(http.MethodDelete, keyPath(key), wire.Precondition{UID: otherUID}),
		"reveal": v.send(http.MethodPost, keyPath(key)+"/reveal", wire.Precondition{UID: otherUID}),
		"issuer": v.send(http.MethodPatch, "api/issuers/"+f.Name, wire.IssuerChange{UID: otherUID, Action: "rotateKeys"}),
	} {
		if refused.code() != http.StatusConflict || !strings.Contains(refused.refusal().Message, "made again under the same name") {
			t.Errorf("%s: %d %s", name, refused.code(), refused.body)
		}
	}
	for name, invalid := range map[string]wire.Change{
		"without a UID": {Action: "revoke"}, "without an action": {UID: string(key.UID)}, "of another action": {UID: string(key.UID), Action: "delete"},
		"a note of a rotation": {UID: string(key.UID), Action: "rotate", Note: "why"}, "an edit without spec": {UID: string(key.UID), Action: "edit"},
		"a revocation with spec": {UID: string(key.UID), Action: "revoke", Spec: json.RawMessage(`{"lifetime":"1h"}`)},
	} {
		if refused := v.send(http.MethodPatch, keyPath(key), invalid); refused.code() != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, refused.code(), refused.body)
		}
	}
	before := key.ResourceVersion
	f.Expect(f.Reload(key)).To(gomega.Succeed())
	f.Expect(key.ResourceVersion).To(gomega.Equal(before))
	f.Expect(f.Reload(issuer)).To(gomega.Succeed())
	f.Expect(issuer.Annotations).To(gomega.BeEmpty())
}

// TestWhatARefusalSaysToAskFor checks the refusals of a person who may only list keys.
func TestWhatARefusalSaysToAskFor(t *testing.T) {
	f := newFixture(t)
	v := f.visitor(allow(v1alpha1.Group, "jwtrefreshkeys", "list"))
	reader := f.visitor(allow(v1alpha1.Group, "jwtrefreshkeys", "get"))
	key := f.Key("orders")
	f.Edit(key, func() { key.Spec.DeviceInfo = &v1alpha1.DeviceInfo{ID: "till-17"} })
	const keys = "jwtrefreshkeys.jwt.refreshkeys.dev"
	uid, in := string(key.UID), " --namespace "+f.Name
	for name, c := range map[string]struct {
		answer *answer
		ask    string
	}{
		"get":        {v.send(http.MethodGet, keyPath(key), nil), "get " + keys + "/orders" + in},
		"create":     {v.send(http.MethodPost, "api/keys/"+f.Name, wire.Preview{Manifest: manifest("new", map[string]any{"audience": harness.Audience})}), "create " + keys + in},
		"revoke":     {v.send(http.MethodPatch, keyPath(key), wire.Change{UID: uid, Action: "revoke"}), "patch " + keys + "/orders" + in},
		"delete":     {v.send(http.MethodDelete, keyPath(key), wire.Precondition{UID: uid}), "delete " + keys + "/orders" + in},
		"issuer":     {v.send(http.MethodGet, "api/issuers/default", nil), "get jwtissuers.jwt.refreshkeys.dev/default"},
		"rotateKeys": {v.send(http.MethodPatch, "api/issuers/default", wire.IssuerChange{UID: otherUID, Action: "rotateKeys"}), "patch jwtissuers.jwt.refreshkeys.dev/default"},
		"trial":      {v.send(http.MethodPost, "api/issuers/default/trial", wire.Trial{Namespace: f.Name, Audience: harness.Audience}), "get jwtissuers.jwt.refreshkeys.dev/default"},
		"namespaces": {v.send(http.MethodGet, "api/namespaces", nil), "list namespaces"},
	} {
		failure := c.answer.refusal()
		if c.answer.code() != http.StatusForbidden || failure.Code != http.StatusForbidden || failure.Ask != "kubectl auth can-i "+c.ask {
			t.Errorf("%s: %d %s", name, c.answer.code(), c.answer.body)
		}
	}
	detail := ask[wire.KeyDetail](reader, http.MethodGet, keyPath(key), nil)
	f.Expect(detail.EventsFailure.Ask).To(gomega.Equal("kubectl auth can-i list events.events.k8s.io" + in))
	f.Expect(detail.Events).To(gomega.BeEmpty())
}

// TestARevealIsOfTheKeysOwnSecret checks what a reveal refuses.
func TestARevealIsOfTheKeysOwnSecret(t *testing.T) {
	f := newFixture(t)
	admin, reader := f.visitor(everything), f.visitor(allow(v1alpha1.Group, "jwtrefreshkeys", "get"))
	f.Issuer()
	stop := f.Manage()
	key := f.Key("orders")
	f.AwaitRevision(key, 1)
	stop()
	reveal := func(v *visitor) *answer {
		return v.send(http.MethodPost, keyPath(key)+"/reveal", wire.Precondition{UID: string(key.UID)})
	}
	f.Expect(reveal(admin).code()).To(gomega.Equal(http.StatusOK))
	refused := reveal(reader)
	f.Expect(refused.code()).To(gomega.Equal(http.StatusForbidden))
	f.Expect(refused.refusal().Ask).To(gomega.Equal("kubectl auth can-i get secrets/orders --namespace " + f.Name))

	secret := f.MustSecret("orders")
	harness.Edit(f.Harness, secret, func(s *corev1.Secret) { s.OwnerReferences[0].UID = otherUID })
	foreign := reveal(admin)
	f.Expect(foreign.code()).To(gomega.Equal(http.StatusConflict))
	f.Expect(string(foreign.body)).NotTo(gomega.ContainSubstring(string(secret.Data[v1alpha1.SecretToken])))

	off := newFixture(t, func(o *console.Options) { o.Reveal = false })
	never := off.visitor(everything).send(http.MethodPost, keyPath(key)+"/reveal", wire.Precondition{UID: string(key.UID)})
	f.Expect(never.code()).To(gomega.Equal(http.StatusForbidden))
	f.Expect(never.refusal().Message).To(gomega.ContainSubstring("kubectl get secret"))
}

// TestIssuers walks the routes of an issuer.
func TestIssuers(t *testing.T) {
	f := newFixture(t)
	v := f.visitor(everything)
	issuer := f.Issuer(harness.WithRules(v1alpha1.PolicyRule{
		Namespaces: &v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"team": "shop"}}, MaxLifetime: &metav1.Duration{Duration: 48 * time.Hour},
	}))
	f.Manage()
	f.AwaitIssuer(f.Name)
	path := "api/issuers/" + f.Name
	detail := ask[wire.IssuerDetail](v, http.MethodGet, path, nil)
	f.Expect(detail.Row.Status).To(gomega.Equal(v1alpha1.ReasonKeysReady))
	f.Expect(detail.Rules).To(gomega.Equal([]wire.Rule{{Number: 1, Namespaces: "team=shop", MaxLifetimeSeconds: 48 * 3600}}))
	f.Expect(detail.NextRotation).To(gomega.HaveLen(2))
	f.Expect(detail.Keys).To(gomega.HaveLen(4))

	denied := ask[wire.PolicyAnswer](v, http.MethodPost, path+"/trial", wire.Trial{Namespace: f.Name, Audience: harness.Audience})
	f.Expect(denied.Granted).To(gomega.BeFalse())
	f.Expect(denied.Missing[0]).To(gomega.Equal("the namespace's labels"))
	team := f.Namespace(map[string]string{"team": "shop"})
	f.Expect(ask[wire.PolicyAnswer](v, http.MethodPost, path+"/trial", wire.Trial{Namespace: team, Audience: harness.Audience, LifetimeSeconds: 3600}).Granted).To(gomega.BeTrue())

	f.Expect(f.Reload(issuer)).To(gomega.Succeed())
	ask[wire.Changed](v, http.MethodPatch, path, wire.IssuerChange{UID: string(issuer.UID), Action: "rotateKeys"})
	kid := detail.Keys[0].KID
	ask[wire.Changed](v, http.MethodPatch, path, wire.IssuerChange{UID: string(issuer.UID), Action: "withdrawKey", KID: kid})
	f.Expect(f.Reload(issuer)).To(gomega.Succeed())
	f.Expect(v1alpha1.WithdrawnKIDs(issuer)).To(gomega.Equal([]string{kid}))
	f.Expect(issuer.Annotations).To(gomega.HaveKey(v1alpha1.AnnotationRotateKeys))
	unknown := v.send(http.MethodPatch, path, wire.IssuerChange{UID: string(issuer.UID), Action: "withdrawKey", KID: "of-no-key"})
	f.Expect(unknown.code()).To(gomega.Equal(http.StatusNotFound))
	absent := v.send(http.MethodGet, path+"/jwks", nil)
	f.Expect(absent.code()).To(gomega.Equal(http.StatusNotFound))
	f.Expect(absent.refusal().Message).To(gomega.ContainSubstring("does not reach the token service"))
}
