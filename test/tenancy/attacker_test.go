package tenancy

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// TestTheOwnerOfOneNamespace attacks as a user with all rights on the refresh keys, their status, the
// Secrets and the ServiceAccounts of one namespace, and no other rights. The issuer's policy grants them
// any subject and some claims. They know the status of another user's key. Each attack must gain nothing,
// with and without the admission policy that comes with the CRDs.
func TestTheOwnerOfOneNamespace(t *testing.T) {
	h := newFixture(t)
	attacks := func(t *testing.T) {
		h := h.in(t)
		for _, attack := range []struct {
			name string
			run  func(*fixture)
		}{
			{"the subject of another key", (*fixture).foreignSubject},
			{"claims that shadow registered ones", (*fixture).shadowingClaims},
			{"claims named as header parameters", (*fixture).claimsLikeHeaders},
			{"the name of a foreign Secret", (*fixture).foreignSecret},
			{"forged ownership of a Secret", (*fixture).forgedOwnership},
			{"a forged Secret with signing keys", (*fixture).forgedSigningKeys},
			{"reserved labels and annotations", (*fixture).reservedNames},
			{"other tokens in the Secret", (*fixture).foreignTokens},
			{"a token in a Secret before its key", (*fixture).plantedToken},
			{"a forged status", (*fixture).forgedStatus},
			{"a forged status of a one-time key", (*fixture).forgedOneTimeStatus},
			{"a recreated key", (*fixture).recreatedKey},
			{"a session for a foreign ServiceAccount", (*fixture).forgedSessions},
		} {
			t.Run(attack.name, func(t *testing.T) {
				h := h.in(t)
				attack.run(h)
				h.expectVictimUnharmed()
			})
		}
	}
	h.guarded = true
	t.Run("with the admission policy", attacks)
	if server.Existing() {
		return
	}
	h.guarded = false
	err := server.Unguarded(t.Context(), func() error {
		t.Run("without the admission policy", attacks)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// fixture runs an operator, with the refresh key of a victim and a namespace of an attacker.
type fixture struct {
	*harness.Harness
	issuer   *v1alpha1.JWTIssuer
	replicas []*operator.Replica
	// guarded: the admission policy is in force.
	guarded bool

	victim        *v1alpha1.JWTRefreshKey
	victimToken   string
	victimVersion string

	// attacker owns namespace.
	namespace string
	attacker  client.Client
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	h := &fixture{Harness: harness.New(t, server, clock.RealClock{})}
	h.namespace = h.Namespace(map[string]string{"team": "mallory"})
	h.issuer = newIssuer(h.Harness,
		v1alpha1.PolicyRule{Namespaces: &v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"team": "victim"}}},
		v1alpha1.PolicyRule{
			Namespaces: &v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"team": "mallory"}},
			Audiences:  []string{harness.Audience}, Subjects: []string{"**"}, Scopes: []string{"orders:*"}, Claims: []string{"email", "kid", "alg", "typ"},
		})
	h.Manage()
	h.replicas = []*operator.Replica{h.Replica(), h.Replica()}
	h.victim = harness.Created(h.Harness, harness.NewKey(h.Namespace(map[string]string{"team": "victim"}), "orders", harness.WithIssuer(h.issuer.Name)))
	h.victimToken = h.AwaitRevision(h.victim, 1)
	h.victimVersion = h.secretVersion()
	user := harness.UniqueName("mallory")
	bind(h.Harness, user, newRole(h.Harness,
		rbacv1.PolicyRule{APIGroups: []string{v1alpha1.Group}, Resources: []string{"jwtrefreshkeys", "jwtrefreshkeys/status"}, Verbs: []string{"*"}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets", "serviceaccounts"}, Verbs: []string{"*"}},
	), h.namespace)
	h.attacker = h.As(user)
	h.AwaitState("the attacker has their rights", func() (bool, string) {
		err := h.attacker.List(t.Context(), &v1alpha1.JWTRefreshKeyList{}, client.InNamespace(h.namespace))
		return err == nil, fmt.Sprint(err)
	})
	if err := h.attacker.Get(t.Context(), client.ObjectKeyFromObject(h.victim), &v1alpha1.JWTRefreshKey{}); !apierrors.IsForbidden(err) {
		t.Fatalf("the attacker reads the victim's key: got error %v, want Forbidden", err)
	}
	return h
}

// in returns the fixture for a subtest.
func (h *fixture) in(t *testing.T) *fixture {
	in := *h
	in.Harness = h.In(t)
	return &in
}

func (h *fixture) secretVersion() string {
	h.T.Helper()
	secret, err := h.Secret(h.victim.Namespace, h.victim.Name)
	if err != nil {
		h.T.Fatal(err)
	}
	return string(secret.UID) + "/" + secret.ResourceVersion
}

