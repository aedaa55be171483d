package tenancy

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// TestTheOwnerOfOneNamespace attacks as a user with all rights on the refresh keys, their status, the
// Secrets and the ServiceAccounts of one namespace, and no other rights. The issuer's policy grants them
// any subject and some claims. They know the status of another user's key. Each attack must gain nothing,
// with and without the admission policy that comes with the CRDs.
func TestTheOwnerOfOneNamespace(t *testing.T) {
	h := newHarness(t)
	attacks := func(t *testing.T) {
		for _, attack := range []struct {
			name string
			run  func(*harness, *testing.T)
		}{
			{"the subject of another key", (*harness).foreignSubject},
			{"claims that shadow registered ones", (*harness).shadowingClaims},
			{"claims named as header parameters", (*harness).claimsLikeHeaders},
			{"the name of a foreign Secret", (*harness).foreignSecret},
			{"forged ownership of a Secret", (*harness).forgedOwnership},
			{"a forged Secret with signing keys", (*harness).forgedSigningKeys},
			{"reserved labels and annotations", (*harness).reservedNames},
			{"other tokens in the Secret", (*harness).foreignTokens},
			{"a token in a Secret before its key", (*harness).plantedToken},
			{"a forged status", (*harness).forgedStatus},
			{"a forged status of a one-time key", (*harness).forgedOneTimeStatus},
			{"a recreated key", (*harness).recreatedKey},
			{"a session for a foreign ServiceAccount", (*harness).forgedSessions},
		} {
			t.Run(attack.name, func(t *testing.T) {
				attack.run(h, t)
				h.expectVictimUnharmed(t)
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

// harness runs an operator, with the refresh key of a victim and a namespace of an attacker.
type harness struct {
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

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{namespace: newNamespace(t, map[string]string{"team": "mallory"})}
	h.issuer = newIssuer(t,
		v1alpha1.PolicyRule{Namespaces: &v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"team": "victim"}}},
		v1alpha1.PolicyRule{
			Namespaces: &v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"team": "mallory"}},
			Audiences:  []string{audience}, Subjects: []string{"**"}, Scopes: []string{"orders:*"}, Claims: []string{"email", "kid", "alg", "typ"},
		})
	startManager(t)
	h.replicas = []*operator.Replica{startReplica(t), startReplica(t)}
	h.victim = create(t, newKey(newNamespace(t, map[string]string{"team": "victim"}), "orders", withIssuer(h.issuer.Name)))
	h.victimToken = awaitRevision(t, h.victim, 1)
	h.victimVersion = h.secretVersion(t)
	user := newName("mallory")
	bind(t, user, newRole(t,
		rbacv1.PolicyRule{APIGroups: []string{v1alpha1.Group}, Resources: []string{"jwtrefreshkeys", "jwtrefreshkeys/status"}, Verbs: []string{"*"}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets", "serviceaccounts"}, Verbs: []string{"*"}},
	), h.namespace)
	h.attacker = clientOf(t, user)
	eventually(t, "the attacker has their rights", func() (bool, string) {
		err := h.attacker.List(t.Context(), &v1alpha1.JWTRefreshKeyList{}, client.InNamespace(h.namespace))
		return err == nil, fmt.Sprint(err)
	})
	if err := h.attacker.Get(t.Context(), client.ObjectKeyFromObject(h.victim), &v1alpha1.JWTRefreshKey{}); !apierrors.IsForbidden(err) {
		t.Fatalf("the attacker reads the victim's key: got error %v, want Forbidden", err)
	}
	return h
}

func (h *harness) secretVersion(t *testing.T) string {
	t.Helper()
	secret, err := secretOf(t, h.victim.Namespace, h.victim.Name)
	if err != nil {
		t.Fatal(err)
	}
	return string(secret.UID) + "/" + secret.ResourceVersion
}

// expectVictimUnharmed checks that the victim's token is still accepted and that their Secret was not
// written.
func (h *harness) expectVictimUnharmed(t *testing.T) {
	t.Helper()
	for _, r := range h.replicas {
		if got := exchange(t, r, h.issuer, h.victimToken).Outcome(); got != "200" {
			t.Errorf("exchange of the victim's token: got %s, want 200", got)
		}
	}
	if err := reload(t, h.victim); err != nil || h.victim.Status.Revision != 1 || h.victim.Status.RevokedAt != nil {
		t.Errorf("the victim's key: got revision %d, revokedAt %v, error %v, want revision 1", h.victim.Status.Revision, h.victim.Status.RevokedAt, err)
	}
	if version := h.secretVersion(t); version != h.victimVersion {
		t.Error("the victim's Secret was written")
	}
}

// newOwnKey returns a refresh key in the attacker's namespace, without creating it.
func (h *harness) newOwnKey(change ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	return newKey(h.namespace, newName("own"), append(change, withIssuer(h.issuer.Name))...)
}

// create creates an object as the attacker, and fails the test if that is refused.
func (h *harness) create(t *testing.T, object client.Object) {
	t.Helper()
	if err := h.attacker.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.attacker.Delete(context.Background(), object) })
}

