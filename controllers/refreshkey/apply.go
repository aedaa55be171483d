package refreshkey

import (
	"context"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/announce"
	"github.com/refreshkeys/refreshkeys/controllers/secrets"
	"github.com/refreshkeys/refreshkeys/controllers/writes"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/line"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// apply carries out a plan. The order of the writes makes every crash harmless. A first token is written to the Secret
// and then recorded, so that Ready is never true without a Secret. Later tokens are recorded first and then written to
// the Secret, so that no client reads a token that is not accepted yet. If the line does not change, the status is
// written last, since it reports the state of the Secret. But Ready turns False before a token is removed, and turns
// True after one is written.
func (r *Reconciler) apply(ctx context.Context, o *observation, plan *lifecycle.Plan) error {
	switch {
	case plan.Ignore:
		return nil
	case plan.Discard:
		return r.discard(ctx, o.key)
	}
	made, text, err := r.mint(o, plan)
	if err != nil {
		return err
	}
	began := r.failures.Now()
	status := plan.Status(&o.Observed, made, r.Clock.Now())
	if plan.StatusFirst(&o.Observed) {
		if err := r.writeStatus(ctx, o, &status, plan); err != nil {
			return err
		}
	}
	if err := r.writeSecret(ctx, o, plan, &status.TokenLine, text); err != nil {
		return r.reportFailure(ctx, o, plan, began, err)
	}
	report := plan
	if written := plan.Written(); written != nil {
		report, status = written, written.Status(&o.Observed, nil, r.Clock.Now())
	}
	if plan.Line != lifecycle.KeepLine {
		if err := r.writeStatus(ctx, o, &status, report); err != nil {
			return err
		}
		if err := r.removeSecrets(ctx, o, plan.Remove); err != nil {
			return r.reportFailure(ctx, o, plan, began, err)
		}
		return nil
	}
	if err := r.removeSecrets(ctx, o, plan.Remove); err != nil {
		return r.reportFailure(ctx, o, plan, began, err)
	}
	return r.writeStatus(ctx, o, &status, report)
}

// discard deletes a key if it has not changed since the observation.
func (r *Reconciler) discard(ctx context.Context, key *v1alpha1.JWTRefreshKey) error {
	return client.IgnoreNotFound(r.client.Delete(ctx, key, client.Preconditions{UID: ptr.To(key.UID), ResourceVersion: ptr.To(key.ResourceVersion)}))
}

// mint returns the token that the plan mints or adopts, with the text of a minted one; nil if the plan does neither.
func (r *Reconciler) mint(o *observation, plan *lifecycle.Plan) (*lifecycle.Token, tokenText, error) {
	if plan.Line == lifecycle.AdoptFound {
		return o.Secret.Adoptable, "", nil
	}
	if plan.Mint == nil {
		return nil, "", nil
	}
	signer, err := o.issuer.rings.Signer(keyring.Refresh)
	if err != nil {
		return nil, "", err
	}
	compact, made, err := line.Mint(o.key, plan.Mint, r.NewID(), signer)
	return &made, tokenText(compact), err
}

// mintAccess mints the access token for the Secret. It never outlives the refresh token.
func (r *Reconciler) mintAccess(o *observation, plan *lifecycle.Plan, current *v1alpha1.TokenLine) (accessToken, error) {
	signer, err := o.issuer.rings.Signer(keyring.Access)
	if err != nil {
		return accessToken{}, err
	}
	claims := line.Claims(o.key, plan.Terms())
	claims.Object.Revision = current.Revision
	text, end, err := line.MintAccess(*claims, r.NewID(), r.Clock.Now(), plan.AccessLifetime(), current.ExpiresAt.Time, signer)
	return accessToken{tokenText(text), end.Format(time.RFC3339), signer.ID}, err
}

// writeSecret carries out the step of the plan for the Secret. text is the current token if it was just minted;
// otherwise it is read from the Secret or signed again from status.
func (r *Reconciler) writeSecret(ctx context.Context, o *observation, plan *lifecycle.Plan, current *v1alpha1.TokenLine, text tokenText) error {
	if plan.Secret == lifecycle.KeepSecret {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, writes.SecretTimeout)
	defer cancel()
	switch plan.Secret {
	case lifecycle.EmptySecret, lifecycle.OwnSecret:
		if plan.Line == lifecycle.KeepLine {
			// No earlier write of this plan would have failed with a conflict on an outdated key.
			if err := r.confirmCurrent(ctx, o.key); err != nil {
				return err
			}
		}
		wanted := wantedFor(o.key, current, &o.issuer.endpoints, o.trusted)
		return r.updateSecret(ctx, o, &wanted, func(secret *corev1.Secret) error {
			if o.untrusted != nil {
				wanted.keepTrust(secret)
			}
			wanted.write(secret, secretTokens{})
			return r.altered.Refusal(client.ObjectKeyFromObject(o.key), secret, true)
		})
	case lifecycle.DeleteSecret:
		return r.deleteSecret(ctx, o, o.Secret.Name, func(secret *corev1.Secret) bool {
			return stateOf(secret, o.seen) == o.Secret.State && secrets.HeldHash(secret) == o.Secret.TokenHash
		})
	case lifecycle.WriteSecret:
		return r.fillSecret(ctx, o, plan, current, text)
	default:
		return nil
	}
}

// fillSecret writes the current token to the Secret.
func (r *Reconciler) fillSecret(ctx context.Context, o *observation, plan *lifecycle.Plan, current *v1alpha1.TokenLine, text tokenText) error {
	if o.untrusted != nil {
		return o.untrusted
	}
	wanted := wantedFor(o.key, current, &o.issuer.endpoints, o.trusted)
	if text == "" && o.Secret.TokenHash != current.TokenHash {
		remade, err := o.remake()
		if err != nil {
			return err
		}
		text = remade
	}
	tokens := secretTokens{refresh: text}
	if plan.Access == lifecycle.RenewAccess {
		access, err := r.mintAccess(o, plan, current)
		if err != nil {
			return err
		}
		tokens.access = access
	}
	if o.Secret.State == lifecycle.SecretMissing {
		if current.Revision > 0 && plan.Line != lifecycle.IssueFirst {
			if err := r.confirmCurrent(ctx, o.key); err != nil {
				return err
			}
		}
		return r.createSecret(ctx, o, &wanted, tokens)
	}
	return r.updateSecret(ctx, o, &wanted, func(secret *corev1.Secret) error {
		if err := r.altered.Refusal(client.ObjectKeyFromObject(o.key), secret, false); err != nil {
			return err
		}
		wanted.keepForm(secret)
		return refill(secret, &wanted, current, tokens, plan.Access == lifecycle.KeepAccess)
	})
}

// refill replaces the tokens in a Secret. It keeps the refresh token if tokens has none, and the access token if
// keepAccess is true.
func refill(secret *corev1.Secret, wanted *wantedSecret, current *v1alpha1.TokenLine, tokens secretTokens, keepAccess bool) error {
	if tokens.refresh == "" {
		held := string(secret.Data[v1alpha1.SecretToken])
		if token.Hash(held) != current.TokenHash {
			return writes.ErrOutdated
		}
		tokens.refresh = tokenText(held)
	}
	if keepAccess {
		tokens.access = accessToken{
			text:      tokenText(secret.Data[v1alpha1.SecretAccessToken]),
			expiresAt: secret.Annotations[v1alpha1.AnnotationAccessTokenExpiresAt],
			keyID:     secret.Annotations[v1alpha1.AnnotationAccessTokenKeyID],
		}
	}
	wanted.write(secret, tokens)
	return nil
}

// createSecret creates a Secret that does not exist. It fails if another client has created one of that name.
func (r *Reconciler) createSecret(ctx context.Context, o *observation, wanted *wantedSecret, tokens secretTokens) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: o.key.Namespace, Name: o.Secret.Name}}
	wanted.write(secret, tokens)
	written := writes.ContentOf(secret)
	if err := r.client.Create(ctx, secret); err != nil {
		return writes.AsSecretError(secret.Name, err, tokensOf(secret.Data))
	}
	return r.stored(o, secret, wanted, written)
}

