package refreshkey

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/secrets"
	"github.com/refreshkeys/refreshkeys/controllers/writes"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/line"
	"github.com/refreshkeys/refreshkeys/internal/ownership"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// stateOf returns the ownership of a Secret, digested or not.
func stateOf(secret *corev1.Secret, key *v1alpha1.JWTRefreshKey) lifecycle.SecretState {
	state, _ := factsOf(secret, key).State()
	return state
}

// factsOf returns the facts that the ownership of a Secret depends on.
func factsOf(secret *corev1.Secret, key *v1alpha1.JWTRefreshKey) *ownership.Facts {
	f := &ownership.Facts{
		Opaque:       secret.Type == corev1.SecretTypeOpaque,
		Controller:   controllerOf(secret, key),
		Labelled:     secret.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy,
		MadeAs:       madeAs(secret),
		HasJTI:       secret.Annotations[v1alpha1.AnnotationJTI] != "",
		Holds:        holdsOf(secret, key),
		NameOnRecord: secret.Name == key.Status.SecretName,
	}
	f.Claim, f.Retained = claimOf(secret, key)
	if f.Controller == ownership.NoController && key.Status.Revision > 0 {
		// A status that was restored from an earlier key of the name does not describe this key.
		_, err := line.Recorded(key)
		f.HasLine = err == nil
		f.TokenOnRecord = f.HasLine && onRecord(secret, key)
	}
	return f
}

func controllerOf(secret *corev1.Secret, key *v1alpha1.JWTRefreshKey) ownership.Controller {
	owner := metav1.GetControllerOfNoCopy(secret)
	switch {
	case owner == nil:
		return ownership.NoController
	case !ownership.IsKey(*owner) || owner.Name != key.Name:
		return ownership.AnotherController
	case owner.UID != key.UID:
		return ownership.EarlierKey
	default:
		return ownership.ThisKey
	}
}

func claimOf(secret *corev1.Secret, key *v1alpha1.JWTRefreshKey) (claim ownership.Claim, retained bool) {
	mark, marked := ownership.MarkOf(secret)
	switch {
	case !marked:
		return ownership.NoClaim, false
	case mark.Namespace != key.Namespace || mark.Name != key.Name:
		return ownership.NamesAnother, mark.Retained
	case mark.UID == "" && mark.Retained:
		return ownership.NamesKey, true
	case mark.UID == string(key.UID):
		return ownership.NamesThis, mark.Retained
	default:
		return ownership.NamesEarlier, mark.Retained
	}
}

func madeAs(secret *corev1.Secret) ownership.MadeAs {
	switch name, found := secret.Annotations[v1alpha1.AnnotationSecretName]; {
	case !found:
		return ownership.NameUnsaid
	case name == secret.Name:
		return ownership.MadeHere
	default:
		return ownership.MadeElsewhere
	}
}

// holdsOf returns which key the token in a Secret names. The result is only evidence against ownership, so holdsOf does
// not verify the signature.
func holdsOf(secret *corev1.Secret, key *v1alpha1.JWTRefreshKey) ownership.Holds {
	held := secret.Data[v1alpha1.SecretToken]
	if len(held) == 0 {
		if secrets.TokenHashOf(secret) != "" {
			return ownership.HoldsUnread
		}
		return ownership.HoldsNone
	}
	object, named := token.Named(string(held))
	switch {
	case !named:
		return ownership.HoldsNone
	case object.Name != key.Name:
		return ownership.HoldsAnothers
	case object.Namespace != key.Namespace:
		return ownership.HoldsNamesakes
	default:
		return ownership.HoldsOwn
	}
}

// onRecord reports whether status records the token in a Secret, or the jti of the Secret.
func onRecord(secret *corev1.Secret, key *v1alpha1.JWTRefreshKey) bool {
	line := &key.Status.TokenLine
	jti, hash := secret.Annotations[v1alpha1.AnnotationJTI], secrets.HeldHash(secret)
	is := func(ofJTI, ofHash string) bool { return (jti != "" && jti == ofJTI) || (hash != "" && hash == ofHash) }
	return is(line.JTI, line.TokenHash) || slices.ContainsFunc(line.Previous, func(t v1alpha1.SupersededToken) bool { return is(t.JTI, t.TokenHash) })
}

func retains(key *v1alpha1.JWTRefreshKey) bool {
	return key.Spec.Secret != nil && key.Spec.Secret.DeletionPolicy == v1alpha1.DeletionRetain
}

// isOtherOf reports whether the operator created a Secret for the key under an earlier name. A copy of a Secret has the
// name of the original in its annotation.
func isOtherOf(secret *corev1.Secret, key *v1alpha1.JWTRefreshKey) bool {
	return stateOf(secret, key) == lifecycle.SecretOwn && madeAs(secret) == ownership.MadeHere
}

// observeOwner sets the ownership of the Secret. If it depends on the token in the Secret, observeOwner reads the Secret
// from the API server, since the cache holds only digests.
func (r *Reconciler) observeOwner(ctx context.Context, o *observation, secret *corev1.Secret) error {
	facts := factsOf(secret, o.key)
	if facts.AsksToken() {
		whole := &corev1.Secret{}
		err := r.live.Get(ctx, types.NamespacedName{Namespace: secret.Namespace, Name: secret.Name}, whole)
		switch {
		case apierrors.IsNotFound(err):
			return writes.ErrOutdated
		case err != nil:
			return err
		}
		facts = factsOf(whole, o.key)
	}
	o.Secret.State, _ = facts.State()
	return nil
}

// ownerIndex indexes the operator's Secrets by the key that their marks name. The few Secrets without a mark share the
// entry unmarked.
const ownerIndex = "owner"

// unmarked is the index entry of Secrets that name no key. The colon is not valid in the name of a key.
const unmarked = "unmarked:"

func ownerEntries(object client.Object) []string {
	secret, ok := object.(*corev1.Secret)
	if !ok {
		return nil
	}
	if owners := ownerOf(secret); len(owners) > 0 {
		return owners
	}
	if secret.Annotations[v1alpha1.AnnotationJTI] != "" && metav1.GetControllerOfNoCopy(secret) == nil {
		return []string{unmarked}
	}
	return nil
}

// ownerOf returns the key that the marks of a Secret name, in a slice of at most one.
func ownerOf(object client.Object) []string {
	if secret, ok := object.(*corev1.Secret); ok {
		if key := ownership.KeyOf(secret); key != "" {
			return []string{key}
		}
	}
	return nil
}