// issueKey creates a refresh key as the attacker, and returns it with its token.
func (h *harness) issueKey(t *testing.T, change ...func(*v1alpha1.JWTRefreshKey)) (*v1alpha1.JWTRefreshKey, string) {
	t.Helper()
	key := h.newOwnKey(change...)
	h.create(t, key)
	return key, awaitRevision(t, key, 1)
}

// denial says what must refuse a request: always the schema; the admission policy, if it is in force;
// otherwise the operator, with a reason in status.
type denial struct {
	schema, admission string
	reason            string
}

// expectDenied creates a refresh key and checks that it is denied.
func (h *harness) expectDenied(t *testing.T, key *v1alpha1.JWTRefreshKey, by denial) {
	t.Helper()
	err := h.attacker.Create(t.Context(), key)
	switch {
	case by.schema != "":
		expectRefusal(t, err, by.schema)
		return
	case by.admission != "" && h.guarded:
		expectRefusal(t, err, by.admission)
		return
	case err != nil:
		t.Errorf("the API server refused it, and the operator must: %v", err)
		return
	}
	awaitReason(t, key, by.reason)
	if secret, err := secretOf(t, key.Namespace, key.Name); !apierrors.IsNotFound(err) {
		t.Errorf("got a Secret with %d entries and error %v, want NotFound", len(secret.Data), err)
	}
	if err := h.attacker.Delete(t.Context(), key); err != nil {
		t.Error(err)
	}
}

// payload returns the claims of a token.
func payload(t *testing.T, compact string) map[string]any {
	t.Helper()
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		t.Fatal("not a JWT")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal("not base64url")
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal("not a JSON object")
	}
	return claims
}

func ownSubject(key *v1alpha1.JWTRefreshKey) string {
	return "refreshkey:" + key.Namespace + ":" + key.Name
}

// expectOwnTokenOnly waits until the Secret of a refresh key holds a token of that key, and checks that the
// token grants access as that key only.
func (h *harness) expectOwnTokenOnly(t *testing.T, key *v1alpha1.JWTRefreshKey, revision int64) {
	t.Helper()
	held := awaitRevision(t, key, revision)
	awaitExchange(t, h.replicas[0], h.issuer, held, "200")
	for _, compact := range []string{held, exchange(t, h.replicas[0], h.issuer, held).Text("access_token")} {
		said := payload(t, compact)
		if said["sub"] != ownSubject(key) || said["client_id"] != ownSubject(key) || said["aud"] != audience {
			t.Errorf("got sub %v, client_id %v, aud %v, want sub and client_id %s, aud %s", said["sub"], said["client_id"], said["aud"], ownSubject(key), audience)
		}
	}
}

// attackerSecret reads a Secret as the attacker.
func (h *harness) attackerSecret(t *testing.T, name string) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{}
	if err := h.attacker.Get(t.Context(), client.ObjectKey{Namespace: h.namespace, Name: name}, secret); err != nil {
		t.Fatal(err)
	}
	return secret
}
