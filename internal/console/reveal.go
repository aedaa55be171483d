package console

import (
	"context"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/ownership"
)

// reveal answers POST api/keys/{ns}/{name}/reveal: the token in the key's Secret, read with the person's credential. The answer is
// never stored, by Cache-Control of all routes.
func (s *Server) reveal(ctx context.Context, p *person, r *http.Request) (any, error) {
	if !s.Reveal || p.means == wire.Impersonation {
		return nil, fail(http.StatusForbidden, metav1.StatusReasonForbidden,
			"this console reveals no tokens: kubectl get secret %s --namespace %s --output yaml shows the Secret", r.PathValue("name"), r.PathValue("ns"))
	}
	uid, err := preconditionOf(r)
	if err != nil {
		return nil, err
	}
	key, err := p.key(ctx, r)
	if err != nil {
		return nil, err
	}
	if key.UID != uid {
		return nil, errAnother(key.Name)
	}
	name := key.Status.SecretName
	if name == "" {
		return nil, fail(http.StatusNotFound, metav1.StatusReasonNotFound, "the key has no Secret")
	}
	secret := &corev1.Secret{}
	if err := p.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: name}, secret); err != nil {
		return nil, explain(err, right{"get", secretResource, key.Namespace, name})
	}
	return revealed(key, secret)
}

// revealed returns the token of a key in its Secret.
func revealed(key *v1alpha1.JWTRefreshKey, secret *corev1.Secret) (wire.Revealed, error) {
	if !ownership.MadeFor(secret, key) {
		return wire.Revealed{}, fail(http.StatusConflict, metav1.StatusReasonConflict,
			"Secret %s does not belong to this key: the operator did not make it for the key, so nothing of it is shown", secret.Name)
	}
	token := secret.Data[v1alpha1.SecretToken]
	if len(token) == 0 {
		return wire.Revealed{}, fail(http.StatusNotFound, metav1.StatusReasonNotFound,
			"Secret %s holds no token: the key is revoked or has expired, or its one-time token was used", secret.Name)
	}
	return wire.Revealed{
		Token: string(token), TokenEndpoint: string(secret.Data[v1alpha1.SecretTokenEndpoint]), CA: string(secret.Data[v1alpha1.SecretCA]),
		OneTime: lifecycle.OneTime(key),
	}, nil
}
