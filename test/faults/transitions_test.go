package faults

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// transition is something that happens to a key or to an issuer.
type transition struct {
	name string
	// writes is what it costs when nothing goes wrong.
	writes int
	// issuer and key make the objects; issuerless and keyless leave that to happens.
	issuer              []func(*v1alpha1.JWTIssuer)
	key                 []func(*v1alpha1.JWTRefreshKey)
	issuerless, keyless bool
	// first leads up to it.
	first []step
	// earlier is a crash that belongs to it: what is tried is what the next manager does.
	earlier crash
	happens func(*trial)
	want    outcome
	// kills: the token from before is refused from then on.
	kills bool
	// late: but not before another token stands in the Secret.
	late bool
	// plunders: it takes the token out of the Secret.
	plunders bool
}

// step leads from one settled state to the next.
type step struct {
	do    func(*trial)
	want  outcome
	kills bool
}

// byUsers are the transitions that somebody asks for. The clock stands still.
var byUsers = []*transition{
	{name: "first issue", writes: 2, keyless: true, happens: createTheKey, want: outcome{advanced: 1}},
	{
		name: "adoption", writes: 1, keyless: true, happens: createTheKey, earlier: crash{1, after},
		want: outcome{advanced: 1, also: sameTokenAsInTheWreck},
	},
	{name: "changed audience", writes: 2, happens: changeAudience, want: outcome{advanced: 1, superseded: 1, also: saysAudience}},
	{name: "rotate", writes: 2, happens: rotate, want: outcome{advanced: 1, superseded: 1}},
	{name: "rotate-now", writes: 2, happens: rotateNow, want: outcome{advanced: 1}, kills: true},
	{
		name: "rotate without overlap", writes: 3, key: []func(*v1alpha1.JWTRefreshKey){overlapMax(0)}, happens: rotate,
		want: outcome{advanced: 1}, kills: true, late: true,
	},
	{name: "revoke", writes: 2, happens: revoke(true), want: revoked, kills: true},
	{
		name: "un-revoke", writes: 3, first: []step{{do: revoke(true), want: revokedFirst, kills: true}}, happens: revoke(false),
		want: outcome{advanced: 1},
	},
	{name: "renamed Secret", writes: 2, happens: rename, want: outcome{also: bothHoldTheToken}},
	{name: "deleted Secret", writes: 1, happens: deleteSecret, want: outcome{also: sameToken}, plunders: true},
	{name: "edited Secret", writes: 1, happens: editSecret, want: outcome{also: sameToken}, plunders: true},
	{name: "withdrawn signing key", writes: 4, happens: withdraw, want: outcome{advanced: 1, also: withoutWithdrawn}, kills: true},
	{name: "mode Write to None", writes: 2, happens: wantNoSecret, want: outcome{secretless: true, also: sameLine}, plunders: true},
	{name: "changed algorithm", writes: 2, happens: changeAlgorithm, want: outcome{also: nextKeyIsES384}},
	{
		name: "first signing keys", writes: 2, keyless: true, issuerless: true, happens: createTheIssuer,
		want: outcome{keyless: true, also: firstKeysStay},
	},
}

// jump is how far the clock goes for byTime, whose keys are made for it.
const jump = 70 * time.Minute

var byTime = []*transition{
	{
		name: "renewal due", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){lifetime(90 * time.Minute), renewBefore(30 * time.Minute)},
		happens: touchKey, want: outcome{advanced: 1, superseded: 1},
	},
	{
		name: "end in mode Never", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){lifetime(time.Hour), never},
		happens: touchKey, want: outcome{reason: v1alpha1.ReasonExpired, tokenless: true}, kills: true,
	},
	{
		name: "removal of the old Secret after a rename", writes: 1, first: []step{{do: rename, want: outcome{advanced: 1, also: bothHoldTheToken}}},
		happens: touchKey, want: outcome{also: oldSecretGone},
	},
	{
		name: "retirement at overlap.max", writes: 1, key: []func(*v1alpha1.JWTRefreshKey){overlapMax(time.Hour)},
		first:   []step{{do: rotate, want: outcome{advanced: 2, superseded: 1}}},
		happens: touchKey, want: outcome{},
	},
	{
		name: "renewal of the access token", writes: 1, issuer: []func(*v1alpha1.JWTIssuer){longAccess},
		key: []func(*v1alpha1.JWTRefreshKey){withAccessToken}, happens: touchKey, want: outcome{also: newAccessToken},
	},
	{
		name: "rotation of the signing keys", writes: 2, issuer: []func(*v1alpha1.JWTIssuer){hourlyKeys},
		happens: touchIssuer, want: outcome{also: keysRotatedOnce},
	},
}

