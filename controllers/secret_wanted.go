package controllers

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// wantedSecret is what a key's Secret should be, but for the tokens.
type wantedSecret struct {
	labels      map[string]string
	annotations map[string]string
	owners      []metav1.OwnerReference
	data        map[string]string
}

// wantedFor says what the Secret of a key should be when it holds the current token of line,
// which is exchanged at the endpoint, by clients that trust the authorities.
func wantedFor(key *v1alpha1.JWTRefreshKey, line *v1alpha1.TokenLine, endpoint string, trusted []byte) wantedSecret {
	w := wantedSecret{
		labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
		annotations: map[string]string{
			v1alpha1.AnnotationJTI:        line.JTI,
			v1alpha1.AnnotationRevision:   strconv.FormatInt(line.Revision, 10),
			v1alpha1.AnnotationSecretName: lifecycle.SecretName(key),
		},
		data: map[string]string{v1alpha1.SecretTokenEndpoint: endpoint},
	}
	if len(trusted) > 0 {
		w.data[v1alpha1.SecretCA] = string(trusted)
	}
	if line.ExpiresAt != nil {
		w.annotations[v1alpha1.AnnotationExpiresAt] = line.ExpiresAt.UTC().Format(time.RFC3339)
	}
	spec := key.Spec.Secret
	if retains(key) {
		w.annotations[v1alpha1.AnnotationOwner] = key.Name
	} else {
		w.owners = []metav1.OwnerReference{ownerReference(key)}
	}
	if spec != nil && len(spec.Labels)+len(spec.Annotations) > 0 {
		for name, value := range spec.Labels {
			w.labels[name] = string(value)
		}
		for name, value := range spec.Annotations {
			w.annotations[name] = string(value)
		}
		w.annotations[v1alpha1.AnnotationAdded] = added(spec)
	}
	return w
}

// ownerReference does not block the deletion of the key: that would need a right on its
// finalizers, and a Secret that outlives its key by a moment does no harm.
func ownerReference(key *v1alpha1.JWTRefreshKey) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: keyKind, Name: key.Name, UID: key.UID, Controller: ptr.To(true),
	}
}

const keyKind = "JWTRefreshKey"

// added lists the labels and annotations that spec.secret puts on a Secret, as
// `labels:a,b annotations:c`, so that they can be taken off again.
func added(spec *v1alpha1.SecretSpec) string {
	return "labels:" + strings.Join(slices.Sorted(maps.Keys(spec.Labels)), ",") +
		" annotations:" + strings.Join(slices.Sorted(maps.Keys(spec.Annotations)), ",")
}

func addedEarlier(secret *corev1.Secret) (labels, annotations []string) {
	for _, field := range strings.Fields(secret.Annotations[v1alpha1.AnnotationAdded]) {
		kind, names, _ := strings.Cut(field, ":")
		switch {
		case names == "":
		case kind == "labels":
			labels = strings.Split(names, ",")
		case kind == "annotations":
			annotations = strings.Split(names, ",")
		}
	}
	return labels, annotations
}

// fits tells whether a digested Secret is as wanted, but for the tokens. Labels and
// annotations of others are theirs; data of others is not, since the Secret is ours.
func (w *wantedSecret) fits(secret *corev1.Secret) bool {
	if secret.Annotations[v1alpha1.AnnotationAdded] != w.annotations[v1alpha1.AnnotationAdded] ||
		secret.Annotations[v1alpha1.AnnotationOwner] != w.annotations[v1alpha1.AnnotationOwner] ||
		!contains(secret.Labels, w.labels) || !contains(secret.Annotations, w.annotations) || !w.ownedRight(secret) {
		return false
	}
	for name := range secret.StringData {
		if _, ours := w.data[name]; !ours && name != v1alpha1.SecretToken && name != v1alpha1.SecretAccessToken && name != accessRevision {
			return false
		}
	}
	for name, value := range w.data {
		if sum := sha256.Sum256([]byte(value)); secret.StringData[name] != string(sum[:]) {
			return false
		}
	}
	return true
}

func (w *wantedSecret) ownedRight(secret *corev1.Secret) bool {
	owner := metav1.GetControllerOfNoCopy(secret)
	if len(w.owners) == 0 {
		return owner == nil
	}
	return owner != nil && owner.UID == w.owners[0].UID && owner.Name == w.owners[0].Name && owner.Kind == w.owners[0].Kind
}

func contains(have, want map[string]string) bool {
	for name, value := range want {
		if got, ok := have[name]; !ok || got != value {
			return false
		}
	}
	return true
}

