package faults

import (
	"errors"
	"slices"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// transition is a change of a refresh key or of an issuer.
type transition struct {
	name string
	// writes is the number of writes without a fault.
	writes int
	// spare is how many more writes are allowed, depending on which controller reconciles first.
	spare int
	// issuer and key modify the objects to create. With issuerless or keyless, apply creates them.
	issuer              []func(*v1alpha1.JWTIssuer)
	key                 []func(*v1alpha1.JWTRefreshKey)
	issuerless, keyless bool
	// created is the expected outcome of creating the key; nil means that the key is issued.
	created *outcome
	// setup leads to the state in which the transition begins.
	setup []step
	// earlierCrash is a crash that belongs to the transition. The case tests what the next manager does.
	earlierCrash crash
	apply        func(*crashCase)
	want         outcome
	// refusesOld: the token from before is refused afterwards.
	refusesOld bool
	// refusesLate: it is refused only once another token is in the Secret.
	refusesLate bool
	// removesToken: the transition takes the token out of the Secret.
	removesToken bool
	// needsOrphan: the transition needs a Secret whose owner was deleted. A garbage collector would delete
	// it.
	needsOrphan bool
}

// step leads from one settled state to the next.
type step struct {
	do         func(*crashCase)
	want       outcome
	refusesOld bool
}

// transitionGroups are all transitions, and how far the clock advances before them. The cases of a group have the same managers,
// whose starts and waits take most of the time.
var transitionGroups = []struct {
	name        string
	transitions []*transition
	jump        time.Duration
}{
	{"requests and changes", slices.Concat(userTransitions, accessTokenTransitions, issuerTransitions, forgeryTransitions), 0},
	{"passage of time", timeTransitions, jump},
}

func clientKey(key *v1alpha1.JWTRefreshKey) client.ObjectKey { return client.ObjectKeyFromObject(key) }

func createKey(c *crashCase) { createKeyWith()(c) }

func createKeyWith(change ...func(*v1alpha1.JWTRefreshKey)) func(*crashCase) {
	return func(c *crashCase) { c.fixture.createKey(c.name, keyName, c.name, change...) }
}

func deleteKey(c *crashCase) { c.Expect(c.Admin.Delete(c.Ctx, c.keyRef())).To(gomega.Succeed()) }

func touchKey(c *crashCase)    { c.touch(c.keyRef()) }
func touchIssuer(c *crashCase) { c.touch(harness.NewIssuer(c.name)) }
func rotate(c *crashCase)      { c.annotateKey(v1alpha1.AnnotationRotate, "hygiene") }
func rotateNow(c *crashCase)   { c.annotateKey(v1alpha1.AnnotationRotateNow, "leak") }

const anotherAudience = "https://billing.example.com"

func changeAudience(c *crashCase) {
	c.editKey(func(k *v1alpha1.JWTRefreshKey) { k.Spec.Audience = anotherAudience })
}

func revoke(revoked bool) func(*crashCase) {
	return func(c *crashCase) { c.editKey(func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = revoked }) }
}

// setSecretSpec replaces spec.secret.
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
		return errors.New("the Secret holds another token than before")
	}
	return sameLine(c, s)
}

func sameLine(c *crashCase, s *clusterState) error {
	if c.before.line().TokenHash != s.line().TokenHash {
		return errors.New("status has another token than before")
	}
	return nil
}

func keyGone(_ *crashCase, s *clusterState) error {
	if s.key != nil {
		return errors.New("the refresh key still exists")
	}
	return nil
}
