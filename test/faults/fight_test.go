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
	h := newFightHarness(t, keys)
	stopFirst := h.startManager(newWire(h.journal, 1).wrap)
	stopSecond := h.startManager(newWire(h.journal, 2).wrap)
	for _, contended := range h.keys {
		h.Eventually(contended.settled, waitTimeout, pollEvery).Should(gomega.Succeed(), func() string { return contended.explain("first issue") })
	}
	h.runActions(duration)
	h.Expect(h.actionCount.Load()).To(gomega.BeNumerically(">", keys/4), "so few acts show nothing")
	for _, contended := range h.keys {
		h.Eventually(contended.settled, waitTimeout, pollEvery).Should(gomega.Succeed(), func() string { return contended.explain("in the end") })
	}
	stopFirst()
	stopSecond()
	h.watcher.catchUp(h.name)
	h.check()
}

// fight is the ring: a namespace full of keys.
type fightHarness struct {
	*harness
	name        string
	watcher     *invariantWatcher
	keys        []*contendedKey
	actionCount atomic.Int64
}

// fighter is one key.
type contendedKey struct {
	*fightHarness
	key *v1alpha1.JWTRefreshKey
	// timed keys are renewed by the clock every few seconds; the others have a new revision
	// only when they are asked for one.
	timed bool
	// due is how many revisions there are causes for.
	expectedRevision int64
	valueCount       int
}

func newFightHarness(t *testing.T, keys int) *fightHarness {
	t.Helper()
	h := &fightHarness{harness: newHarness(t, clock.RealClock{}), name: uniqueName("fight")}
	h.watcher = h.startWatcher(func(namespace string) string {
		if namespace == h.name {
			return h.name
		}
		return ""
	})
	h.createNamespace(h.name)
	h.createIssuer(h.name)
	for i := range keys {
		contended := &contendedKey{fightHarness: h, timed: i%10 == 0, expectedRevision: 1}
		contended.key = h.createKey(h.name, fmt.Sprintf("key-%03d", i), h.name, contended.shape)
		h.keys = append(h.keys, contended)
	}
	return h
}

// shape makes superseded tokens retire after a second, and lets the timed be renewed after
// three.
func (c *contendedKey) shape(key *v1alpha1.JWTRefreshKey) {
	key.Spec.Rotation = &v1alpha1.RotationSpec{Overlap: &v1alpha1.OverlapSpec{Max: &metav1.Duration{Duration: time.Second}}}
	if c.timed {
		key.Spec.Lifetime = &metav1.Duration{Duration: time.Minute}
		key.Spec.Rotation.RenewBefore = &metav1.Duration{Duration: 57 * time.Second}
	}
}

// act is something that is done to a key or to its Secret.
type action struct {
	name string
	// cause: it is one for a new revision.
	newRevision bool
	do          func(*contendedKey)
}

var actions = []action{
	{"rotate", true, func(c *contendedKey) { annotate(c.harness, c.ref(), v1alpha1.AnnotationRotate, c.newValue()) }},
	{"rotate-now", true, func(c *contendedKey) {
		c.expectAllRefused()
		annotate(c.harness, c.ref(), v1alpha1.AnnotationRotateNow, c.newValue())
	}},
	{"change the audience", true, func(c *contendedKey) {
		edit(c.harness, c.ref(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Audience = "https://" + c.newValue() + ".example.com" })
	}},
	{"revoke and take it back", true, func(c *contendedKey) {
		c.expectAllRefused()
		edit(c.harness, c.ref(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true })
		c.Eventually(c.isRevoked, waitTimeout, pollEvery).Should(gomega.Succeed(), func() string { return c.explain("revoke") })
		edit(c.harness, c.ref(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = false })
	}},
	{"delete the Secret", false, func(c *contendedKey) {
		c.watcher.expectDamage(clientKey(c.key), true)
		c.Expect(client.IgnoreNotFound(c.admin.Delete(c.ctx, c.secret()))).To(gomega.Succeed())
	}},
	{"edit the Secret", false, func(c *contendedKey) {
		const planted = "not a token"
		c.watcher.expectRefusal(token.Hash(planted))
		edit(c.harness, c.secret(), func(s *corev1.Secret) { s.Data = map[string][]byte{v1alpha1.SecretToken: []byte(planted)} })
	}},
	{"label the Secret", false, func(c *contendedKey) {
		edit(c.harness, c.secret(), func(s *corev1.Secret) { metav1.SetMetaDataLabel(&s.ObjectMeta, "example.com/labelled", c.newValue()) })
	}},
	{"touch the key", false, func(c *contendedKey) { touch(c.harness, c.ref()) }},
	{"change deviceInfo", false, func(c *contendedKey) {
		edit(c.harness, c.ref(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.DeviceInfo = &v1alpha1.DeviceInfo{Name: c.newValue()} })
	}},
}

