package tokenserver_test

import (
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// TestConcurrentRequests sends requests to all endpoints of a replica at once, while the operator rotates refresh keys and
// writes the issuer. With the race detector it shows that no two requests share what one of them changes. Every request
// succeeds, and all holders of a one-time token get the same successor.
func TestConcurrentRequests(t *testing.T) {
	const clients, rounds, keys = 8, 25, 4
	r := replica.New(t)
	caller := r.Auditor("orders-api")
	var scheduled, oneTime [keys]string
	for i := range keys {
		scheduled[i] = r.Issue(fmt.Sprint("orders-", i))
		oneTime[i] = r.Issue(fmt.Sprint("device-", i), func(k *v1alpha1.JWTRefreshKey) {
			k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse, RetryGrace: &metav1.Duration{Duration: time.Minute}}
		})
	}
	doomed := r.Issue("doomed")
	var mu sync.Mutex
	successors := map[string]map[string]bool{}
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for round := range rounds {
				held, used := scheduled[round%keys], oneTime[round%keys]
				send(t, r, "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {held}})
				send(t, r, "/introspect", url.Values{"token": {held}, "token_type_hint": {"refresh_token"}}, "Authorization", "Bearer "+caller)
				send(t, r, "/revoke", url.Values{"token": {doomed}})
				send(t, r, "/jwks.json", nil)
				send(t, r, "/.well-known/openid-configuration", nil)
				next := send(t, r, "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {used}}, "User-Agent", fmt.Sprint("till/", round))
				mu.Lock()
				if successors[used] == nil {
					successors[used] = map[string]bool{}
				}
				successors[used][next.text("refresh_token")] = true
				mu.Unlock()
			}
		})
	}
	for i := range keys {
		// A first token is accepted until a third one follows it.
		r.Next(replica.NameOf(fmt.Sprint("orders-", i)))
		r.PutIssuer(r.Issuer, r.Rings)
		r.Next(replica.NameOf(fmt.Sprint("orders-", i)))
	}
	all.Wait()
	for i, used := range oneTime {
		if len(successors[used]) != 1 || successors[used][""] || successors[used][used] {
			t.Errorf("device-%d: its holders got %d successors", i, len(successors[used]))
		}
	}
	if key := r.Stored(replica.NameOf("doomed")); key.Status.RevocationReason != v1alpha1.RevokedLogout {
		t.Errorf("the revoked key has the reason %q", key.Status.RevocationReason)
	}
}

// send sends a request to an endpoint of the issuer, and reports an answer other than 200.
func send(t *testing.T, r *replica.Replica, endpoint string, form url.Values, header ...string) *answer {
	t.Helper()
	method := http.MethodPost
	if form == nil {
		method = http.MethodGet
	}
	got := ask(r, method, "/"+replica.Name+endpoint, form, header...)
	if got.outcome() != "200" {
		t.Errorf("%s: %s %s", endpoint, got.outcome(), got.raw)
	}
	return got
}
