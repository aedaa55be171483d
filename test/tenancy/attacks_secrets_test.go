package tenancy

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

func writeToSecret(secret string) func(*v1alpha1.JWTRefreshKey) {
	return func(key *v1alpha1.JWTRefreshKey) { key.Spec.Secret = &v1alpha1.SecretSpec{Name: secret} }
}

// foreignSecret names a Secret that the operator does not own. The operator has the right to write any
// Secret. A user who makes it overwrite a foreign one destroys a password, or puts a token where another
// program trusts it.
func (h *harness) foreignSecret(t *testing.T) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: newName("app")}}
	create(t, account)
	for name, secret := range map[string]*corev1.Secret{
		"an application's": {Data: map[string][]byte{"token": []byte("not a token of the operator"), "password": []byte("hunter2")}},
		"a token of a ServiceAccount": {
			Type: corev1.SecretTypeServiceAccountToken, ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{corev1.ServiceAccountNameKey: account.Name}},
		},
		"a bootstrap token": {Type: "bootstrap.kubernetes.io/token", Data: map[string][]byte{"token-id": []byte("07401b"), "token-secret": []byte("f395accd246ae52d")}},
		"a certificate":     {Type: corev1.SecretTypeTLS, Data: map[string][]byte{"tls.crt": nil, "tls.key": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			secret.Namespace, secret.Name = h.namespace, newName("foreign")
			create(t, secret)
			if secret.Type == corev1.SecretTypeServiceAccountToken {
				eventually(t, "the ServiceAccount's token is in the Secret", func() (bool, string) {
					return reload(t, secret) == nil && len(secret.Data[corev1.ServiceAccountTokenKey]) > 0, ""
				})
			}
			before := secret.DeepCopy()
			for _, mode := range []v1alpha1.DeletionPolicy{v1alpha1.DeletionDelete, v1alpha1.DeletionRetain} {
				key := h.newOwnKey(writeToSecret(secret.Name))
				key.Spec.Secret.DeletionPolicy = mode
				h.create(t, key)
				awaitReason(t, key, v1alpha1.ReasonSecretConflict)
				if err := h.attacker.Delete(t.Context(), key); err != nil {
					t.Error(err)
				}
			}
			if err := reload(t, secret); err != nil || secret.ResourceVersion != before.ResourceVersion || !maps.EqualFunc(secret.Data, before.Data, bytes.Equal) {
				t.Errorf("the Secret was written, error %v", err)
			}
		})
	}
	t.Run("one of another namespace", func(t *testing.T) {
		h.expectDenied(t, h.newOwnKey(writeToSecret("../"+h.victim.Namespace+"/"+h.victim.Name)), denial{schema: "spec.secret.name"})
		h.expectDenied(t, h.newOwnKey(writeToSecret(h.victim.Namespace+"/"+h.victim.Name)), denial{schema: "spec.secret.name"})
	})
}

func referenceTo(key *v1alpha1.JWTRefreshKey) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: "JWTRefreshKey", Name: key.Name, UID: key.UID, Controller: ptr.To(true),
	}
}

// retainedMeta returns the metadata of a Secret that the operator retains for a refresh key.
func retainedMeta(key, secret string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: secret, Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
		Annotations: map[string]string{v1alpha1.AnnotationOwner: key, v1alpha1.AnnotationSecretName: secret},
	}
}

// forgedOwnership forges the metadata by which the operator identifies its Secrets. The operator then
// writes the Secret, which must hold nothing but a token of the key that it names, in the same namespace.
func (h *harness) forgedOwnership(t *testing.T) {
	foreign := map[string][]byte{"token": []byte(h.victimToken), "password": []byte("hunter2")}
	t.Run("an own key as owner, by reference", func(t *testing.T) {
		key, _ := h.issueKey(t)
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: newName("forged"),
			Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}, OwnerReferences: []metav1.OwnerReference{referenceTo(key)}}, Data: foreign}
		h.create(t, secret)
		if err := h.attacker.Get(t.Context(), keyOf(key), key); err != nil {
			t.Fatal(err)
		}
		key.Spec.Secret = &v1alpha1.SecretSpec{Name: secret.Name}
		if err := h.attacker.Update(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		h.expectAdopted(t, key, 1)
	})
	t.Run("an own key as owner, by annotation", func(t *testing.T) {
		name := newName("forged")
		secret := &corev1.Secret{ObjectMeta: retainedMeta(name, name), Data: foreign}
		secret.Namespace = h.namespace
		h.create(t, secret)
		key := newKey(h.namespace, name, withIssuer(h.issuer.Name))
		h.create(t, key)
		h.expectAdopted(t, key, 1)
	})
	t.Run("on a bootstrap token", func(t *testing.T) {
		name := newName("forged")
		secret := &corev1.Secret{ObjectMeta: retainedMeta(name, name), Type: "bootstrap.kubernetes.io/token", Data: map[string][]byte{"token-id": []byte("07401b")}}
		secret.Namespace = h.namespace
		h.create(t, secret)
		key := newKey(h.namespace, name, withIssuer(h.issuer.Name))
		h.create(t, key)
		awaitReason(t, key, v1alpha1.ReasonSecretConflict)
		if now := h.attackerSecret(t, name); now.ResourceVersion != secret.ResourceVersion {
			t.Error("a Secret of another type was written")
		}
	})
	t.Run("the victim's key as owner", func(t *testing.T) {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: h.victim.Name,
			Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}, OwnerReferences: []metav1.OwnerReference{referenceTo(h.victim)}}, Data: foreign}
		h.create(t, secret)
		key := h.newOwnKey(writeToSecret(secret.Name))
		h.create(t, key)
		awaitReason(t, key, v1alpha1.ReasonSecretConflict)
	})
}