var (
	revoked      = outcome{reason: v1alpha1.ReasonRevoked, tokenless: true, also: saysRevoked}
	revokedFirst = outcome{reason: v1alpha1.ReasonRevoked, tokenless: true, advanced: 1}
)

func clientKey(key *v1alpha1.JWTRefreshKey) client.ObjectKey { return client.ObjectKeyFromObject(key) }

func createTheKey(r *trial) { r.scene.key(r.name, keyName, r.name) }
func createTheIssuer(r *trial) {
	r.Expect(r.admin.Create(r.ctx, newIssuer(r.name))).To(gomega.Succeed())
}
func touchKey(r *trial)    { touch(r.scene, r.theKey()) }
func touchIssuer(r *trial) { touch(r.scene, newIssuer(r.name)) }
func rotate(r *trial)      { r.annotateKey(v1alpha1.AnnotationRotate, "hygiene") }
func rotateNow(r *trial)   { r.annotateKey(v1alpha1.AnnotationRotateNow, "leak") }

const anotherAudience = "https://billing.example.com"

func changeAudience(r *trial) {
	r.editKey(func(k *v1alpha1.JWTRefreshKey) { k.Spec.Audience = anotherAudience })
}

func revoke(revoked bool) func(*trial) {
	return func(r *trial) { r.editKey(func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = revoked }) }
}

const renamed = "orders-renamed"

func rename(r *trial) {
	r.editKey(func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{Name: renamed} })
}

func wantNoSecret(r *trial) {
	r.editKey(func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone} })
}

func deleteSecret(r *trial) {
	secret := secretNamed(r.name, keyName)
	r.Expect(r.admin.Delete(r.ctx, secret)).To(gomega.Succeed())
}

func editSecret(r *trial) {
	const planted = "not a token"
	r.witness.kill(token.Hash(planted))
	r.editSecret(func(s *corev1.Secret) { s.Data[v1alpha1.SecretToken] = []byte(planted) })
}

func withdraw(r *trial) {
	annotate(r.scene, newIssuer(r.name), v1alpha1.AnnotationWithdrawKey, r.before.line().KeyID)
}

func changeAlgorithm(r *trial) {
	edit(r.scene, newIssuer(r.name), signing(func(s *v1alpha1.SigningSpec) { s.Algorithm = v1alpha1.SigningAlgorithm(keyring.ES384) }))
}

func lifetime(d time.Duration) func(*v1alpha1.JWTRefreshKey) {
	return func(k *v1alpha1.JWTRefreshKey) { k.Spec.Lifetime = &metav1.Duration{Duration: d} }
}

func renewBefore(d time.Duration) func(*v1alpha1.JWTRefreshKey) {
	return func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Rotation = &v1alpha1.RotationSpec{RenewBefore: &metav1.Duration{Duration: d}}
	}
}

func overlapMax(d time.Duration) func(*v1alpha1.JWTRefreshKey) {
	return func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Rotation = &v1alpha1.RotationSpec{Overlap: &v1alpha1.OverlapSpec{Max: &metav1.Duration{Duration: d}}}
	}
}

func never(k *v1alpha1.JWTRefreshKey) {
	k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationNever}
}

func longAccess(i *v1alpha1.JWTIssuer) {
	i.Spec.AccessToken = &v1alpha1.IssuerAccessTokenSpec{
		Lifetime: &metav1.Duration{Duration: 90 * time.Minute}, MaxLifetime: &metav1.Duration{Duration: 2 * time.Hour},
	}
}

func withAccessToken(k *v1alpha1.JWTRefreshKey) {
	k.Spec.Secret = &v1alpha1.SecretSpec{AccessToken: true}
}

func hourlyKeys(i *v1alpha1.JWTIssuer) {
	i.Spec.Signing = &v1alpha1.SigningSpec{
		RotateAfter: &metav1.Duration{Duration: time.Hour}, Prepublish: &metav1.Duration{Duration: time.Minute},
	}
}

func sameTokenAsInTheWreck(r *trial, f *findings) error {
	if found := string(secretOf(r.wreck, keyName).Data[v1alpha1.SecretToken]); found == "" || found != f.token() {
		return errors.New("the token that the crash left in the Secret is not the one that was recorded")
	}
	return nil
}

