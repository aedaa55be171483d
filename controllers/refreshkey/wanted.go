package refreshkey

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/secrets"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/ownership"
)

// wantedSecret is the wanted state of a key's Secret, without the tokens.
type wantedSecret struct {
	labels      map[string]string
	annotations map[string]string
	owners      []metav1.OwnerReference
	data        map[string]string
}

// wantedFor returns the wanted state of the Secret of a key with the current token of line, the endpoints of the issuer and
// the CA bundle.
func wantedFor(key *v1alpha1.JWTRefreshKey, line *v1alpha1.TokenLine, at *endpoints, trusted []byte) wantedSecret {
	w := wantedSecret{
		labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
		annotations: map[string]string{
			v1alpha1.AnnotationJTI:        line.JTI,
			v1alpha1.AnnotationRevision:   strconv.FormatInt(line.Revision, 10),
			v1alpha1.AnnotationSecretName: lifecycle.SecretName(key),
		},
		data: map[string]string{
			v1alpha1.SecretIssuer: at.issuer, v1alpha1.SecretTokenEndpoint: at.token, v1alpha1.SecretPublicTokenEndpoint: at.publicToken,
		},
	}
	if len(trusted) > 0 {
		w.data[v1alpha1.SecretCA] = string(trusted)
	}
	if line.ExpiresAt != nil {
		w.annotations[v1alpha1.AnnotationExpiresAt] = line.ExpiresAt.UTC().Format(time.RFC3339)
	}
	spec := key.Spec.Secret
	if retains(key) {
		w.annotations[v1alpha1.AnnotationOwner] = ownership.MarkFor(key)
	} else {
		w.annotations[v1alpha1.AnnotationMadeFor] = ownership.MarkFor(key)
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

// keepTrust takes over the CA bundle of a Secret.
func (w *wantedSecret) keepTrust(secret *corev1.Secret) {
	if trusted, found := secret.Data[v1alpha1.SecretCA]; found {
		w.data[v1alpha1.SecretCA] = string(trusted)
	}
}

// laterEntries are the entries that Secrets of an earlier version do not have (ADR 26).
var laterEntries = [...]string{v1alpha1.SecretIssuer, v1alpha1.SecretPublicTokenEndpoint}

// hasLaterEntries reports whether a Secret, digested or not, has one of the entries that earlier versions did not write.
func hasLaterEntries(secret *corev1.Secret) bool {
	return slices.ContainsFunc(laterEntries[:], func(name string) bool {
		_, digested := secret.StringData[name]
		_, whole := secret.Data[name]
		return digested || whole
	})
}

// earlier returns the wanted state as an earlier version wrote it.
func (w *wantedSecret) earlier() *wantedSecret {
	before := *w
	before.data = maps.Clone(w.data)
	for _, name := range laterEntries {
		delete(before.data, name)
	}
	return &before
}

// keepForm leaves out the entries that an immutable Secret of an earlier version lacks: they cannot be added to it, and all
// that it holds is right.
func (w *wantedSecret) keepForm(secret *corev1.Secret) {
	if ptr.Deref(secret.Immutable, false) && !hasLaterEntries(secret) {
		w.data = w.earlier().data
	}
}

// lacksEntriesOnly reports whether a digested Secret is as an earlier version wrote it.
func (w *wantedSecret) lacksEntriesOnly(secret *corev1.Secret) bool {
	return !hasLaterEntries(secret) && w.earlier().fits(secret)
}

// ownerReference returns the ownerReference to a key. It does not block the deletion of the key, which would need a
// right on finalizers: a Secret may outlive its key for a short time.
func ownerReference(key *v1alpha1.JWTRefreshKey) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: keyKind, Name: key.Name, UID: key.UID, Controller: ptr.To(true),
	}
}

const keyKind = "JWTRefreshKey"

// added returns the names of the labels and annotations that spec.secret adds to a Secret, as
// `labels:a,b annotations:c`, so that the operator can remove them later.
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

