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
	"github.com/refreshkeys/refreshkeys/test/operator"
)

// TestTheOwnerOfOneNamespace is somebody who may do all with the keys, Secrets and ServiceAccounts
// of one namespace, the status of keys included, and nothing anywhere else; whom the issuer's policy
// trusts with any subject and some claims; and who knows what stands in the status of a key of
// somebody else. Each attack shows what it is after, and that nothing of it is gained: with the
// admission policy that comes with the CRDs, and without it.
func TestTheOwnerOfOneNamespace(t *testing.T) {
	h := newHarness(t)
	attacks := func(t *testing.T) {
		for _, attack := range []struct {
			name string
			run  func(*harness, *testing.T)
		}{
			{"another's subject", (*harness).foreignSubject},
			{"claims that shadow registered ones", (*harness).shadowingClaims},
			{"claims named as header parameters", (*harness).claimsLikeHeaders},
			{"the name of somebody's Secret", (*harness).foreignSecret},
			{"forged marks on a Secret", (*harness).forgedOwnership},
			{"signing keys of one's own", (*harness).forgedSigningKeys},
			{"reserved labels and annotations", (*harness).reservedNames},
			{"tokens put into the own Secret", (*harness).foreignTokens},
			{"a token waiting in a Secret for its key", (*harness).plantedToken},
			{"status written by hand", (*harness).forgedStatus},
			{"status of a one-time key written by hand", (*harness).forgedOneTimeStatus},
			{"a key made again", (*harness).recreatedKey},
			{"a session for another's ServiceAccount", (*harness).forgedSessions},
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

// world is an operator at work, a victim's key, and a namespace of somebody else's.
type harness struct {
	issuer   *v1alpha1.JWTIssuer
	replicas []*operator.Replica
	// guarded: the admission policy is in force.
	guarded bool

	victim        *v1alpha1.JWTRefreshKey
	victimToken   string
	victimVersion string

	// mallory owns the namespace.
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
	eventually(t, "the rights are known", func() (bool, string) {
		err := h.attacker.List(t.Context(), &v1alpha1.JWTRefreshKeyList{}, client.InNamespace(h.namespace))
		return err == nil, fmt.Sprint(err)
	})
	if err := h.attacker.Get(t.Context(), client.ObjectKeyFromObject(h.victim), &v1alpha1.JWTRefreshKey{}); !apierrors.IsForbidden(err) {
		t.Fatalf("who owns one namespace reads the keys of another: %v", err)
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

// unharmed: whatever was tried, the victim's token is as good as before, and nobody wrote its Secret.
func (h *harness) expectVictimUnharmed(t *testing.T) {
	t.Helper()
	for _, r := range h.replicas {
		if got := exchange(t, r, h.issuer, h.victimToken).Outcome(); got != "200" {
			t.Errorf("the victim's token gets %s", got)
		}
	}
	if err := reload(t, h.victim); err != nil || h.victim.Status.Revision != 1 || h.victim.Status.RevokedAt != nil {
		t.Errorf("the victim's key: revision %d, error %v", h.victim.Status.Revision, err)
	}
	if version := h.secretVersion(t); version != h.victimVersion {
		t.Error("the victim's Secret was written")
	}
}

// key is one of the attacker's, not yet made.
func (h *harness) newOwnKey(change ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	return newKey(h.namespace, newName("own"), append(change, withIssuer(h.issuer.Name))...)
}

// makes creates an object as the attacker, who may.
func (h *harness) create(t *testing.T, object client.Object) {
	t.Helper()
	if err := h.attacker.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.attacker.Delete(context.Background(), object) })
}

// issued is a key of the attacker's with its token.
func (h *harness) issueKey(t *testing.T, change ...func(*v1alpha1.JWTRefreshKey)) (*v1alpha1.JWTRefreshKey, string) {
	t.Helper()
	key := h.newOwnKey(change...)
	h.create(t, key)
	return key, awaitRevision(t, key, 1)
}

// denied is what must not be granted, and by whom it is refused: by the schema, always; by the
// admission policy, where it is there; else by the code, with the reason that status gives.
type denial struct {
	schema, admission string
	reason            string
}

// refuses makes a key that must come to nothing.
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
		t.Errorf("refused by the API server, and should be by the operator: %v", err)
		return
	}
	awaitReason(t, key, by.reason)
	if secret, err := secretOf(t, key.Namespace, key.Name); !apierrors.IsNotFound(err) {
		t.Errorf("there is a Secret with %d entries, error %v", len(secret.Data), err)
	}
	if err := h.attacker.Delete(t.Context(), key); err != nil {
		t.Error(err)
	}
}

// payload is what a token says.
func payload(t *testing.T, compact string) map[string]any {
	t.Helper()
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		t.Fatal("there is no token")
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

// onlyItself: the Secret of a key comes to hold a token of its own, which gives access as that key
// and nobody else.
func (h *harness) expectOwnTokenOnly(t *testing.T, key *v1alpha1.JWTRefreshKey, revision int64) {
	t.Helper()
	held := awaitRevision(t, key, revision)
	awaitExchange(t, h.replicas[0], h.issuer, held, "200")
	for _, compact := range []string{held, exchange(t, h.replicas[0], h.issuer, held).Text("access_token")} {
		said := payload(t, compact)
		if said["sub"] != ownSubject(key) || said["client_id"] != ownSubject(key) || said["aud"] != audience {
			t.Errorf("the token is for sub %v, client_id %v, aud %v", said["sub"], said["client_id"], said["aud"])
		}
	}
}

// secretOfOwn reads a Secret as the attacker.
func (h *harness) attackerSecret(t *testing.T, name string) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{}
	if err := h.attacker.Get(t.Context(), client.ObjectKey{Namespace: h.namespace, Name: name}, secret); err != nil {
		t.Fatal(err)
	}
	return secret
}
