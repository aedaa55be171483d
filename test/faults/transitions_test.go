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
	created *outcome
	// first leads up to it.
	setup []step
	// earlier is a crash that belongs to it: what is tried is what the next manager does.
	earlierCrash crash
	apply        func(*crashCase)
	want         outcome
	// kills: the token from before is refused from then on.
	refusesOld bool
	// late: but not before another token stands in the Secret.
	refusesLate bool
	// plunders: it takes the token out of the Secret.
	removesToken bool
	// orphans: it needs a Secret whose owner is gone, which a garbage collector takes away.
	needsOrphan bool
}

// step leads from one settled state to the next.
type step struct {
	do         func(*crashCase)
	want       outcome
	refusesOld bool
}

// plays are all transitions, and how far the clock goes before they happen.
var transitionGroups = []struct {
	name        string
	transitions []*transition
	jump        time.Duration
}{
	{"of what users do", userTransitions, 0},
	{"of access tokens in Secrets", accessTokenTransitions, 0},
	{"of what befalls issuers", issuerTransitions, 0},
	{"of what is forged", forgeryTransitions, 0},
	{"of what time brings", timeTransitions, jump},
}

func clientKey(key *v1alpha1.JWTRefreshKey) client.ObjectKey { return client.ObjectKeyFromObject(key) }

func createKey(c *crashCase) { createKeyWith()(c) }

func createKeyWith(change ...func(*v1alpha1.JWTRefreshKey)) func(*crashCase) {
	return func(c *crashCase) { c.harness.createKey(c.name, keyName, c.name, change...) }
}

func deleteKey(c *crashCase) { c.Expect(c.admin.Delete(c.ctx, c.keyRef())).To(gomega.Succeed()) }

func touchKey(c *crashCase)    { touch(c.harness, c.keyRef()) }
func touchIssuer(c *crashCase) { touch(c.harness, newIssuer(c.name)) }
func rotate(c *crashCase)      { c.annotateKey(v1alpha1.AnnotationRotate, "hygiene") }
func rotateNow(c *crashCase)   { c.annotateKey(v1alpha1.AnnotationRotateNow, "leak") }

const anotherAudience = "https://billing.example.com"

func changeAudience(c *crashCase) {
	c.editKey(func(k *v1alpha1.JWTRefreshKey) { k.Spec.Audience = anotherAudience })
}

func revoke(revoked bool) func(*crashCase) {
	return func(c *crashCase) { c.editKey(func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = revoked }) }
}

// secretLike changes spec.secret as a whole.
func setSecretSpec(change ...func(*v1alpha1.JWTRefreshKey)) func(*crashCase) {
	return func(c *crashCase) {
		c.editKey(func(k *v1alpha1.JWTRefreshKey) {
			k.Spec.Secret = nil
			for _, c := range change {
				c(k)
			}
		})
	}
}

const renamed = "orders-renamed"

func withSecretRenamed(k *v1alpha1.JWTRefreshKey) {
	k.Spec.Secret = &v1alpha1.SecretSpec{Name: renamed}
}

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

func secretOf(s *clusterState, name string) *corev1.Secret {
	secret := s.secrets[name]
	return &secret
}

func sameToken(c *crashCase, s *clusterState) error {
	if c.before.token() != s.token() {
		return errors.New("the Secret came back with another token")
	}
	return sameLine(c, s)
}

func sameLine(c *crashCase, s *clusterState) error {
	if c.before.line().TokenHash != s.line().TokenHash {
		return errors.New("the line has another token")
	}
	return nil
}

func keyGone(_ *crashCase, s *clusterState) error {
	if s.key != nil {
		return errors.New("the key is there still")
	}
	return nil
}
