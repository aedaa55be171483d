package identity

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"
)

// TestWhatAReviewProves: an API server's yes is one for this issuer only where it says so, and one
// about a ServiceAccount only where it says which.
func TestWhatAReviewProves(t *testing.T) {
	const issuer = "https://tokens.example.com"
	till := authenticationv1.UserInfo{Username: "system:serviceaccount:shop:till", UID: "u-1"}
	user := func(name, uid string) authenticationv1.TokenReviewStatus {
		return authenticationv1.TokenReviewStatus{
			Authenticated: true, Audiences: []string{issuer}, User: authenticationv1.UserInfo{Username: name, UID: uid},
		}
	}
	var status authenticationv1.TokenReviewStatus
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(&authenticationv1.TokenReview{
			TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"}, Status: status,
		})
	}))
	t.Cleanup(server.Close)
	clients, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	reviews, err := NewReviews(clients, clocktesting.NewFakePassiveClock(noon))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		status authenticationv1.TokenReviewStatus
		want   bool
	}{
		{"for the issuer", authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{"other", issuer}, User: till}, true},
		{"by a cluster that knows nothing of audiences", authenticationv1.TokenReviewStatus{Authenticated: true, User: till}, false},
		{"for others", authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{"other", issuer + "/"}, User: till}, false},
		{"no", authenticationv1.TokenReviewStatus{Audiences: []string{issuer}, User: till}, false},
		{"in doubt", authenticationv1.TokenReviewStatus{Authenticated: true, Error: "in doubt", Audiences: []string{issuer}, User: till}, false},
		{"somebody else of the cluster", user("system:node:one", "u-2"), false},
		{"a person", user("jane", "u-3"), false},
		{"no UID", user(till.Username, ""), false},
		{"no name", user("system:serviceaccount:shop:", "u-4"), false},
		{"no namespace", user("system:serviceaccount::till", "u-5"), false},
	} {
		status = c.status
		account, err := reviews.ServiceAccount(t.Context(), issuer, c.name)
		if (err == nil) != c.want || (err != nil && !errors.Is(err, ErrRefused)) {
			t.Errorf("%s: %+v, %v", c.name, account, err)
		}
	}
}