// rage lets users act at random for a while, each on a key of its own.
func (h *fightHarness) runActions(duration time.Duration) {
	seed := uint64(time.Now().UnixNano())
	h.t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	work := make(chan func())
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() {
			for do := range work {
				do()
			}
		})
	}
	busy := make([]sync.Mutex, len(h.keys))
	for end := time.Now().Add(duration); time.Now().Before(end) && !h.t.Failed(); {
		i, action := random.IntN(len(h.keys)), actions[random.IntN(len(actions))]
		contended := h.keys[i]
		if contended.timed && action.newRevision || !busy[i].TryLock() {
			continue
		}
		work <- func() {
			defer busy[i].Unlock()
			contended.perform(action)
			h.actionCount.Add(1)
		}
	}
	close(work)
	users.Wait()
}

// suffer is one act, and the time until its consequences are there.
func (c *contendedKey) perform(action action) {
	action.do(c)
	if action.newRevision {
		c.expectedRevision++
	}
	c.Eventually(c.settled, waitTimeout, pollEvery).Should(gomega.Succeed(), func() string { return c.explain(action.name) })
	c.watcher.expectDamage(clientKey(c.key), false)
}

func (c *contendedKey) ref() *v1alpha1.JWTRefreshKey { return newKey(c.name, c.key.Name, c.name) }

func (c *contendedKey) secret() *corev1.Secret {
	return secretNamed(c.name, c.key.Name)
}

// ask is a value that was not asked with before.
func (c *contendedKey) newValue() string {
	c.valueCount++
	return fmt.Sprintf("%s-%d", c.key.Name, c.valueCount)
}

// killAll says that every token of the key is going to be refused.
func (c *contendedKey) expectAllRefused() {
	key, err := get(c.harness, c.ref())
	c.Expect(err).NotTo(gomega.HaveOccurred())
	c.watcher.expectRefusal(key.Status.TokenHash)
	for _, earlier := range key.Status.Previous {
		c.watcher.expectRefusal(earlier.TokenHash)
	}
}

func (c *contendedKey) isRevoked() error {
	key, err := get(c.harness, c.ref())
	if err == nil && key.Status.RevokedAt == nil {
		err = fmt.Errorf("it is not revoked")
	}
	return err
}

// settled: the key has the revisions that there are causes for, is Ready, and its Secret
// holds the current token.
func (c *contendedKey) settled() error {
	key, err := get(c.harness, c.ref())
	if err != nil {
		return err
	}
	reason, ready := readyOf(key.Status.Conditions)
	switch {
	case !c.timed && key.Status.Revision != c.expectedRevision:
		return fmt.Errorf("revision %d, with causes for %d", key.Status.Revision, c.expectedRevision)
	case !ready || key.Status.ObservedGeneration != key.Generation:
		return fmt.Errorf("Ready is %v for %s, of generation %d", ready, reason, key.Status.ObservedGeneration)
	}
	secret, err := get(c.harness, c.secret())
	if err != nil {
		return err
	}
	if held := string(secret.Data[v1alpha1.SecretToken]); token.Hash(held) != key.Status.TokenHash {
		return fmt.Errorf("the Secret does not hold the token of revision %d", key.Status.Revision)
	}
	return nil
}

func (h *fightHarness) check() {
	h.t.Helper()
	list := acceptList{}
	renewed := 0
	for _, contended := range h.keys {
		key, err := get(h.harness, contended.ref())
		h.Expect(err).NotTo(gomega.HaveOccurred())
		list.add(key)
		if contended.timed {
			renewed += h.watcher.revisions(key) - 1
			h.Expect(h.watcher.tooEarly(key)).To(gomega.BeEmpty(), "key %s was renewed before it was due", key.Name)
		} else {
			h.Expect(key.Status.Revision).To(gomega.Equal(contended.expectedRevision), "key %s: revisions, and causes for them", key.Name)
		}
	}
	conflicts := h.journal.filter(func(e *entry) bool { return e.answer == http.StatusConflict })
	h.t.Logf("%d acts, %d renewals, %d writes, %d of them lost to the other manager, %d tokens judged by the witness",
		h.actionCount.Load(), renewed, len(h.journal.ofOwner(h.name)), len(conflicts), h.watcher.judgedCount())
	h.Expect(conflicts).NotTo(gomega.BeEmpty(), "the two did not fight")
	h.Expect(renewed).To(gomega.BeNumerically(">", 0))
	if err := errors.Join(list.verify(h.harness, h.name, h.name), h.watcher.violationsIn(h.name)); err != nil {
		h.t.Error(err)
	}
}

func (c *contendedKey) explain(what string) string {
	about := c.journal.filter(func(e *entry) bool { return e.owner == c.name && e.name == c.key.Name })
	const most = 20
	return fmt.Sprintf("key %s: %s\nlast writes:\n%s\n%s", c.key.Name, what, formatEntries(about[max(0, len(about)-most):]), c.log.tail(`"`+c.key.Name+`"`))
}
