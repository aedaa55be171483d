package service

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"k8s.io/utils/clock"
)

// TestAReplicaKilledBetweenClaimAndAnswer kills the process of a replica after the API server stored its claim and
// before the replica gets the answer. It checks that a retry at another replica gets the same successor.
func TestAReplicaKilledBetweenClaimAndAnswer(t *testing.T) {
	h := newManaged(t, clock.RealClock{})
	key := h.Key("device", oneTime(time.Minute))
	held := h.AwaitRevision(key, 1)
	killed, two := h.processes(1)[0], h.Replica()
	h.Expect(killed.metrics()).To(gomega.ContainSubstring("refreshkeys_view_staleness_seconds"), "metrics have a port of their own, beside health")

	killed.api.deadly.Store(firstToken())
	_, err := killed.refresh(held)
	h.Expect(err).To(gomega.HaveOccurred(), "the process was killed before it could answer")
	h.retries(two, key, held)
}

// refresh exchanges a token at the process; it returns an error if there is no answer.
func (p *process) refresh(compact string) (status int, err error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {compact}}
	request, err := http.NewRequestWithContext(p.h.Ctx, http.MethodPost, "https://"+p.address+"/"+p.h.Name+"/token", strings.NewReader(form.Encode()))
	p.h.Expect(err).NotTo(gomega.HaveOccurred())
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := (&http.Client{Transport: p.h.trusting()}).Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	return response.StatusCode, nil
}

// metrics returns the metrics of the process.
func (p *process) metrics() string {
	p.h.T.Helper()
	response, err := http.Get("http://" + p.health + "/metrics")
	p.h.Expect(err).NotTo(gomega.HaveOccurred())
	defer response.Body.Close()
	metrics, err := io.ReadAll(response.Body)
	p.h.Expect(err).NotTo(gomega.HaveOccurred())
	return string(metrics)
}
