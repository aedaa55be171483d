package faults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// TestFightOfTwoManagers lets two managers work on the same 200 keys without electing a
// leader, while users rotate, revoke and edit, and Secrets are damaged. There is one current
// revision a key at any time, a new one only for a cause, and whoever reads a Secret finds a
// token that is accepted.
func TestFightOfTwoManagers(t *testing.T) {
	const keys = 200
	duration := time.Minute
	if soak() {
		duration = 10 * time.Minute
	}
	f := newFight(t, keys)
	stopFirst := f.startManager(newWire(f.journal, 1).wrap)
	stopSecond := f.startManager(newWire(f.journal, 2).wrap)
	for _, fighter := range f.fighters {
		f.Eventually(fighter.settled, patience, pollEvery).Should(gomega.Succeed(), func() string { return fighter.explain("first issue") })
	}
	f.rage(duration)
	f.Expect(f.acts.Load()).To(gomega.BeNumerically(">", keys/4), "so few acts show nothing")
	for _, fighter := range f.fighters {
		f.Eventually(fighter.settled, patience, pollEvery).Should(gomega.Succeed(), func() string { return fighter.explain("in the end") })
	}
	stopFirst()
	stopSecond()
	f.witness.catchUp(f.name)
	f.judge()
}

// fight is the ring: a namespace full of keys.
type fight struct {
	*scene
	name     string
	witness  *witness
	fighters []*fighter
	acts     atomic.Int64
}

// fighter is one key.
type fighter struct {
	*fight
	key *v1alpha1.JWTRefreshKey
	// timed keys are renewed by the clock every few seconds; the others have a new revision
	// only when they are asked for one.
	timed bool
	// due is how many revisions there are causes for.
	due  int64
	asks int
}

func newFight(t *testing.T, keys int) *fight {
	t.Helper()
	f := &fight{scene: newScene(t, clock.RealClock{}), name: name("fight")}
	f.witness = f.startWitness(func(namespace string) string {
		if namespace == f.name {
			return f.name
		}
		return ""
	})
	f.namespace(f.name)
	f.issuer(f.name)
	for i := range keys {
		fighter := &fighter{fight: f, timed: i%10 == 0, due: 1}
		fighter.key = f.key(f.name, fmt.Sprintf("key-%03d", i), f.name, fighter.shape)
		f.fighters = append(f.fighters, fighter)
	}
	return f
}

// shape makes superseded tokens retire after a second, and lets the timed be renewed after
// three.
func (f *fighter) shape(key *v1alpha1.JWTRefreshKey) {
	key.Spec.Rotation = &v1alpha1.RotationSpec{Overlap: &v1alpha1.OverlapSpec{Max: &metav1.Duration{Duration: time.Second}}}
	if f.timed {
		key.Spec.Lifetime = &metav1.Duration{Duration: time.Minute}
		key.Spec.Rotation.RenewBefore = &metav1.Duration{Duration: 57 * time.Second}
	}
}

// act is something that is done to a key or to its Secret.
type act struct {
	name string
	// cause: it is one for a new revision.
	cause bool
	do    func(*fighter)
}

var acts = []act{
	{"rotate", true, func(f *fighter) { annotate(f.scene, f.copy(), v1alpha1.AnnotationRotate, f.ask()) }},
	{"rotate-now", true, func(f *fighter) {
		f.killAll()
		annotate(f.scene, f.copy(), v1alpha1.AnnotationRotateNow, f.ask())
	}},
	{"change the audience", true, func(f *fighter) {
		edit(f.scene, f.copy(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Audience = "https://" + f.ask() + ".example.com" })
	}},
	{"revoke and take it back", true, func(f *fighter) {
		f.killAll()
		edit(f.scene, f.copy(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true })
		f.Eventually(f.isRevoked, patience, pollEvery).Should(gomega.Succeed(), func() string { return f.explain("revoke") })
		edit(f.scene, f.copy(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = false })
	}},
	{"delete the Secret", false, func(f *fighter) {
		f.witness.plunder(clientKey(f.key), true)
		f.Expect(client.IgnoreNotFound(f.admin.Delete(f.ctx, f.secret()))).To(gomega.Succeed())
	}},
	{"edit the Secret", false, func(f *fighter) {
		const planted = "not a token"
		f.witness.kill(token.Hash(planted))
		edit(f.scene, f.secret(), func(s *corev1.Secret) { s.Data = map[string][]byte{v1alpha1.SecretToken: []byte(planted)} })
	}},
	{"label the Secret", false, func(f *fighter) {
		edit(f.scene, f.secret(), func(s *corev1.Secret) { metav1.SetMetaDataLabel(&s.ObjectMeta, "example.com/labelled", f.ask()) })
	}},
	{"touch the key", false, func(f *fighter) { touch(f.scene, f.copy()) }},
	{"change deviceInfo", false, func(f *fighter) {
		edit(f.scene, f.copy(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.DeviceInfo = &v1alpha1.DeviceInfo{Name: f.ask()} })
	}},
}