// expectVictimUnharmed checks that the victim's token is still accepted and that their Secret was not
// written.
func (h *fixture) expectVictimUnharmed() {
	h.T.Helper()
	for _, r := range h.replicas {
		if got := h.RefreshAt(r, h.issuer.Name, h.victimToken).Outcome(); got != "200" {
			h.T.Errorf("exchange of the victim's token: got %s, want 200", got)
		}
	}
	if err := h.Reload(h.victim); err != nil || h.victim.Status.Revision != 1 || h.victim.Status.RevokedAt != nil {
		h.T.Errorf("the victim's key: got revision %d, revokedAt %v, error %v, want revision 1", h.victim.Status.Revision, h.victim.Status.RevokedAt, err)
	}
	if version := h.secretVersion(); version != h.victimVersion {
		h.T.Error("the victim's Secret was written")
	}
}

// newOwnKey returns a refresh key in the attacker's namespace, without creating it.
func (h *fixture) newOwnKey(change ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	return harness.NewKey(h.namespace, harness.UniqueName("own"), append(change, harness.WithIssuer(h.issuer.Name))...)
}

// create creates an object as the attacker, and fails the test if that is refused.
func (h *fixture) create(object client.Object) {
	h.T.Helper()
	h.Expect(h.attacker.Create(h.Ctx, object)).To(gomega.Succeed())
	h.T.Cleanup(func() { _ = h.attacker.Delete(context.Background(), object) })
}

// issueKey creates a refresh key as the attacker, and returns it with its token.
func (h *fixture) issueKey(change ...func(*v1alpha1.JWTRefreshKey)) (*v1alpha1.JWTRefreshKey, string) {
	h.T.Helper()
	key := h.newOwnKey(change...)
	h.create(key)
	return key, h.AwaitRevision(key, 1)
}

// denial says what must refuse a request: always the schema; the admission policy, if it is in force;
// otherwise the operator, with a reason in status.
type denial struct {
	schema, admission string
	reason            string
}

// expectDenied creates a refresh key and checks that it is denied.
func (h *fixture) expectDenied(key *v1alpha1.JWTRefreshKey, by denial) {
	h.T.Helper()
	err := h.attacker.Create(h.Ctx, key)
	switch {
	case by.schema != "":
		expectRefusal(h.Harness, err, by.schema)
		return
	case by.admission != "" && h.guarded:
		expectRefusal(h.Harness, err, by.admission)
		return
	case err != nil:
		h.T.Errorf("the API server refused it, and the operator must: %v", err)
		return
	}
	h.AwaitReason(key, by.reason)
	if secret, err := h.Secret(key.Namespace, key.Name); !apierrors.IsNotFound(err) {
		h.T.Errorf("got a Secret with %d entries and error %v, want NotFound", len(secret.Data), err)
	}
	if err := h.attacker.Delete(h.Ctx, key); err != nil {
		h.T.Error(err)
	}
}

// payload returns the claims of a token.
func payload(h *harness.Harness, compact string) map[string]any {
	h.T.Helper()
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		h.T.Fatal("not a JWT")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		h.T.Fatal("not base64url")
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		h.T.Fatal("not a JSON object")
	}
	return claims
}

func ownSubject(key *v1alpha1.JWTRefreshKey) string {
	return "refreshkey:" + key.Namespace + ":" + key.Name
}

// expectOwnTokenOnly waits until the Secret of a refresh key holds a token of that key, and checks that the
// token grants access as that key only.
func (h *fixture) expectOwnTokenOnly(key *v1alpha1.JWTRefreshKey, revision int64) {
	h.T.Helper()
	held := h.AwaitRevision(key, revision)
	awaitExchange(h.Harness, h.replicas[0], h.issuer, held, "200")
	for _, compact := range []string{held, h.RefreshAt(h.replicas[0], h.issuer.Name, held).Text("access_token")} {
		said := payload(h.Harness, compact)
		if said["sub"] != ownSubject(key) || said["client_id"] != ownSubject(key) || said["aud"] != harness.Audience {
			h.T.Errorf("got sub %v, client_id %v, aud %v, want sub and client_id %s, aud %s", said["sub"], said["client_id"], said["aud"], ownSubject(key), harness.Audience)
		}
	}
}

// attackerSecret reads a Secret as the attacker.
func (h *fixture) attackerSecret(name string) *corev1.Secret {
	h.T.Helper()
	secret := &corev1.Secret{}
	h.Expect(h.attacker.Get(h.Ctx, client.ObjectKey{Namespace: h.namespace, Name: name}, secret)).To(gomega.Succeed())
	return secret
}
