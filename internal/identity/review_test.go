package identity

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// TestWhatAReviewProves checks that a positive review counts only with the issuer among its audiences, and for a
// ServiceAccount only with its namespace, name and UID.
func TestWhatAReviewProves(t *testing.T) {
	const issuer = "https://tokens.example.com"
	till := authenticationv1.UserInfo{Username: "system:serviceaccount:shop:till", UID: "u-1"}
	user := func(name, uid string) authenticationv1.TokenReviewStatus {
		return authenticationv1.TokenReviewStatus{
			Authenticated: true, Audiences: []string{issuer}, User: authenticationv1.UserInfo{Username: name, UID: uid},
		}
	}
	unauthenticated := user(till.Username, till.UID)
	unauthenticated.User.Groups = []string{"system:serviceaccounts", "system:unauthenticated"}
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
	reviews := NewReviews(clients, clocktesting.NewFakePassiveClock(noon))
	for _, c := range []struct {
		name   string
		status authenticationv1.TokenReviewStatus
		want   bool
	}{
		{"for the issuer", authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{"other", issuer}, User: till}, true},
		{"by a cluster without support for audiences", authenticationv1.TokenReviewStatus{Authenticated: true, User: till}, false},
		{"for others", authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{"other", issuer + "/"}, User: till}, false},
		{"no", authenticationv1.TokenReviewStatus{Audiences: []string{issuer}, User: till}, false},
		{"in doubt", authenticationv1.TokenReviewStatus{Authenticated: true, Error: "in doubt", Audiences: []string{issuer}, User: till}, false},
		{"another user of the cluster", user("system:node:one", "u-2"), false},
		{"a person", user("jane", "u-3"), false},
		{"no UID", user(till.Username, ""), false},
		{"no name", user("system:serviceaccount:shop:", "u-4"), false},
		{"anonymous, by name", user("system:anonymous", ""), false},
		{"unauthenticated, by group", unauthenticated, false},
		{"no namespace", user("system:serviceaccount::till", "u-5"), false},
	} {
		status = c.status
		account, err := reviews.ServiceAccount(t.Context(), issuer, strings.ReplaceAll(c.name, " ", "-"))
		if (err == nil) != c.want || (err != nil && !errors.Is(err, ErrRefused)) {
			t.Errorf("%s: %+v, %v", c.name, account, err)
		}
	}
}

