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
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// TestFightOfTwoManagers runs two managers on the same 200 refresh keys, or 80 in its short form, without leader election, while
// users rotate, revoke and edit, and Secrets are damaged. Each key has one current revision at any time and
// a new revision only for a cause. Every token in a Secret is accepted.
func TestFightOfTwoManagers(t *testing.T) {
	keys, duration := 200, time.Minute
	switch {
	case soak():
		duration = 10 * time.Minute
	case testing.Short():
		keys, duration = 80, 20*time.Second
	}
	h := newFightFixture(t, keys)
	stopFirst := h.startManager(newWire(h.journal, 1).wrap)
	stopSecond := h.startManager(newWire(h.journal, 2).wrap)
	for _, contended := range h.keys {
		h.Eventually(contended.settled).Should(gomega.Succeed(), func() string { return contended.explain("first issue") })
	}
	h.runActions(duration, int64(keys/4))
	for _, contended := range h.keys {
		h.Eventually(contended.settled).Should(gomega.Succeed(), func() string { return contended.explain("in the end") })
	}
	stopFirst()
	stopSecond()
	h.watcher.catchUp(h.name)
	h.check()
}

// fightFixture is a namespace with many refresh keys.
type fightFixture struct {
	*fixture
	name        string
	watcher     *invariantWatcher
	keys        []*contendedKey
	actionCount atomic.Int64
}

// contendedKey is one refresh key on which both managers work.
type contendedKey struct {
	*fightFixture
	key *v1alpha1.JWTRefreshKey
	// timed keys are renewed by time every few seconds. The others get a new revision only on request.
	timed bool
	// expectedRevision is the number of causes for a revision so far.
	expectedRevision int64
	valueCount       int
}

func newFightFixture(t *testing.T, keys int) *fightFixture {
	t.Helper()
	h := &fightFixture{fixture: newFixture(t, clock.RealClock{}), name: harness.UniqueName("fight")}
	h.watcher = h.startWatcher(onlyNamespace(h.name))
	h.CreateNamespace(h.name, nil)
	h.CreateIssuer(h.name)
	for i := range keys {
		contended := &contendedKey{fightFixture: h, timed: i%10 == 0, expectedRevision: 1}
		contended.key = h.createKey(h.name, fmt.Sprintf("key-%03d", i), h.name, contended.shape)
		h.keys = append(h.keys, contended)
	}
	return h
}

// shape lets superseded tokens retire after one second, and timed keys renew after three.
func (c *contendedKey) shape(key *v1alpha1.JWTRefreshKey) {
	key.Spec.Rotation = &v1alpha1.RotationSpec{Overlap: &v1alpha1.OverlapSpec{Max: &metav1.Duration{Duration: time.Second}}}
	if c.timed {
		key.Spec.Lifetime = &metav1.Duration{Duration: time.Minute}
		key.Spec.Rotation.RenewBefore = &metav1.Duration{Duration: 57 * time.Second}
	}
}

// action is a change that a user makes to a refresh key or to its Secret.
type action struct {
	name string
	// newRevision reports whether the action causes a new revision.
	newRevision bool
	do          func(*contendedKey)
}

var actions = []action{
	{"rotate", true, func(c *contendedKey) { c.Annotate(c.ref(), v1alpha1.AnnotationRotate, c.newValue()) }},
	{"rotate-now", true, func(c *contendedKey) {
		c.expectAllRefused()
		c.Annotate(c.ref(), v1alpha1.AnnotationRotateNow, c.newValue())
	}},
	{"change the audience", true, func(c *contendedKey) {
		harness.Edit(c.Harness, c.ref(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Audience = "https://" + c.newValue() + ".example.com" })
	}},
	{"revoke and take it back", true, func(c *contendedKey) {
		c.expectAllRefused()
		harness.Edit(c.Harness, c.ref(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true })
		c.Eventually(c.isRevoked).Should(gomega.Succeed(), func() string { return c.explain("revoke") })
		harness.Edit(c.Harness, c.ref(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = false })
	}},
	{"delete the Secret", false, func(c *contendedKey) {
		c.watcher.expectDamage(clientKey(c.key), true)
		c.Expect(client.IgnoreNotFound(c.Admin.Delete(c.Ctx, c.secret()))).To(gomega.Succeed())
	}},
	{"edit the Secret", false, func(c *contendedKey) {
		const planted = "not a token"
		c.watcher.expectRefusal(token.Hash(planted))
		harness.Edit(c.Harness, c.secret(), func(s *corev1.Secret) { s.Data = map[string][]byte{v1alpha1.SecretToken: []byte(planted)} })
	}},
	{"label the Secret", false, func(c *contendedKey) {
		harness.Edit(c.Harness, c.secret(), func(s *corev1.Secret) { metav1.SetMetaDataLabel(&s.ObjectMeta, "example.com/labelled", c.newValue()) })
	}},
	{"touch the key", false, func(c *contendedKey) { c.touch(c.ref()) }},
	{"change deviceInfo", false, func(c *contendedKey) {
		harness.Edit(c.Harness, c.ref(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.DeviceInfo = &v1alpha1.DeviceInfo{Name: c.newValue()} })
	}},
}