// write makes a Secret what is wanted, with the tokens given; an empty token leaves none.
func (w *wantedSecret) write(secret *corev1.Secret, tokens secretTokens) {
	labels, annotations := addedEarlier(secret)
	secret.Labels = merged(secret.Labels, labels, w.labels)
	secret.Annotations = merged(secret.Annotations, append(annotations, ownAnnotations...), w.annotations)
	secret.OwnerReferences = append(slices.DeleteFunc(slices.Clone(secret.OwnerReferences), isKeyReference), w.owners...)
	secret.Type = corev1.SecretTypeOpaque
	secret.Data = make(map[string][]byte, len(w.data)+2)
	for name, value := range w.data {
		secret.Data[name] = []byte(value)
	}
	if tokens.refresh != "" {
		secret.Data[v1alpha1.SecretToken] = []byte(tokens.refresh)
	}
	if access := tokens.access; access.text != "" {
		sum := sha256.Sum256([]byte(access.text))
		secret.Data[v1alpha1.SecretAccessToken] = []byte(access.text)
		secret.Annotations[v1alpha1.AnnotationAccessTokenHash] = hex.EncodeToString(sum[:])
		secret.Annotations[v1alpha1.AnnotationAccessTokenExpiresAt] = access.expiresAt
		secret.Annotations[v1alpha1.AnnotationAccessTokenKeyID] = access.keyID
	}
}

// ownAnnotations are taken off before the wanted ones are put on.
var ownAnnotations = []string{
	v1alpha1.AnnotationJTI, v1alpha1.AnnotationRevision, v1alpha1.AnnotationExpiresAt, v1alpha1.AnnotationOwner,
	v1alpha1.AnnotationAdded, v1alpha1.AnnotationAccessTokenHash, v1alpha1.AnnotationAccessTokenExpiresAt,
	v1alpha1.AnnotationAccessTokenKeyID, v1alpha1.AnnotationSecretName,
}

func merged(have map[string]string, drop []string, want map[string]string) map[string]string {
	result := make(map[string]string, len(have)+len(want))
	maps.Copy(result, have)
	for _, name := range drop {
		delete(result, name)
	}
	maps.Copy(result, want)
	return result
}

// secretTokens are the tokens that a Secret is to hold.
type secretTokens struct {
	refresh tokenText
	access  accessToken
}

// accessToken is an access token with what its Secret says of it.
type accessToken struct {
	text      tokenText
	expiresAt string
	keyID     string
}

// tokenText is the text of a token. It does not show itself in logs and errors.
type tokenText string

func (tokenText) String() string   { return "[token]" }
func (tokenText) GoString() string { return "[token]" }

// stateOf says whose a Secret is, digested or not. Only Opaque Secrets can be ours: we never make,
// and so never touch, another type.
func stateOf(secret *corev1.Secret, key *v1alpha1.JWTRefreshKey) lifecycle.SecretState {
	owner := metav1.GetControllerOfNoCopy(secret)
	switch {
	case secret.Type != corev1.SecretTypeOpaque:
		return lifecycle.SecretForeign
	case owner == nil && isRetained(secret, key):
		return lifecycle.SecretOwn
	case !ownedByKey(secret) || owner.Name != key.Name:
		return lifecycle.SecretForeign
	case owner.UID == key.UID:
		return lifecycle.SecretOwn
	default:
		return lifecycle.SecretLeftOver
	}
}

// isRetained tells whether a Secret without an owner reference is one that the operator made for
// the key, to outlive it. A mark that somebody took away or wrote over does not make it somebody
// else's, where what is on record for the key tells the same. A copy carries the name of the original.
func isRetained(secret *corev1.Secret, key *v1alpha1.JWTRefreshKey) bool {
	named := secret.Annotations[v1alpha1.AnnotationOwner] == key.Name
	labelled := secret.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy
	madeAs, marked := secret.Annotations[v1alpha1.AnnotationSecretName]
	switch {
	case marked && madeAs != secret.Name:
		return false
	case named && labelled:
		return true
	case named:
		return marked && onRecord(secret, key)
	default:
		return labelled && retains(key) && secret.Name == key.Status.SecretName && onRecord(secret, key)
	}
}

// onRecord tells whether a Secret holds a token of the key's line, or says so.
func onRecord(secret *corev1.Secret, key *v1alpha1.JWTRefreshKey) bool {
	line := &key.Status.TokenLine
	jti, hash := secret.Annotations[v1alpha1.AnnotationJTI], heldHash(secret)
	is := func(ofJTI, ofHash string) bool { return (jti != "" && jti == ofJTI) || (hash != "" && hash == ofHash) }
	return is(line.JTI, line.TokenHash) || slices.ContainsFunc(line.Previous, func(t v1alpha1.SupersededToken) bool { return is(t.JTI, t.TokenHash) })
}

func retains(key *v1alpha1.JWTRefreshKey) bool {
	return key.Spec.Secret != nil && key.Spec.Secret.DeletionPolicy == v1alpha1.DeletionRetain
}

// isOtherOf tells whether a Secret is one that the operator made for the key under an
// earlier name. A copy that somebody made of one carries the name of the original.
func isOtherOf(secret *corev1.Secret, key *v1alpha1.JWTRefreshKey) bool {
	return stateOf(secret, key) == lifecycle.SecretOwn && secret.Annotations[v1alpha1.AnnotationSecretName] == secret.Name
}

func ownedByKey(secret *corev1.Secret) bool {
	owner := metav1.GetControllerOfNoCopy(secret)
	return owner != nil && isKeyReference(*owner)
}

func isKeyReference(ref metav1.OwnerReference) bool {
	return ref.Kind == keyKind && ref.APIVersion == v1alpha1.GroupVersion.String()
}
