package faults

import (
	"errors"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// transition is something that happens to a key or to an issuer.
type transition struct {
	name string
	// writes is what it costs when nothing goes wrong.
	writes int
	// spare is how many more it may cost, depending on which controller looks first.
	spare int
	// issuer and key make the objects; issuerless and keyless leave that to happens.
	issuer              []func(*v1alpha1.JWTIssuer)
	key                 []func(*v1alpha1.JWTRefreshKey)
	issuerless, keyless bool
	// made is what becomes of the key that is made; when nil, it is issued.
	made *outcome
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
	// orphans: it needs a Secret whose owner is gone, which a garbage collector takes away.
	orphans bool
}

// step leads from one settled state to the next.
type step struct {
	do    func(*trial)
	want  outcome
	kills bool
}

// plays are all transitions, and how far the clock goes before they happen.
var plays = []struct {
	name        string
	transitions []*transition
	jump        time.Duration
}{
	{"of what users do", byUsers, 0},
	{"of access tokens in Secrets", ofAccessTokens, 0},
	{"of what befalls issuers", byIssuers, 0},
	{"of what is forged", byForgers, 0},
	{"of what time brings", byTime, jump},
}

func clientKey(key *v1alpha1.JWTRefreshKey) client.ObjectKey { return client.ObjectKeyFromObject(key) }

func createTheKey(r *trial) { createKeyWith()(r) }

func createKeyWith(change ...func(*v1alpha1.JWTRefreshKey)) func(*trial) {
	return func(r *trial) { r.scene.key(r.name, keyName, r.name, change...) }
}

func deleteTheKey(r *trial) { r.Expect(r.admin.Delete(r.ctx, r.theKey())).To(gomega.Succeed()) }

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

// secretLike changes spec.secret as a whole.
func secretLike(change ...func(*v1alpha1.JWTRefreshKey)) func(*trial) {
	return func(r *trial) {
		r.editKey(func(k *v1alpha1.JWTRefreshKey) {
			k.Spec.Secret = nil
			for _, c := range change {
				c(k)
			}
		})
	}
}

const renamed = "orders-renamed"

func underAnotherName(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{Name: renamed} }

func withoutSecret(k *v1alpha1.JWTRefreshKey) {
	k.Spec.Secret = &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone}
}

func retained(k *v1alpha1.JWTRefreshKey) {
	k.Spec.Secret = &v1alpha1.SecretSpec{DeletionPolicy: v1alpha1.DeletionRetain}
}

func withAccessToken(k *v1alpha1.JWTRefreshKey) {
	k.Spec.Secret = &v1alpha1.SecretSpec{AccessToken: true}
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

func secretOf(f *findings, name string) *corev1.Secret {
	secret := f.secrets[name]
	return &secret
}

func sameToken(r *trial, f *findings) error {
	if r.before.token() != f.token() {
		return errors.New("the Secret came back with another token")
	}
	return sameLine(r, f)
}

func sameLine(r *trial, f *findings) error {
	if r.before.line().TokenHash != f.line().TokenHash {
		return errors.New("the line has another token")
	}
	return nil
}

func keyGone(_ *trial, f *findings) error {
	if f.key != nil {
		return errors.New("the key is there still")
	}
	return nil
}