// rage lets users act at random for a while, each on a key of its own.
func (f *fight) rage(duration time.Duration) {
	seed := uint64(time.Now().UnixNano())
	f.t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	turns := make(chan func())
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() {
			for turn := range turns {
				turn()
			}
		})
	}
	busy := make([]sync.Mutex, len(f.fighters))
	for end := time.Now().Add(duration); time.Now().Before(end) && !f.t.Failed(); {
		i, act := random.IntN(len(f.fighters)), acts[random.IntN(len(acts))]
		fighter := f.fighters[i]
		if fighter.timed && act.cause || !busy[i].TryLock() {
			continue
		}
		turns <- func() {
			defer busy[i].Unlock()
			fighter.suffer(act)
			f.acts.Add(1)
		}
	}
	close(turns)
	users.Wait()
}

// suffer is one act, and the time until its consequences are there.
func (f *fighter) suffer(act act) {
	act.do(f)
	if act.cause {
		f.due++
	}
	f.Eventually(f.settled, patience, pollEvery).Should(gomega.Succeed(), func() string { return f.explain(act.name) })
	f.witness.plunder(clientKey(f.key), false)
}

func (f *fighter) copy() *v1alpha1.JWTRefreshKey { return newKey(f.name, f.key.Name, f.name) }

func (f *fighter) secret() *corev1.Secret {
	return secretNamed(f.name, f.key.Name)
}

// ask is a value that was not asked with before.
func (f *fighter) ask() string {
	f.asks++
	return fmt.Sprintf("%s-%d", f.key.Name, f.asks)
}

// killAll says that every token of the key is going to be refused.
func (f *fighter) killAll() {
	key, err := get(f.scene, f.copy())
	f.Expect(err).NotTo(gomega.HaveOccurred())
	f.witness.kill(key.Status.TokenHash)
	for _, earlier := range key.Status.Previous {
		f.witness.kill(earlier.TokenHash)
	}
}

func (f *fighter) isRevoked() error {
	key, err := get(f.scene, f.copy())
	if err == nil && key.Status.RevokedAt == nil {
		err = fmt.Errorf("it is not revoked")
	}
	return err
}

// settled: the key has the revisions that there are causes for, is Ready, and its Secret
// holds the current token.
func (f *fighter) settled() error {
	key, err := get(f.scene, f.copy())
	if err != nil {
		return err
	}
	reason, ready := readyOf(key.Status.Conditions)
	switch {
	case !f.timed && key.Status.Revision != f.due:
		return fmt.Errorf("revision %d, with causes for %d", key.Status.Revision, f.due)
	case !ready || key.Status.ObservedGeneration != key.Generation:
		return fmt.Errorf("Ready is %v for %s, of generation %d", ready, reason, key.Status.ObservedGeneration)
	}
	secret, err := get(f.scene, f.secret())
	if err != nil {
		return err
	}
	if held := string(secret.Data[v1alpha1.SecretToken]); token.Hash(held) != key.Status.TokenHash {
		return fmt.Errorf("the Secret does not hold the token of revision %d", key.Status.Revision)
	}
	return nil
}

func (f *fight) judge() {
	f.t.Helper()
	list := roll{}
	renewed := 0
	for _, fighter := range f.fighters {
		key, err := get(f.scene, fighter.copy())
		f.Expect(err).NotTo(gomega.HaveOccurred())
		list.enter(key)
		if fighter.timed {
			renewed += f.witness.revisions(key) - 1
			f.Expect(f.witness.tooEarly(key)).To(gomega.BeEmpty(), "key %s was renewed before it was due", key.Name)
		} else {
			f.Expect(key.Status.Revision).To(gomega.Equal(fighter.due), "key %s: revisions, and causes for them", key.Name)
		}
	}
	conflicts := f.journal.where(func(e *entry) bool { return e.answer == http.StatusConflict })
	f.t.Logf("%d acts, %d renewals, %d writes, %d of them lost to the other manager, %d tokens judged by the witness",
		f.acts.Load(), renewed, len(f.journal.of(f.name)), len(conflicts), f.witness.judgements())
	f.Expect(conflicts).NotTo(gomega.BeEmpty(), "the two did not fight")
	f.Expect(renewed).To(gomega.BeNumerically(">", 0))
	if err := errors.Join(list.call(f.scene, f.name, f.name), f.witness.said(f.name)); err != nil {
		f.t.Error(err)
	}
}

func (f *fighter) explain(what string) string {
	about := f.journal.where(func(e *entry) bool { return e.owner == f.name && e.name == f.key.Name })
	const most = 20
	return fmt.Sprintf("key %s: %s\nlast writes:\n%s\n%s", f.key.Name, what, told(about[max(0, len(about)-most):]), f.log.tail(`"`+f.key.Name+`"`))
}