// updateSecret reads the key's Secret from the API server, and changes it under the resourceVersion that it read. It
// returns writes.ErrOutdated if the Secret differs from the observation.
func (r *Reconciler) updateSecret(ctx context.Context, o *observation, wanted *wantedSecret, change func(*corev1.Secret) error) error {
	secret := &corev1.Secret{}
	err := r.live.Get(ctx, types.NamespacedName{Namespace: o.key.Namespace, Name: o.Secret.Name}, secret)
	if apierrors.IsNotFound(err) {
		return writes.ErrOutdated
	}
	if err != nil {
		return writes.AsSecretError(o.Secret.Name, err)
	}
	if stateOf(secret, o.seen) != o.Secret.State || secrets.HeldHash(secret) != o.Secret.TokenHash || (o.Secret.State != lifecycle.SecretOwn && o.Secret.State != lifecycle.SecretLeftOver) {
		return writes.ErrOutdated
	}
	if o.Secret.State == lifecycle.SecretLeftOver || o.key.Status.Revision == 0 {
		if err := r.confirmCurrent(ctx, o.key); err != nil {
			return err
		}
	}
	held := tokensOf(secret.Data)
	if err := change(secret); err != nil {
		return err
	}
	data, written := tokensOf(secret.Data), writes.ContentOf(secret)
	if err := r.client.Update(ctx, secret); err != nil {
		return writes.AsSecretError(secret.Name, err, held, data)
	}
	return r.stored(o, secret, wanted, written)
}

