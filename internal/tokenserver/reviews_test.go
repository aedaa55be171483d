package tokenserver

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// TestAccessReviewsAreBounded checks that callers without the right cause at most accessReviewsPerSecond reviews;
// above that the answer is ErrUnavailable and not a refusal.
func TestAccessReviewsAreBounded(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(&authorizationv1.SubjectAccessReview{TypeMeta: metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SubjectAccessReview"}})
	}))
	t.Cleanup(server.Close)
	clients, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	callers := NewClusterCallers(nil, clients, clocktesting.NewFakePassiveClock(time.Unix(1e9, 0)))
	// The limiter gains no token while the test runs.
	callers.limiter.SetLimit(0)
	caller := &clusterCaller{callers: callers, user: authenticationv1.UserInfo{Username: "ann"}}
	for i := range 2 * accessReviewsPerSecond {
		err := caller.MayIntrospect(t.Context(), "shop")
		var refusal *oauth.Error
		if i < accessReviewsPerSecond && (!errors.As(err, &refusal) || refusal.Code != oauth.InsufficientScope) {
			t.Fatalf("question %d: %v", i, err)
		}
		if i >= accessReviewsPerSecond && !errors.Is(err, upstream.ErrUnavailable) {
			t.Fatalf("question %d, beyond the bound: %v", i, err)
		}
	}
	if got := asked.Load(); got != accessReviewsPerSecond {
		t.Errorf("the API server was asked %d times, want %d", got, accessReviewsPerSecond)
	}
}
