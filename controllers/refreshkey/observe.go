package refreshkey

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/secrets"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/line"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// observation is the observed state for lifecycle.Decide, with the further data that applying its plan needs.
type observation struct {
	lifecycle.Observed
	key    *v1alpha1.JWTRefreshKey
	issuer *issuerView
	// seen is the key as it was observed. The ownership of a Secret depends on the status at that time.
	seen *v1alpha1.JWTRefreshKey
	// reader is the reader for the key and its Secret: the caches or the API server.
	reader client.Reader
	// trusted is the CA bundle that clients of the token service trust.
	trusted []byte
	// untrusted is why the CA bundle is unknown. Then no token is written to a Secret, and one is minted for it only to
	// end earlier tokens; tokens end as usual.
	untrusted error
	// heldKey is the signing key of the current token; nil if it is no longer in the ring.
	heldKey *keyring.Key
	// unseen is true if the Secret lacks the label by which the cache selects, so that there are no events for it.
	unseen bool
	// wroteUnseen is true if such a Secret was written or deleted, so that no event wakes the key.
	wroteUnseen bool
}

// observe reads the state that a decision needs from the caches. If live is true, it reads the key and its Secret,
// which other clients write too, from the API server. It returns nil if the key does not exist.
func (r *Reconciler) observe(ctx context.Context, name types.NamespacedName, live bool) (*observation, error) {
	reader := client.Reader(r.client)
	if live {
		reader = r.live
	}
	key := &v1alpha1.JWTRefreshKey{}
	if err := reader.Get(ctx, name, key); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	o := &observation{key: key, seen: key, reader: reader}
	o.trusted, o.untrusted = r.Trusted(ctx)
	o.Key, o.WatchedSince, o.RestartsEnabled = key, r.began, r.Restarts
	for _, step := range []func(context.Context, *observation) error{
		r.observeNamespace, r.observeIssuer, r.observeLine, r.observeSecret, r.observeOthers,
	} {
		if err := step(ctx, o); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (r *Reconciler) observeNamespace(ctx context.Context, o *observation) error {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	name := types.NamespacedName{Name: o.key.Namespace}
	err := r.client.Get(ctx, name, namespace)
	if apierrors.IsNotFound(err) {
		// A key in a new namespace can be in its cache before the namespace is.
		err = r.live.Get(ctx, name, namespace)
	}
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	o.Namespace = lifecycle.Namespace{Labels: namespace.Labels, Terminating: terminating(namespace)}
	return nil
}

func (r *Reconciler) observeIssuer(ctx context.Context, o *observation) (err error) {
	o.issuer, err = r.issuers.view(ctx, lifecycle.IssuerName(o.key))
	if err != nil {
		return err
	}
	o.Issuer = o.issuer.issuer
	return nil
}

// observeLine reads the content of the current token and finds its signing key.
func (r *Reconciler) observeLine(ctx context.Context, o *observation) error {
	status := &o.key.Status
	if status.Revision == 0 {
		return nil
	}
	claims, err := line.Recorded(o.key)
	if err != nil {
		o.Distrust = err.Error()
		return nil //nolint:nilerr // the distrust is part of the observed state
	}
	o.Held = line.Held(claims)
	if !o.Issuer.Found || !o.Issuer.Ready {
		return nil
	}
	if claims.Issuer != o.Issuer.URL {
		// A signing key of an earlier issuer is not in this ring, and does not count as withdrawn.
		o.Issuer.KnowsHeldKey = true
		o.heldKey, o.Held.KeyGone, err = r.issuers.formerKey(ctx, claims.Issuer, status.KeyID, r.Clock.Now())
		return err
	}
	key, lost, err := r.signingKey(ctx, o.issuer, status.KeyID)
	if lost {
		o.Issuer.Ready, o.Issuer.Message = false, "its Secret does not hold the key that signed the current token, and that key was not withdrawn."
	}
	o.heldKey, o.Issuer.KnowsHeldKey = key, key != nil
	return err
}

// signingKey returns the key of a kid in the refresh ring, nil if there is none. It reads a missing one from the API
// server, since an outdated cache must not cause a rotation. lost is true if the ring is damaged, which must not cause
// one either.
func (r *Reconciler) signingKey(ctx context.Context, view *issuerView, kid string) (key *keyring.Key, lost bool, err error) {
	if key, found := view.rings.Lookup(keyring.Refresh, kid); found {
		return key, false, nil
	}
	fresh, err := r.issuers.viewConfirmed(ctx, view)
	if err != nil {
		return nil, false, err
	}
	key, found := fresh.rings.Lookup(keyring.Refresh, kid)
	return key, !found && fresh.lost(kid, r.Clock.Now()), nil
}

// observeSecret reads the Secret for the token. A Secret that is not in the cache can exist without the operator's
// label, so observeSecret then reads from the API server. For a new key it does not, since the create fails if the
// Secret exists.
func (r *Reconciler) observeSecret(ctx context.Context, o *observation) error {
	o.Secret.Name = lifecycle.SecretName(o.key)
	if o.Secret.Name == "" {
		r.own.SawSecret(client.ObjectKeyFromObject(o.key), nil)
		return nil
	}
	issued := o.key.Status.Revision > 0
	secret, err := r.readSecret(ctx, o.reader, o.key.Namespace, o.Secret.Name)
	if err == nil && secret == nil && (issued || len(o.key.Status.Conditions) > 0) {
		secret, err = r.readSecret(ctx, r.live, o.key.Namespace, o.Secret.Name)
	}
	if err != nil {
		return err
	}
	if secret == nil {
		o.Secret.State = lifecycle.SecretMissing
	} else if err := r.describeSecret(ctx, o, secret); err != nil {
		return err
	}
	if o.reader == r.live {
		r.own.SawSecret(client.ObjectKeyFromObject(o.key), secret)
	}
	switch {
	case issued && (o.Secret.State == lifecycle.SecretOwn || o.Secret.State == lifecycle.SecretMissing):
		return o.checkReproducible()
	case !issued && o.Secret.State == lifecycle.SecretOwn:
		return r.observeAdoptable(ctx, o)
	default:
		return nil
	}
}

// readSecret returns a digested Secret, and nil if it does not exist.
func (r *Reconciler) readSecret(ctx context.Context, reader client.Reader, namespace, name string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	if err := reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, secret); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if secret.Data != nil {
		// The object may belong to the cache.
		secret = secret.DeepCopy()
		secrets.Digest(secret)
	}
	return secret, nil
}

func (r *Reconciler) describeSecret(ctx context.Context, o *observation, secret *corev1.Secret) error {
	if err := r.observeOwner(ctx, o, secret); err != nil {
		return err
	}
	wanted := wantedFor(o.key, &o.key.Status.TokenLine, &o.issuer.endpoints, o.trusted)
	wanted.keepForm(secret)
	s := &o.Secret
	o.unseen = !secrets.Selected(secret)
	s.Immutable = secret.Immutable != nil && *secret.Immutable
	s.CreatedAt = secret.CreationTimestamp.Time
	s.TokenHash = secrets.TokenHashOf(secret)
	annotations := secret.Annotations
	s.DataAsWanted = s.Immutable && wanted.fitsData(secret)
	s.AsWanted, s.OwnerDiffers = wanted.fits(secret), !wanted.ownedRight(secret)
	s.LacksEntries = !s.AsWanted && wanted.lacksEntriesOnly(secret)
	if !s.AsWanted {
		// The operator does not repeat changes that admission reverts. Annotations that admission removes are known from the write.
		if written, kept := r.altered.Kept(client.ObjectKeyFromObject(o.key), secret, wanted.fingerprint); kept {
			annotations, s.AsWanted, s.LacksEntries, s.OwnerDiffers = written.Annotations, true, false, false
		}
	}
	accessDigest := secrets.DigestOf(secret, v1alpha1.SecretAccessToken)
	s.HoldsAccess = accessDigest != ""
	if s.HoldsAccess && accessDigest == annotations[v1alpha1.AnnotationAccessTokenHash] {
		if end, err := time.Parse(time.RFC3339, annotations[v1alpha1.AnnotationAccessTokenExpiresAt]); err == nil {
			s.AccessExpiresAt = end
		}
		s.AccessRevision = secrets.AccessRevisionOf(secret)
		_, known := o.issuer.rings.Lookup(keyring.Access, annotations[v1alpha1.AnnotationAccessTokenKeyID])
		s.AccessWithdrawn = !known
	}
	return nil
}

// checkReproducible checks that status reproduces the current token if the Secret does not hold it. The operator did
// not write a content that does not.
func (o *observation) checkReproducible() error {
	if o.Held == nil || o.heldKey == nil || o.Secret.TokenHash == o.key.Status.TokenHash {
		return nil
	}
	_, err := o.remake()
	if errors.Is(err, token.ErrNotReproducible) {
		o.Held, o.Distrust = nil, "status.content does not produce the token of status.tokenHash"
		return nil
	}
	return err
}

// remake signs the current token again from status.
func (o *observation) remake() (tokenText, error) {
	if o.heldKey == nil {
		return "", errors.New("the key that signed the current token is not available")
	}
	compact, err := line.Remake(o.key, o.heldKey)
	return tokenText(compact), err
}

// observeAdoptable looks for a first token that was written to the Secret and not recorded, since the manager stopped
// in between. The token must verify, name this key and have revision 1.
func (r *Reconciler) observeAdoptable(ctx context.Context, o *observation) error {
	if o.Secret.TokenHash == "" || !o.Issuer.Ready {
		return nil
	}
	secret := &corev1.Secret{}
	if err := r.live.Get(ctx, types.NamespacedName{Namespace: o.key.Namespace, Name: o.Secret.Name}, secret); err != nil {
		return client.IgnoreNotFound(err)
	}
	compact := string(secret.Data[v1alpha1.SecretToken])
	claims, err := r.parseOwn(ctx, o, compact)
	if err != nil || !line.Names(claims, o.key) || claims.Object.Revision != 1 {
		// Not adoptable: the operator mints a new first token.
		return nil //nolint:nilerr // the reason why a token is not adoptable does not matter
	}
	payload, err := claims.Payload()
	if err != nil {
		return err
	}
	found := line.Record(claims, payload, compact)
	o.Secret.Adoptable = &found
	return nil
}

// parseOwn verifies a token with the issuer's refresh ring, which it reads again for an unknown signing key.
func (r *Reconciler) parseOwn(ctx context.Context, o *observation, compact string) (*token.Claims, error) {
	now := r.Clock.Now()
	claims, err := token.Parse(compact, token.Refresh, o.issuer.rings, o.Issuer.URL, now)
	if !errors.Is(err, token.ErrUnknownKey) {
		return claims, err
	}
	fresh, err := r.issuers.viewLive(ctx, o.Issuer.Name)
	if err != nil {
		return nil, err
	}
	return token.Parse(compact, token.Refresh, fresh.rings, o.Issuer.URL, now)
}

// observeOthers finds this key's Secrets under earlier names.
func (r *Reconciler) observeOthers(ctx context.Context, o *observation) error {
	for _, entry := range [...]string{o.key.Name, unmarked} {
		var owned corev1.SecretList
		err := r.client.List(ctx, &owned, client.InNamespace(o.key.Namespace), client.MatchingFields{ownerIndex: entry}, client.UnsafeDisableDeepCopy)
		if err != nil {
			return err
		}
		for i := range owned.Items {
			secret := &owned.Items[i]
			if secret.Name != o.Secret.Name && isOtherOf(secret, o.key) {
				o.Others = append(o.Others, lifecycle.OtherSecret{Name: secret.Name, TokenHash: secrets.TokenHashOf(secret)})
			}
		}
	}
	return nil
}