// TestAnAnonymousUserIsRefused checks that a review that returns the user of requests without a credential authenticates no
// one, neither in User nor in ServiceAccount.
func TestAnAnonymousUserIsRefused(t *testing.T) {
	const issuer = "https://tokens.example.com"
	for _, c := range []struct {
		name string
		user authenticationv1.UserInfo
		want bool
	}{
		{"a person", authenticationv1.UserInfo{Username: "jane", Groups: []string{"system:authenticated"}}, true},
		{"system:anonymous", authenticationv1.UserInfo{Username: "system:anonymous", Groups: []string{"system:authenticated"}}, false},
		{"the group system:unauthenticated", authenticationv1.UserInfo{Username: "jane", Groups: []string{"a", "system:unauthenticated"}}, false},
		{"no name", authenticationv1.UserInfo{}, false},
	} {
		reviews := reviewsOf(t, func(*authenticationv1.TokenReview) authenticationv1.TokenReviewStatus {
			return authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{issuer}, User: c.user}
		})
		got, err := reviews.User(t.Context(), issuer, "token")
		if (err == nil) != c.want || (err != nil && !errors.Is(err, ErrRefused)) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

// reviewsOf returns a Reviews of an API server that answers TokenReviews with the function.
func reviewsOf(t *testing.T, answer func(*authenticationv1.TokenReview) authenticationv1.TokenReviewStatus) *Reviews {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := &authenticationv1.TokenReview{}
		raw, _ := io.ReadAll(r.Body)
		_, _, _ = scheme.Codecs.UniversalDeserializer().Decode(raw, nil, review)
		review.TypeMeta = metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"}
		review.Status = answer(review)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(server.Close)
	clients, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return NewReviews(clients, clocktesting.NewFakePassiveClock(noon))
}

// TestTokenReviewsAreBounded checks that clients without a credential cause at most 100 TokenReviews a second at a replica. Beyond
// that, an unknown token is ErrUnavailable and not a refusal, and a token with a cached review is still accepted.
func TestTokenReviewsAreBounded(t *testing.T) {
	const issuer, most = "https://tokens.example.com", 100
	var asked atomic.Int64
	reviews := reviewsOf(t, func(review *authenticationv1.TokenReview) authenticationv1.TokenReviewStatus {
		asked.Add(1)
		return authenticationv1.TokenReviewStatus{
			Authenticated: review.Spec.Token == "known", Audiences: []string{issuer}, User: authenticationv1.UserInfo{Username: "jane"},
		}
	})
	if got := reviews.limiter.Limit(); got != most {
		t.Errorf("the limit is %v a second, want %d", got, most)
	}
	// The limiter gains nothing while the test runs.
	reviews.limiter.SetLimit(0)
	if _, err := reviews.User(t.Context(), issuer, "known"); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < 2*most; i++ {
		want := ErrRefused
		if i >= most {
			want = upstream.ErrUnavailable
		}
		if _, err := reviews.User(t.Context(), issuer, fmt.Sprintf("forged%d", i)); !errors.Is(err, want) {
			t.Fatalf("review %d: %v, want %v", i, err, want)
		}
	}
	if _, err := reviews.User(t.Context(), issuer, "known"); err != nil {
		t.Errorf("a token with a cached review, beyond the limit: %v", err)
	}
	if got := asked.Load(); got != most {
		t.Errorf("the API server was asked %d times, want %d", got, most)
	}
}

// TestNoReviewOfWhatIsNoToken checks that only well-formed tokens are sent to the API server: kube-apiserver reads
// only the text before a space.
func TestNoReviewOfWhatIsNoToken(t *testing.T) {
	const issuer = "https://tokens.example.com"
	asked := 0
	reviews := reviewsOf(t, func(*authenticationv1.TokenReview) authenticationv1.TokenReviewStatus {
		asked++
		return authenticationv1.TokenReviewStatus{
			Authenticated: true, Audiences: []string{issuer}, User: authenticationv1.UserInfo{Username: "system:serviceaccount:shop:till", UID: "u-1"},
		}
	})
	for _, token := range []string{
		"", " ", " x", "x ", "x y", "good.token.here trailing words", "good.token.here\n", "\tgood.token.here", "good.token.here\x00", "a,b", "a;b", "a\"b",
		"=", "a=b", "tok\u00e9n", "a%20b", strings.Repeat("a", longestToken+1),
	} {
		if _, err := reviews.ServiceAccount(t.Context(), issuer, token); !errors.Is(err, ErrRefused) {
			t.Errorf("%.20q: %v", token, err)
		}
	}
	if asked > 0 {
		t.Errorf("the API server reviewed %d malformed tokens", asked)
	}
	for _, token := range []string{"a", "a.b-c_d~e+f/g", "YWJj==", strings.Repeat("a", longestToken)} {
		if _, err := reviews.ServiceAccount(t.Context(), issuer, token); err != nil {
			t.Errorf("%.20q: %v", token, err)
		}
	}
}

// TestATokenOfTheIssuerIsNoCredential checks that a token of the issuer itself authenticates neither a user nor a
// ServiceAccount, also if the API server trusts the issuer and would accept it.
func TestATokenOfTheIssuerIsNoCredential(t *testing.T) {
	const issuer = "https://tokens.example.com"
	asked := 0
	reviews := reviewsOf(t, func(*authenticationv1.TokenReview) authenticationv1.TokenReviewStatus {
		asked++
		return authenticationv1.TokenReviewStatus{
			Authenticated: true, Audiences: []string{issuer}, User: authenticationv1.UserInfo{Username: "system:serviceaccount:shop:till", UID: "u-1"},
		}
	})
	from := func(issuer string) string {
		payload := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"` + issuer + `","aud":"https://tokens.example.com"}`))
		return "eyJ0eXAiOiJhdCtqd3QifQ." + payload + ".c2ln"
	}
	if _, err := reviews.User(t.Context(), issuer, from(issuer)); !errors.Is(err, ErrRefused) {
		t.Errorf("as a user: %v", err)
	}
	if _, err := reviews.ServiceAccount(t.Context(), issuer, from(issuer)); !errors.Is(err, ErrRefused) {
		t.Errorf("as a ServiceAccount: %v", err)
	}
	if asked > 0 {
		t.Errorf("the API server reviewed %d tokens of the issuer", asked)
	}
	if _, err := reviews.ServiceAccount(t.Context(), issuer, from("https://kubernetes.default.svc")); err != nil {
		t.Errorf("a token of the cluster: %v", err)
	}
}