func secretOf(f *findings, name string) *corev1.Secret {
	secret := f.secrets[name]
	return &secret
}

func saysAudience(_ *trial, f *findings) error {
	if content := string(f.key.Status.Content.Raw); !strings.Contains(content, anotherAudience) {
		return fmt.Errorf("the new audience is not in the token: %s", content)
	}
	return nil
}

func saysRevoked(_ *trial, f *findings) error {
	if status := &f.key.Status; status.RevokedAt == nil || status.RevocationReason != v1alpha1.RevokedRequested {
		return fmt.Errorf("revokedAt is %v, for %q", status.RevokedAt, status.RevocationReason)
	}
	return nil
}

func sameToken(r *trial, f *findings) error {
	if r.before.token() != f.token() {
		return errors.New("the Secret came back with another token")
	}
	return nil
}

func sameLine(r *trial, f *findings) error {
	if r.before.line().TokenHash != f.line().TokenHash {
		return errors.New("the line has another token")
	}
	return nil
}

func bothHoldTheToken(_ *trial, f *findings) error {
	for _, name := range []string{keyName, renamed} {
		if held := string(secretOf(f, name).Data[v1alpha1.SecretToken]); token.Hash(held) != f.line().TokenHash {
			return fmt.Errorf("Secret %s does not hold the current token", name)
		}
	}
	return nil
}

func oldSecretGone(r *trial, f *findings) error {
	if _, there := f.secrets[keyName]; there {
		return errors.New("the Secret under the old name is there still")
	}
	return sameToken(r, f)
}

func withoutWithdrawn(r *trial, f *findings) error {
	if _, there := f.rings.Lookup(keyring.Refresh, r.before.line().KeyID); there {
		return errors.New("the withdrawn key is in the ring still")
	}
	if now, next := f.line().KeyID, r.before.kid(keyring.Refresh, keyring.Pending); now != next {
		return fmt.Errorf("key %s signed, not %s which was next", now, next)
	}
	return nil
}

func nextKeyIsES384(r *trial, f *findings) error {
	for _, key := range f.rings.Keys() {
		if (key.State == keyring.Pending) != (key.Algorithm == keyring.ES384) {
			return fmt.Errorf("key %s is %s and for %s", key.ID, key.State, key.Algorithm)
		}
	}
	return sameToken(r, f)
}

// firstKeysStay: the keys that a crash left behind are the ones in use.
func firstKeysStay(r *trial, f *findings) error {
	if n := len(f.rings.Keys()); n != 4 {
		return fmt.Errorf("%d keys, not two rings of two", n)
	}
	if r.wreck != nil && r.wreck.rings != nil && !r.wreck.rings.Equal(f.rings) {
		return errors.New("the keys that the crash left behind were replaced")
	}
	return nil
}

func keysRotatedOnce(r *trial, f *findings) error {
	for _, use := range []keyring.Use{keyring.Refresh, keyring.Access} {
		if active, next := f.kid(use, keyring.Active), r.before.kid(use, keyring.Pending); active != next {
			return fmt.Errorf("key %s of the %s ring is active, not %s which was next", active, use, next)
		}
		if old, was := f.kid(use, keyring.Retiring), r.before.kid(use, keyring.Active); old != was {
			return fmt.Errorf("key %q of the %s ring is retiring, not %s which was active", old, use, was)
		}
	}
	if r.wreck != nil && r.wreck.kid(keyring.Refresh, keyring.Active) == f.kid(keyring.Refresh, keyring.Active) && !r.wreck.rings.Equal(f.rings) {
		return errors.New("the keys that the crash left behind were replaced")
	}
	return sameToken(r, f)
}

func newAccessToken(r *trial, f *findings) error {
	was := string(secretOf(r.before, keyName).Data[v1alpha1.SecretAccessToken])
	now := string(secretOf(f, keyName).Data[v1alpha1.SecretAccessToken])
	if now == was {
		return errors.New("the access token is the one from before")
	}
	claims, err := token.Parse(now, token.Access, f.rings, f.issuer.Spec.URL, r.clock.Now())
	if err != nil {
		return fmt.Errorf("the access token in the Secret is not valid: %w", err)
	}
	if left := claims.ExpiresAt.Sub(r.clock.Now()); left < time.Hour {
		return fmt.Errorf("the access token ends in %s", left)
	}
	return sameToken(r, f)
}