// expectAdopted checks that the Secret holds a token of the key and nothing of the former content.
func (h *harness) expectAdopted(t *testing.T, key *v1alpha1.JWTRefreshKey, revision int64) {
	t.Helper()
	h.expectOwnTokenOnly(t, key, revision)
	if secret := h.attackerSecret(t, key.Status.SecretName); len(secret.Data["password"]) > 0 {
		t.Error("the Secret still holds its former content")
	}
}

// forgedSigningKeys creates a Secret that looks like that with the issuer's signing keys, with keys that
// the attacker knows. If the operator used them, the attacker could sign anything.
func (h *harness) forgedSigningKeys(t *testing.T) {
	theirs := signingKeysOf(t, h.issuer)
	// The keys of another issuer stand for keys that the attacker generated.
	known := signingKeysOf(t, newIssuer(t))
	if resign(t, signerOf(t, theirs), h.victimToken) != h.victimToken {
		t.Fatal("the issuer's own keys do not produce the victim's token, so the attack proves nothing")
	}
	signer := signerOf(t, known)
	forged := resign(t, signer, h.victimToken)
	h.create(t, &corev1.Secret{Data: known.Data, Type: theirs.Type, ObjectMeta: metav1.ObjectMeta{
		Namespace: h.namespace, Name: theirs.Name, Labels: theirs.Labels, Annotations: theirs.Annotations,
	}})
	key, held := h.issueKey(t)
	if key.Status.KeyID == signer.ID {
		t.Error("the operator signed with the attacker's key")
	}
	again := operator.Serve(t, tokenServerConfig(t), registry.Options{})
	for _, r := range append(h.replicas, again) {
		awaitExchange(t, r, h.issuer, held, "200")
		if got := exchange(t, r, h.issuer, forged).Outcome(); got != "400 invalid_grant" {
			t.Errorf("exchange of a token that the attacker signed: got %s, want 400 invalid_grant", got)
		}
	}
	again.Stop()
}

func signingKeysOf(t *testing.T, issuer *v1alpha1.JWTIssuer) *corev1.Secret {
	t.Helper()
	var secret *corev1.Secret
	eventually(t, "the issuer has signing keys", func() (bool, string) {
		var err error
		secret, err = secretOf(t, apiserver.Namespace, "signing-keys-"+issuer.Name)
		return err == nil, fmt.Sprint(err)
	})
	return secret
}

func signerOf(t *testing.T, secret *corev1.Secret) *keyring.Key {
	t.Helper()
	rings, err := keyring.Decode(secret.Data)
	if err != nil {
		t.Fatal("the Secret holds no signing keys")
	}
	signer, err := rings.Signer(keyring.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// resign signs the payload of a token with another key.
func resign(t *testing.T, key *keyring.Key, compact string) string {
	t.Helper()
	header := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"rt+jwt"}`, key.Algorithm, key.ID)
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + strings.Split(compact, ".")[1]
	signature, err := key.Sign([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// reservedNames sets labels and annotations by which Kubernetes and the operator identify objects.
func (h *harness) reservedNames(t *testing.T) {
	const annotations, labels = "annotations under kubernetes.io/, k8s.io/ and refreshkeys.dev/", "labels under kubernetes.io/, k8s.io/ and refreshkeys.dev/"
	for _, name := range []string{
		v1alpha1.AnnotationOwner, v1alpha1.AnnotationSecretName, v1alpha1.AnnotationAccessTokenHash, "refreshkeys.dev/anything",
		corev1.ServiceAccountNameKey, "kubectl.kubernetes.io/last-applied-configuration", "apps.k8s.io/x",
	} {
		t.Run("annotation "+name, func(t *testing.T) {
			key := h.newOwnKey(writeToSecret(""))
			key.Spec.Secret.Annotations = map[string]v1alpha1.AnnotationValue{name: "mine"}
			h.expectDenied(t, key, denial{schema: annotations})
		})
	}
	for _, name := range []string{v1alpha1.LabelManagedBy, v1alpha1.LabelSigningKeysOf, "kubernetes.io/metadata.name"} {
		t.Run("label "+name, func(t *testing.T) {
			key := h.newOwnKey(writeToSecret(""))
			key.Spec.Secret.Labels = map[string]v1alpha1.LabelValue{name: "mine"}
			h.expectDenied(t, key, denial{schema: labels})
		})
	}
}
