package issuer

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/announce"
	"github.com/refreshkeys/refreshkeys/controllers/secrets"
	"github.com/refreshkeys/refreshkeys/controllers/writes"
	"github.com/refreshkeys/refreshkeys/internal/issuerlifecycle"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// apply writes the signing keys before the status: the Secret always holds the signing keys that status shows.
func (r *Reconciler) apply(ctx context.Context, o *observation, plan *issuerlifecycle.Plan) error {
	if plan.Rings != nil {
		began := r.failures.Now()
		if err := r.writeKeys(ctx, o, plan.Rings); err != nil {
			return r.reportFailure(ctx, o, began, err)
		}
	}
	return r.writeStatus(ctx, o, plan)
}

// reportFailure reports a failed write of the Secret in the status, once for all following tries; the returned error
// causes the next try.
func (r *Reconciler) reportFailure(ctx context.Context, o *observation, began time.Time, err error) error {
	failed, ok := writes.FailureIn(ctx, err)
	if !ok {
		return err
	}
	name := client.ObjectKeyFromObject(o.Issuer)
	reported := r.failures.Report(name, began, failed.Failure)
	if reported == nil {
		return err
	}
	report := issuerlifecycle.Failed(&o.Observed, *reported)
	return errors.Join(err, r.failures.StatusWritten(name, r.writeStatus(ctx, o, report)))
}

// writeKeys creates the Secret, or updates it under the resourceVersion that was read. If two managers start at the
// same time, one creates the signing keys and the other reads them.
func (r *Reconciler) writeKeys(ctx context.Context, o *observation, rings *keyring.Rings) error {
	data, err := keyring.Encode(rings)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writes.SecretTimeout)
	defer cancel()
	name := issuerlifecycle.SecretName(o.Issuer.Name)
	if o.secret == nil {
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: name, Labels: signingKeysLabels(o.Issuer.Name)},
			Type:       corev1.SecretTypeOpaque,
			Data:       data,
		}
		err := r.client.Create(ctx, secret)
		r.stored(o, secret, err)
		return writes.AsSecretError(name, err, data)
	}
	secret := o.secret.DeepCopy()
	secret.Data = data
	for label, value := range signingKeysLabels(o.Issuer.Name) {
		metav1.SetMetaDataLabel(&secret.ObjectMeta, label, value)
	}
	err = r.client.Update(ctx, secret)
	r.stored(o, secret, err)
	return writes.AsSecretError(name, err, o.secret.Data, data)
}

// stored records that admission changes the label of a Secret with signing keys. The operator then does not change it back.
func (r *Reconciler) stored(o *observation, secret *corev1.Secret, err error) {
	name := client.ObjectKeyFromObject(o.Issuer)
	switch {
	case err != nil:
	case secrets.Selected(secret):
		r.altered.Forget(name)
	case r.altered.Note(name, secret, labelOnly(), writes.Content{}):
		announce.SecretAltered(secret.Name, "label "+v1alpha1.LabelManagedBy).Send(r.events, o.Issuer)
	}
}

// labelOnly is the fingerprint of the wanted metadata of a Secret with signing keys, which is always the same.
func labelOnly() [sha256.Size]byte { return [sha256.Size]byte{} }

func signingKeysLabels(issuer string) map[string]string {
	return map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelSigningKeysOf: issuer}
}

// writeStatus writes the status of an issuer, under the resourceVersion of the observation and only if it changed. No
// other function writes it.
func (r *Reconciler) writeStatus(ctx context.Context, o *observation, plan *issuerlifecycle.Plan) error {
	status := plan.Status(&o.Observed, r.Clock.Now())
	if equality.Semantic.DeepEqual(&o.Issuer.Status, status) {
		return nil
	}
	updated := o.Issuer.DeepCopy()
	updated.Status = *status
	if err := r.client.Status().Update(ctx, updated); err != nil {
		return err
	}
	r.own.WroteStatus(updated)
	r.announce(updated, &o.Issuer.Status)
	return nil
}
