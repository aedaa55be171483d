package controllers

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/secrets"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// issuerObservation is the observed state that the decision about an issuer depends on.
type issuerObservation struct {
	issuer *v1alpha1.JWTIssuer
	// conflict is why requests to the issuer and to another one cannot be distinguished; nil without a conflict.
	conflict *endpoint.Conflict
	// trust is the fault of the bundle that clients trust; nil if it is not known.
	trust *trustFinding
	// secret holds the signing keys; nil if it does not exist.
	secret *corev1.Secret
	// mislabelled is true if the Secret lacks a label by which the caches select.
	mislabelled bool
	// foreign is true if the Secret of this name is not one with signing keys of the issuer.
	foreign bool
	// rings are nil if the Secret does not exist or cannot be decoded.
	rings *keyring.Rings
	// damage is why the Secret cannot be decoded.
	damage error
	// lastUse returns when the last refresh token that a kid may have signed is refused, clock skew
	// included; zero if there is none.
	lastUse func(kid string) time.Time
	// signedUntil is, by kid, the latest end of a recorded current token; ownUntil counts only refresh keys that name
	// this issuer.
	signedUntil, ownUntil map[string]time.Time
}

func (r *IssuerReconciler) observe(ctx context.Context, name string, live bool) (*issuerObservation, error) {
	issuer := &v1alpha1.JWTIssuer{}
	reader := client.Reader(r.Client)
	if live {
		reader = r.Live
	}
	if err := reader.Get(ctx, types.NamespacedName{Name: name}, issuer); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if issuer.DeletionTimestamp != nil {
		return nil, nil
	}
	o := &issuerObservation{issuer: issuer, trust: r.trust(ctx)}
	if err := r.observeConflict(ctx, o); err != nil {
		return nil, err
	}
	if err := r.observeKeys(ctx, o); err != nil {
		return nil, err
	}
	return o, r.observeUse(ctx, o)
}

// observeConflict looks for an older issuer with the same host and path.
func (r *IssuerReconciler) observeConflict(ctx context.Context, o *issuerObservation) error {
	var all v1alpha1.JWTIssuerList
	if err := r.Client.List(ctx, &all); err != nil {
		return err
	}
	issuers := make([]*v1alpha1.JWTIssuer, len(all.Items))
	for i := range all.Items {
		issuers[i] = &all.Items[i]
	}
	if conflict, found := endpoint.Conflicts(issuers)[o.issuer.Name]; found {
		o.conflict = &conflict
	}
	return nil
}

// observeKeys reads the Secret with the signing keys from the API server: signing keys seldom change, and a decision
// on an outdated copy could lose some.
func (r *IssuerReconciler) observeKeys(ctx context.Context, o *issuerObservation) error {
	secret := &corev1.Secret{}
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: r.Namespace, Name: signingKeysName(o.issuer.Name)}, secret)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	if err != nil {
		return nil //nolint:nilerr // the Secret does not exist yet
	}
	o.secret = secret
	if secret.Type != corev1.SecretTypeOpaque || secret.Labels[v1alpha1.LabelSigningKeysOf] != o.issuer.Name {
		o.foreign = true
		return nil
	}
	o.mislabelled = !secrets.Selected(secret) && !r.altered.IsKept(client.ObjectKeyFromObject(o.issuer), secret, labelOnly)
	o.rings, o.damage = keyring.Decode(secret.Data)
	return nil
}

// observeUse computes until when signing keys may be needed, from the tokens in the status of every refresh key.
// Superseded tokens do not name the key that signed them; their creation time identifies it.
func (r *IssuerReconciler) observeUse(ctx context.Context, o *issuerObservation) error {
	var keys v1alpha1.JWTRefreshKeyList
	if err := r.Client.List(ctx, &keys, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	o.use(keys.Items)
	return nil
}

func (o *issuerObservation) use(keys []v1alpha1.JWTRefreshKey) {
	var all []v1alpha1.SupersededToken
	o.signedUntil, o.ownUntil = map[string]time.Time{}, map[string]time.Time{}
	for i := range keys {
		key := &keys[i]
		if key.Status.RevokedAt != nil {
			continue
		}
		all = append(all, key.Status.Previous...)
		end, kid := key.Status.ExpiresAt, key.Status.KeyID
		if end == nil {
			continue
		}
		o.signedUntil[kid] = later(o.signedUntil[kid], end.Time)
		if key.Status.Issuer == o.issuer.Name && lifecycle.IssuerName(key) == o.issuer.Name {
			o.ownUntil[kid] = later(o.ownUntil[kid], end.Time)
		}
	}
	o.lastUse = func(kid string) time.Time {
		end := o.signedUntil[kid]
		from, until := o.signingPeriod(kid)
		for _, superseded := range all {
			if !superseded.CreatedAt.Time.Before(from) && !superseded.CreatedAt.After(until) {
				end = later(end, superseded.ExpiresAt.Time)
			}
		}
		if end.IsZero() {
			return end
		}
		return end.Add(token.Skew)
	}
}

// handOver is how long after the next signing key became active another replica may still sign with the previous one.
const handOver = 5 * time.Minute

// signingPeriod returns the time in which a key of the refresh ring may have signed: from its activation to that of
// the next key. A key without a recorded activation may have signed at any time.
func (o *issuerObservation) signingPeriod(kid string) (from, until time.Time) {
	until = time.Unix(1<<40, 0)
	for _, key := range o.issuer.Status.Keys {
		if key.KID == kid && key.ActiveAt != nil {
			from = key.ActiveAt.Add(-handOver)
		}
	}
	if from.IsZero() {
		return from, until
	}
	for _, key := range o.issuer.Status.Keys {
		if key.Use != v1alpha1.KeyUse(keyring.Refresh) || key.KID == kid || key.ActiveAt == nil {
			continue
		}
		if next := key.ActiveAt.Add(handOver); next.After(from.Add(2*handOver)) && next.Before(until) {
			until = next
		}
	}
	return from, until
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