// tokensOf returns the entries of a Secret's data that an answer must not repeat.
func tokensOf(data map[string][]byte) map[string][]byte {
	held := maps.Clone(data)
	for _, public := range []string{v1alpha1.SecretIssuer, v1alpha1.SecretTokenEndpoint, v1alpha1.SecretPublicTokenEndpoint, v1alpha1.SecretCA} {
		delete(held, public)
	}
	return held
}

// stored checks a Secret as the API server stored it, since an admission webhook or policy can change what was
// written. A changed token is an error. Any other change is reported once, and the operator does not change it back.
func (r *Reconciler) stored(o *observation, secret *corev1.Secret, wanted *wantedSecret, written writes.Content) error {
	name := client.ObjectKeyFromObject(o.key)
	r.own.WroteSecret(name, secret)
	o.unseen, o.wroteUnseen = !secrets.Selected(secret), !secrets.Selected(secret)
	if changed := written.Changed(secret); changed != "" {
		refused := &writes.SecretError{Failure: lifecycle.Failure{Name: secret.Name, Answer: "an admission webhook or policy changes its " + changed, Refused: true}}
		r.altered.Refuse(name, secret, written, refused)
		return refused
	}
	digested := *secret
	secrets.Digest(&digested)
	if wanted.fits(&digested) {
		r.altered.Forget(name)
		return nil
	}
	if r.altered.Note(name, secret, wanted.fingerprint(), written) {
		announce.SecretAltered(secret.Name, wanted.differences(&digested)).Send(r.events, o.key)
	}
	return nil
}

// confirmCurrent reads the key from the API server, and returns writes.ErrOutdated if its UID, current token or revocation
// differ. So a Secret of another UID is replaced only for the existing key, and a token is written to a Secret only
// while it is current and not revoked.
func (r *Reconciler) confirmCurrent(ctx context.Context, key *v1alpha1.JWTRefreshKey) error {
	current := &v1alpha1.JWTRefreshKey{}
	err := r.live.Get(ctx, client.ObjectKeyFromObject(key), current)
	if apierrors.IsNotFound(err) {
		return writes.ErrOutdated
	}
	if err != nil {
		return err
	}
	if current.UID != key.UID || current.Status.JTI != key.Status.JTI || !current.Status.RevokedAt.Equal(key.Status.RevokedAt) {
		return writes.ErrOutdated
	}
	return nil
}

// removeSecrets deletes the key's Secrets under earlier names, each only if it still is the key's.
func (r *Reconciler) removeSecrets(ctx context.Context, o *observation, names []string) error {
	if len(names) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, writes.SecretTimeout)
	defer cancel()
	for _, name := range names {
		if err := r.deleteSecret(ctx, o, name, func(secret *corev1.Secret) bool { return isOtherOf(secret, o.seen) }); err != nil {
			return err
		}
	}
	return nil
}

// deleteSecret deletes a Secret for which still returns true, unless another client changes it in between.
func (r *Reconciler) deleteSecret(ctx context.Context, o *observation, name string, still func(*corev1.Secret) bool) error {
	secret := &corev1.Secret{}
	if err := r.live.Get(ctx, types.NamespacedName{Namespace: o.key.Namespace, Name: name}, secret); err != nil {
		return writes.AsSecretError(name, client.IgnoreNotFound(err))
	}
	if !still(secret) {
		return nil
	}
	err := r.client.Delete(ctx, secret, client.Preconditions{UID: ptr.To(secret.UID), ResourceVersion: ptr.To(secret.ResourceVersion)})
	if client.IgnoreNotFound(err) != nil {
		return writes.AsSecretError(name, err, tokensOf(secret.Data))
	}
	if name == o.Secret.Name {
		r.own.DeletedSecret(client.ObjectKeyFromObject(o.key), secret)
		o.wroteUnseen = !secrets.Selected(secret)
	}
	return nil
}