// runActions performs random actions until duration ends and more than least are done, never two at once on the same
// key. How many are done in a time depends on the machine.
func (h *fightFixture) runActions(duration time.Duration, least int64) {
	seed := uint64(time.Now().UnixNano())
	h.T.Logf("seed %d", seed)
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
	for end := time.Now().Add(duration); (time.Now().Before(end) || h.actionCount.Load() <= least) && !h.T.Failed(); {
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

// perform runs one action and waits for its outcome.
func (c *contendedKey) perform(action action) {
	action.do(c)
	if action.newRevision {
		c.expectedRevision++
	}
	c.Eventually(c.settled, harness.Patience, 4*harness.PollEvery).Should(gomega.Succeed(), func() string { return c.explain(action.name) })
	c.watcher.expectDamage(clientKey(c.key), false)
}

func (c *contendedKey) ref() *v1alpha1.JWTRefreshKey { return newKey(c.name, c.key.Name, c.name) }

func (c *contendedKey) secret() *corev1.Secret {
	return secretNamed(c.name, c.key.Name)
}

// newValue returns a value that was not used before.
func (c *contendedKey) newValue() string {
	c.valueCount++
	return fmt.Sprintf("%s-%d", c.key.Name, c.valueCount)
}

// expectAllRefused tells the watcher that every token of the key will be refused.
func (c *contendedKey) expectAllRefused() {
	key, err := harness.Get(c.Harness, c.ref())
	c.Expect(err).NotTo(gomega.HaveOccurred())
	c.watcher.expectRefusal(key.Status.TokenHash)
	for _, earlier := range key.Status.Previous {
		c.watcher.expectRefusal(earlier.TokenHash)
	}
}

func (c *contendedKey) isRevoked() error {
	key, err := harness.Get(c.Harness, c.ref())
	if err == nil && key.Status.RevokedAt == nil {
		err = fmt.Errorf("key %s is not revoked", key.Name)
	}
	return err
}

// settled returns nil once the key has its expected revision and is Ready, and its Secret holds the current
// token.
func (c *contendedKey) settled() error {
	key, err := harness.Get(c.Harness, c.ref())
	if err != nil {
		return err
	}
	reason, ready := readyOf(key.Status.Conditions)
	switch {
	case !c.timed && key.Status.Revision != c.expectedRevision:
		return fmt.Errorf("got revision %d, want %d", key.Status.Revision, c.expectedRevision)
	case !ready || key.Status.ObservedGeneration != key.Generation:
		return fmt.Errorf("got Ready %v for reason %s of generation %d, want true of generation %d", ready, reason, key.Status.ObservedGeneration, key.Generation)
	}
	secret, err := harness.Get(c.Harness, c.secret())
	if err != nil {
		return err
	}
	if held := string(secret.Data[v1alpha1.SecretToken]); token.Hash(held) != key.Status.TokenHash {
		return fmt.Errorf("the Secret does not hold the token of revision %d", key.Status.Revision)
	}
	return nil
}

func (h *fightFixture) check() {
	h.T.Helper()
	list := acceptList{}
	renewed := 0
	for _, contended := range h.keys {
		key, err := harness.Get(h.Harness, contended.ref())
		h.Expect(err).NotTo(gomega.HaveOccurred())
		list.add(key)
		if contended.timed {
			renewed += h.watcher.revisions(key) - 1
			h.Expect(h.watcher.tooEarly(key)).To(gomega.BeEmpty(), "key %s was renewed before it was due", key.Name)
		} else {
			h.Expect(key.Status.Revision).To(gomega.Equal(contended.expectedRevision), "key %s: revision", key.Name)
		}
	}
	conflicts := h.journal.filter(func(e *entry) bool { return e.answer == http.StatusConflict })
	h.T.Logf("%d actions, %d renewals, %d writes, %d conflicts with the other manager, %d tokens verified by the watcher",
		h.actionCount.Load(), renewed, len(h.journal.ofOwner(h.name)), len(conflicts), h.watcher.verifiedCount())
	h.Expect(conflicts).NotTo(gomega.BeEmpty(), "no write of the two managers conflicted")
	h.Expect(renewed).To(gomega.BeNumerically(">", 0))
	if err := errors.Join(list.verify(h.fixture, h.name, h.name), h.watcher.violationsIn(h.name)); err != nil {
		h.T.Error(err)
	}
}

// explain adds the last writes and the log of a key to a message.
func (c *contendedKey) explain(what string) string {
	about := c.journal.filter(func(e *entry) bool { return e.owner == c.name && e.name == c.key.Name })
	const most = 20
	return fmt.Sprintf("key %s: %s\nlast writes:\n%s\n%s", c.key.Name, what, formatEntries(about[max(0, len(about)-most):]), c.log.tail(`"`+c.key.Name+`"`))
}
