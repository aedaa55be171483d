// Package ownership decides whether a Secret belongs to a refresh key, by one table over all
// marks of the Secret and the record in the key's status.
package ownership

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// keyKind is the kind that the ownerReference of a Secret names.
const keyKind = "JWTRefreshKey"

// Mark names the refresh key of a Secret, from the Secret's annotation.
type Mark struct {
	Namespace, Name, UID string
	// Retained: the annotation is the one of deletionPolicy Retain.
	Retained bool
}

// MarkFor returns the value of the annotations owner and made-for on a Secret of the refresh key. No part of it
// can contain a slash.
func MarkFor(key *v1alpha1.JWTRefreshKey) string {
	return key.Namespace + "/" + key.Name + "/" + string(key.UID)
}

// OldMark returns a mark in the old form of the annotation owner: only the name of the refresh key.
func OldMark(mark string) string {
	_, rest, _ := strings.Cut(mark, "/")
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// MarkOf returns the mark of a Secret. The old form of the annotation owner is only the name of the refresh
// key: a refresh key in the Secret's namespace with any UID.
func MarkOf(secret metav1.Object) (Mark, bool) {
	annotations := secret.GetAnnotations()
	value, retained := annotations[v1alpha1.AnnotationOwner], true
	if value == "" {
		value, retained = annotations[v1alpha1.AnnotationMadeFor], false
	}
	if value == "" {
		return Mark{}, false
	}
	if retained && !strings.Contains(value, "/") {
		return Mark{Namespace: secret.GetNamespace(), Name: value, Retained: true}, true
	}
	namespace, rest, _ := strings.Cut(value, "/")
	name, uid, _ := strings.Cut(rest, "/")
	return Mark{Namespace: namespace, Name: name, UID: uid, Retained: retained}, true
}

// KeyOf returns the name of the refresh key, in the Secret's namespace, that the Secret's marks name; empty if
// they name none. It is a hint for which refresh key to reconcile; State of Facts decides.
func KeyOf(secret metav1.Object) string {
	if owner := metav1.GetControllerOfNoCopy(secret); owner != nil {
		if IsKey(*owner) {
			return owner.Name
		}
		return ""
	}
	if mark, marked := MarkOf(secret); marked && mark.Namespace == secret.GetNamespace() {
		return mark.Name
	}
	return ""
}

// Kept is the reason why a Secret stays when its refresh key is deleted.
type Kept int

// The reasons why a Secret stays when its refresh key is deleted.
const (
	// Collected: it does not stay; the garbage collector deletes it with its owner.
	Collected Kept = iota
	// Retained: deletionPolicy is Retain.
	Retained
	// Stranded: it has lost its ownerReference.
	Stranded
)

// OfKey reports whether the operator created a Secret for any refresh key, and whether the Secret is deleted
// with it. It reads only metadata, for an uninstall, when no refresh key exists.
func OfKey(secret metav1.Object) (Kept, bool) {
	annotations := secret.GetAnnotations()
	owner := metav1.GetControllerOfNoCopy(secret)
	switch {
	case owner != nil:
		return Collected, IsKey(*owner)
	case secret.GetLabels()[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy:
		return Collected, false
	case annotations[v1alpha1.AnnotationOwner] != "":
		return Retained, true
	default:
		return Stranded, annotations[v1alpha1.AnnotationMadeFor] != "" || annotations[v1alpha1.AnnotationJTI] != ""
	}
}

// IsKey reports whether an ownerReference names a refresh key.
func IsKey(reference metav1.OwnerReference) bool {
	group, _, _ := strings.Cut(reference.APIVersion, "/")
	return reference.Kind == keyKind && group == v1alpha1.Group
}

// MadeFor reports whether the operator made a Secret for this refresh key: by its label, and its controller or its mark, which have
// the UID. It is stricter than State of Facts, and needs no token.
func MadeFor(secret metav1.Object, key *v1alpha1.JWTRefreshKey) bool {
	if secret.GetLabels()[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy || secret.GetNamespace() != key.Namespace {
		return false
	}
	if owner := metav1.GetControllerOfNoCopy(secret); owner != nil {
		return IsKey(*owner) && owner.UID == key.UID
	}
	mark, marked := MarkOf(secret)
	return marked && mark.Namespace == key.Namespace && mark.Name == key.Name && mark.UID == string(key.UID)
}
