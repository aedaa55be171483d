package faults

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/onsi/gomega"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// weather is bad while writes of the operator fail in some way; the watches go on, so that
// nothing but the operator's own persistence brings its work to an end.
type weather struct {
	mu     sync.Mutex
	over   func(errand) bool
	fail   failing
	failed map[errand]int
}

// failing is what becomes of a write.
type failing func(next http.RoundTripper, request *http.Request) (*http.Response, error)

var storms = []struct {
	name string
	fail failing
}{
	{"nobody listens", func(http.RoundTripper, *http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}},
	{"the connection breaks before the answer", func(next http.RoundTripper, request *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(request)
		if err == nil {
			_ = response.Body.Close()
		}
		return nil, io.ErrUnexpectedEOF
	}},
	{"internal error", refusal(http.StatusInternalServerError, "InternalError", "etcdserver: request timed out")},
	{"too many requests", refusal(http.StatusTooManyRequests, "TooManyRequests", "slow down")},
	{"the authorizer knows no rules yet", refusal(http.StatusForbidden, "Forbidden", `is forbidden: User "manager" cannot do that: RBAC: not found`)},
	{"a conflict, again and again", refusal(http.StatusConflict, "Conflict", "the object has been modified")},
}

func refusal(code int, reason, message string) failing {
	return func(_ http.RoundTripper, request *http.Request) (*http.Response, error) {
		text := fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d,"reason":%q,"message":%q}`, code, reason, message)
		return answer(request, code, "application/json", []byte(text)), nil
	}
}

func (w *weather) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		request, body, err := withBody(request)
		if err != nil {
			return nil, err
		}
		e := errandOf(request, body)
		if e.kind == keySecret && e.name == "" {
			e.name = secretIn(body).Name
		}
		w.mu.Lock()
		fail := w.fail
		if fail == nil || !w.over(e) {
			w.mu.Unlock()
			return next.RoundTrip(request)
		}
		w.failed[errand{owner: e.owner, name: e.name}]++
		w.mu.Unlock()
		return fail(next, request)
	})
}

// turn makes the weather bad where over says so, and good with a nil fail.
func (w *weather) turn(over func(errand) bool, fail failing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over, w.fail = over, fail
	if fail != nil {
		w.failed = map[errand]int{}
	}
}

func (w *weather) failures(owner, name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed[errand{owner: owner, name: name}]
}

// TestBadWeather lets writes fail for a while, of keys that are issued and of keys that are
// rotated, and waits for what comes of it when they no longer do. Nobody helps.
func TestBadWeather(t *testing.T) {
	for _, storm := range storms {
		t.Run(storm.name, func(t *testing.T) { endure(t, errand.writes, storm.fail, 2) })
		t.Run(storm.name+", for Secrets alone", func(t *testing.T) {
			endure(t, func(e errand) bool { return e.writes() && e.kind == keySecret }, storm.fail, 1)
		})
	}
}

// endure lets the weather be bad until every key has failed so often. A Secret that was written
// without an answer is found as it should be, and so not written a second time.
func endure(t *testing.T, over func(errand) bool, fail failing, often int) {
	t.Helper()
	const keys = 5
	h := newHouseWithout(t)
	witness := h.startWitness(func(namespace string) string {
		if namespace == h.name {
			return h.name
		}
		return ""
	})
	weather, wire := &weather{}, newWire(h.journal, 1)
	h.stop = h.startManager(func(next http.RoundTripper) http.RoundTripper { return wire.wrap(weather.wrap(next)) })
	h.issuerBecomes(h.name, v1alpha1.ReasonKeysReady)
	var fresh, old []*v1alpha1.JWTRefreshKey
	for k := range keys {
		key, _ := h.issued(fmt.Sprintf("old-%d", k))
		old = append(old, key)
	}
	weather.turn(over, fail)
	for k := range keys {
		annotate(h.scene, newKey(h.name, old[k].Name, h.name), v1alpha1.AnnotationRotate, "once")
		fresh = append(fresh, h.scene.key(h.name, fmt.Sprintf("fresh-%d", k), h.name))
	}
	for _, key := range slices.Concat(fresh, old) {
		h.Eventually(func() int { return weather.failures(h.name, key.Name) }, patience, pollEvery).Should(gomega.BeNumerically(">=", often),
			"key %s was not tried so often", key.Name)
	}
	weather.turn(nil, nil)
	h.allReach(fresh, 1)
	h.allReach(old, 2)
	h.allInOrder(slices.Concat(fresh, old))
	witness.catchUp(h.name)
	h.Expect(witness.said(h.name)).To(gomega.Succeed())
}

// allInOrder: of all tokens that were ever seen, those on record are accepted and no other.
func (h *house) allInOrder(keys []*v1alpha1.JWTRefreshKey) {
	h.t.Helper()
	list := roll{}
	for _, key := range keys {
		list.enter(key)
	}
	h.Expect(errors.Join(list.call(h.scene, h.name, h.name), list.seen(h.scene, h.name))).To(gomega.Succeed())
}
