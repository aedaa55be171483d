package issuer

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/secrets"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/issuerlifecycle"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// observation is the observed state for issuerlifecycle.Decide, with the Secret that applying its plan changes.
type observation struct {
	issuerlifecycle.Observed
	// secret holds the signing keys; nil if it does not exist.
	secret *corev1.Secret
}

func (r *Reconciler) observe(ctx context.Context, name string, live bool) (*observation, error) {
	issuer := &v1alpha1.JWTIssuer{}
	reader := client.Reader(r.client)
	if live {
		reader = r.live
	}
	if err := reader.Get(ctx, types.NamespacedName{Name: name}, issuer); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if issuer.DeletionTimestamp != nil {
		return nil, nil
	}
	o := &observation{Observed: issuerlifecycle.Observed{Issuer: issuer, Trust: r.Trust(ctx)}}
	if err := r.observeConflict(ctx, o); err != nil {
		return nil, err
	}
	if err := r.observeKeys(ctx, o); err != nil {
		return nil, err
	}
	return o, r.observeUse(ctx, o)
}

// observeConflict looks for an older issuer with the same host and path.
func (r *Reconciler) observeConflict(ctx context.Context, o *observation) error {
	var all v1alpha1.JWTIssuerList
	if err := r.client.List(ctx, &all); err != nil {
		return err
	}
	issuers := make([]*v1alpha1.JWTIssuer, len(all.Items))
	for i := range all.Items {
		issuers[i] = &all.Items[i]
	}
	if conflict, found := endpoint.Conflicts(issuers)[o.Issuer.Name]; found {
		o.Conflict = &conflict
	}
	return nil
}

// observeKeys reads the Secret with the signing keys from the API server: signing keys seldom change, and a decision
// on an outdated copy could lose some.
func (r *Reconciler) observeKeys(ctx context.Context, o *observation) error {
	secret := &corev1.Secret{}
	err := r.live.Get(ctx, types.NamespacedName{Namespace: r.Namespace, Name: issuerlifecycle.SecretName(o.Issuer.Name)}, secret)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	if err != nil {
		return nil //nolint:nilerr // the Secret does not exist yet
	}
	o.secret, o.SecretFound = secret, true
	if secret.Type != corev1.SecretTypeOpaque || secret.Labels[v1alpha1.LabelSigningKeysOf] != o.Issuer.Name {
		o.Foreign = true
		return nil
	}
	o.Mislabelled = !secrets.Selected(secret) && !r.altered.IsKept(client.ObjectKeyFromObject(o.Issuer), secret, labelOnly)
	o.Rings, o.Damage = keyring.Decode(secret.Data)
	return nil
}

// observeUse computes until when signing keys may be needed, from the tokens in the status of every refresh key.
// Superseded tokens do not name the key that signed them; their creation time identifies it.
func (r *Reconciler) observeUse(ctx context.Context, o *observation) error {
	var keys v1alpha1.JWTRefreshKeyList
	if err := r.client.List(ctx, &keys, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	o.Use = issuerlifecycle.UseOf(o.Issuer, keys.Items)
	return nil
}
