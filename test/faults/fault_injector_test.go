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

// faultInjector makes matching writes of the operator fail. Watches continue, so only the operator's own
// retries complete the work.
type faultInjector struct {
	mu      sync.Mutex
	matches func(apiCall) bool
	fail    fault
	failed  map[apiCall]int
}

// fault answers a write with a failure.
type fault func(next http.RoundTripper, request *http.Request) (*http.Response, error)

var faultCases = []struct {
	name string
	fail fault
}{
	{"connection refused", func(http.RoundTripper, *http.Request) (*http.Response, error) {
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
	{"the authorizer has no rules yet", refusal(http.StatusForbidden, "Forbidden", `is forbidden: User "manager" cannot do that: RBAC: not found`)},
	{"a conflict every time", refusal(http.StatusConflict, "Conflict", "the object has been modified")},
}

func refusal(code int, reason, message string) fault {
	return func(_ http.RoundTripper, request *http.Request) (*http.Response, error) {
		text := fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d,"reason":%q,"message":%q}`, code, reason, message)
		return answer(request, code, "application/json", []byte(text)), nil
	}
}

func (i *faultInjector) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		request, body, err := withBody(request)
		if err != nil {
			return nil, err
		}
		e := apiCallOf(request, body)
		if e.kind == keySecret && e.name == "" {
			e.name = secretIn(body).Name
		}
		i.mu.Lock()
		fail := i.fail
		if fail == nil || !i.matches(e) {
			i.mu.Unlock()
			return next.RoundTrip(request)
		}
		i.failed[apiCall{owner: e.owner, name: e.name}]++
		i.mu.Unlock()
		return fail(next, request)
	})
}

// set starts to fail the matching writes; a nil fault stops it.
func (i *faultInjector) set(over func(apiCall) bool, fail fault) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.matches, i.fail = over, fail
	if fail != nil {
		i.failed = map[apiCall]int{}
	}
}

// failures returns how many writes of an object failed since set.
func (i *faultInjector) failures(owner, name string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.failed[apiCall{owner: owner, name: name}]
}

// TestFailingWritesAreRetried makes writes fail while refresh keys are issued and rotated. It checks that
// all keys become Ready once the writes succeed again, with no other help.
func TestFailingWritesAreRetried(t *testing.T) {
	for _, tc := range faultCases {
		t.Run(tc.name, func(t *testing.T) { testFailingWrites(t, apiCall.writes, tc.fail, 2) })
		t.Run(tc.name+", for Secrets alone", func(t *testing.T) {
			testFailingWrites(t, func(e apiCall) bool { return e.writes() && e.kind == keySecret }, tc.fail, 1)
		})
	}
}

// testFailingWrites makes writes fail until each refresh key has failed that often. The operator does not
// repeat a write of a Secret that took effect without an answer.
func testFailingWrites(t *testing.T, over func(apiCall) bool, fail fault, often int) {
	t.Helper()
	const keys = 5
	h := newIssuerFixtureWithoutManager(t)
	watcher := h.startWatcher(onlyNamespace(h.name))
	injector, wire := &faultInjector{}, newWire(h.journal, 1)
	h.stop = h.startManager(func(next http.RoundTripper) http.RoundTripper { return wire.wrap(injector.wrap(next)) })
	h.awaitIssuerReason(h.name, v1alpha1.ReasonKeysReady)
	var fresh, old []*v1alpha1.JWTRefreshKey
	for k := range keys {
		key, _ := h.issueKey(fmt.Sprintf("old-%d", k))
		old = append(old, key)
	}
	injector.set(over, fail)
	for k := range keys {
		h.Annotate(newKey(h.name, old[k].Name, h.name), v1alpha1.AnnotationRotate, "once")
		fresh = append(fresh, h.fixture.createKey(h.name, fmt.Sprintf("fresh-%d", k), h.name))
	}
	for _, key := range slices.Concat(fresh, old) {
		h.Eventually(func() int { return injector.failures(h.name, key.Name) }).Should(gomega.BeNumerically(">=", often),
			"too few failed writes of key %s", key.Name)
	}
	injector.set(nil, nil)
	h.awaitRevision(fresh, 1)
	h.awaitRevision(old, 2)
	h.expectOnlyRecordedAccepted(slices.Concat(fresh, old))
	watcher.catchUp(h.name)
	h.Expect(watcher.violationsIn(h.name)).To(gomega.Succeed())
}

// expectOnlyRecordedAccepted checks that of all tokens ever seen, exactly those in status are accepted.
func (h *issuerFixture) expectOnlyRecordedAccepted(keys []*v1alpha1.JWTRefreshKey) {
	h.T.Helper()
	list := acceptList{}
	for _, key := range keys {
		list.add(key)
	}
	h.Expect(errors.Join(list.verify(h.fixture, h.name, h.name), list.verifyRecorded(h.fixture, h.name))).To(gomega.Succeed())
}
