package registry

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

func slimMeta[T client.Object](object T) { object.SetManagedFields(nil) }

func slimIssuer(issuer *v1alpha1.JWTIssuer) {
	issuer.ManagedFields, issuer.Annotations, issuer.Status = nil, nil, v1alpha1.JWTIssuerStatus{}
}

// neverRotates is shared by all refresh keys that do not rotate, to save memory.
var neverRotates = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationNever}

// Slim removes what an exchange does not need, to save memory with tens of thousands of refresh keys. The
// content of the current token is needed only if there are superseded tokens. The whole status is needed only for
// one-time keys, since an exchange writes it, and for sessions, since their subject lists them.
func Slim(key *v1alpha1.JWTRefreshKey) {
	key.TypeMeta = metav1.TypeMeta{}
	key.ObjectMeta = metav1.ObjectMeta{
		Namespace: key.Namespace, Name: key.Name, UID: key.UID, ResourceVersion: key.ResourceVersion, DeletionTimestamp: key.DeletionTimestamp,
	}
	if lifecycle.OneTime(key) || key.Status.Session != nil {
		return
	}
	rotation := key.Spec.Rotation
	key.Spec = v1alpha1.JWTRefreshKeySpec{
		ExpiresAt: key.Spec.ExpiresAt, AccessToken: key.Spec.AccessToken, IdleTimeout: key.Spec.IdleTimeout,
		Revoked: key.Spec.Revoked, Binding: key.Spec.Binding,
	}
	if rotation != nil && rotation.Mode == v1alpha1.RotationNever {
		key.Spec.Rotation = neverRotates
	}
	status := v1alpha1.JWTRefreshKeyStatus{
		TokenLine: key.Status.TokenLine, FirstRevision: key.Status.FirstRevision,
		LastUsed: key.Status.LastUsed, LastUsedRevision: key.Status.LastUsedRevision, SupersededLastUsed: key.Status.SupersededLastUsed,
		RevokedAt: key.Status.RevokedAt, RevocationReason: key.Status.RevocationReason,
	}
	if len(status.Previous) == 0 {
		status.Content, status.TokenHash, status.KeyID, status.CreatedAt = nil, "", "", nil
	}
	key.Status = status
}