// fits reports whether a digested Secret is as wanted, without regard to the tokens. It allows further labels and
// annotations, but no further data.
func (w *wantedSecret) fits(secret *corev1.Secret) bool {
	if secret.Annotations[v1alpha1.AnnotationAdded] != w.annotations[v1alpha1.AnnotationAdded] ||
		!contains(secret.Labels, w.labels) || !w.annotated(secret) || !w.ownedRight(secret) {
		return false
	}
	return w.fitsData(secret)
}

// fitsData reports whether the data of a digested Secret is as wanted, without regard to the tokens.
func (w *wantedSecret) fitsData(secret *corev1.Secret) bool {
	for name := range secret.StringData {
		if _, ours := w.data[name]; !ours && name != v1alpha1.SecretToken && name != v1alpha1.SecretAccessToken && name != secrets.AccessRevision {
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

// annotated reports whether a Secret has the wanted annotations. It accepts the owner annotation of an earlier version,
// since an upgrade must not write all Secrets: the next write adds the current form.
func (w *wantedSecret) annotated(secret *corev1.Secret) bool {
	for name, value := range w.annotations {
		got, present := secret.Annotations[name]
		switch {
		case present && got == value:
		case name == v1alpha1.AnnotationMadeFor && !present:
		case name == v1alpha1.AnnotationOwner && got == ownership.OldMark(value):
		default:
			return false
		}
	}
	_, retained := w.annotations[v1alpha1.AnnotationOwner]
	return retained || secret.Annotations[v1alpha1.AnnotationOwner] == ""
}

// ownedRight reports whether the ownerReference of a Secret is as deletionPolicy wants.
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

// fingerprint returns a hash that identifies the content of a wantedSecret.
func (w *wantedSecret) fingerprint() [sha256.Size]byte {
	// fmt prints maps sorted by key.
	return sha256.Sum256(fmt.Append(nil, w.labels, w.annotations, w.data, len(w.owners), w.ownerUID()))
}

func (w *wantedSecret) ownerUID() types.UID {
	if len(w.owners) == 0 {
		return ""
	}
	return w.owners[0].UID
}

// differences returns the parts of a digested Secret that differ from the wanted ones, so that users find what changes it.
func (w *wantedSecret) differences(secret *corev1.Secret) string {
	var different []string
	for _, part := range []struct {
		what       string
		have, want map[string]string
	}{{"label", secret.Labels, w.labels}, {"annotation", secret.Annotations, w.annotations}} {
		for _, name := range slices.Sorted(maps.Keys(part.want)) {
			if got, found := part.have[name]; !found || got != part.want[name] {
				different = append(different, part.what+" "+name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.data)) {
		if sum := sha256.Sum256([]byte(w.data[name])); secret.StringData[name] != string(sum[:]) {
			different = append(different, "entry "+name)
		}
	}
	if !w.ownedRight(secret) {
		different = append(different, "owner reference")
	}
	if len(different) == 0 {
		return "an additional entry"
	}
	return strings.Join(different, ", ")
}

// write sets the wanted state of a Secret, with the tokens; it removes a token that is empty.
func (w *wantedSecret) write(secret *corev1.Secret, tokens secretTokens) {
	labels, annotations := addedEarlier(secret)
	secret.Labels = merged(secret.Labels, labels, w.labels)
	secret.Annotations = merged(secret.Annotations, append(annotations, ownAnnotations...), w.annotations)
	secret.OwnerReferences = append(slices.DeleteFunc(slices.Clone(secret.OwnerReferences), ownership.IsKey), w.owners...)
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

// ownAnnotations are the annotations that a write removes before it adds the wanted ones.
var ownAnnotations = []string{
	v1alpha1.AnnotationJTI, v1alpha1.AnnotationRevision, v1alpha1.AnnotationExpiresAt, v1alpha1.AnnotationOwner, v1alpha1.AnnotationMadeFor,
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

// secretTokens are the tokens for a Secret.
type secretTokens struct {
	refresh tokenText
	access  accessToken
}

// accessToken is an access token, with its annotations for the Secret.
type accessToken struct {
	text      tokenText
	expiresAt string
	keyID     string
}

// tokenText is the text of a token. Logs and errors show a placeholder.
type tokenText string

func (tokenText) String() string   { return "[token]" }
func (tokenText) GoString() string { return "[token]" }
