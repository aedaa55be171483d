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
type faultInjector struct {
	mu      sync.Mutex
	matches func(apiCall) bool
	fail    fault
	failed  map[apiCall]int
}

// failing is what becomes of a write.
type fault func(next http.RoundTripper, request *http.Request) (*http.Response, error)

var faultCases = []struct {
	name string
	fail fault
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

// turn makes the weather bad where over says so, and good with a nil fail.
func (i *faultInjector) set(over func(apiCall) bool, fail fault) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.matches, i.fail = over, fail
	if fail != nil {
		i.failed = map[apiCall]int{}
	}
}

func (i *faultInjector) failures(owner, name string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.failed[apiCall{owner: owner, name: name}]
}

// TestBadWeather lets writes fail for a while, of keys that are issued and of keys that are
// rotated, and waits for what comes of it when they no longer do. Nobody helps.
func TestFailingWritesAreRetried(t *testing.T) {
	for _, tc := range faultCases {
		t.Run(tc.name, func(t *testing.T) { testFailingWrites(t, apiCall.writes, tc.fail, 2) })
		t.Run(tc.name+", for Secrets alone", func(t *testing.T) {
			testFailingWrites(t, func(e apiCall) bool { return e.writes() && e.kind == keySecret }, tc.fail, 1)
		})
	}
}

// endure lets the weather be bad until every key has failed so often. A Secret that was written
// without an answer is found as it should be, and so not written a second time.
func testFailingWrites(t *testing.T, over func(apiCall) bool, fail fault, often int) {
	t.Helper()
	const keys = 5
	h := newIssuerHarnessWithoutManager(t)
	watcher := h.startWatcher(func(namespace string) string {
		if namespace == h.name {
			return h.name
		}
		return ""
	})
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
		annotate(h.harness, newKey(h.name, old[k].Name, h.name), v1alpha1.AnnotationRotate, "once")
		fresh = append(fresh, h.harness.createKey(h.name, fmt.Sprintf("fresh-%d", k), h.name))
	}
	for _, key := range slices.Concat(fresh, old) {
		h.Eventually(func() int { return injector.failures(h.name, key.Name) }, waitTimeout, pollEvery).Should(gomega.BeNumerically(">=", often),
			"key %s was not tried so often", key.Name)
	}
	injector.set(nil, nil)
	h.awaitRevision(fresh, 1)
	h.awaitRevision(old, 2)
	h.expectOnlyRecordedAccepted(slices.Concat(fresh, old))
	watcher.catchUp(h.name)
	h.Expect(watcher.violationsIn(h.name)).To(gomega.Succeed())
}

// allInOrder: of all tokens that were ever seen, those on record are accepted and no other.
func (h *issuerHarness) expectOnlyRecordedAccepted(keys []*v1alpha1.JWTRefreshKey) {
	h.t.Helper()
	list := acceptList{}
	for _, key := range keys {
		list.add(key)
	}
	h.Expect(errors.Join(list.verify(h.harness, h.name, h.name), list.verifyRecorded(h.harness, h.name))).To(gomega.Succeed())
}
