// Package identity tells who somebody is: a user or a ServiceAccount of the cluster, by a
// token that the cluster issued for the issuer.
package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// ErrRefused says that a token proves nothing: it is not one that the cluster issued for the
// issuer, or not a ServiceAccount's where one is asked for.
var ErrRefused = errors.New("the token is not one that the cluster issued for this issuer")

const (
	// reviewFor is how long the API server's yes is believed. A no is asked for each time.
	reviewFor = 10 * time.Second
	// rememberedReviews is for how many tokens.
	rememberedReviews = 4096
	// reviewsPerSecond bounds what strangers can make the API server do.
	reviewsPerSecond = 100
	// longestToken is longer than any token that an API server issues.
	longestToken = 16 << 10
)

// ServiceAccount is one at the time its token was reviewed.
type ServiceAccount struct {
	Namespace string
	Name      string
	UID       string
}

// Username is how the API server calls it.
func (a *ServiceAccount) Username() string { return usernamePrefix + a.Namespace + ":" + a.Name }

// usernamePrefix is that of every ServiceAccount's user name.
const usernamePrefix = "system:serviceaccount:"

// Reviews asks the API server about tokens, by TokenReviews.
type Reviews struct {
	clients kubernetes.Interface
	clock   clock.PassiveClock
	limiter *rate.Limiter
	flights registry.Flights[authenticationv1.UserInfo]
	known   *lru.Cache[[sha256.Size]byte, reviewed]
}

type reviewed struct {
	user authenticationv1.UserInfo
	at   time.Time
}

// NewReviews makes Reviews.
func NewReviews(clients kubernetes.Interface, clock clock.PassiveClock) (*Reviews, error) {
	known, err := lru.New[[sha256.Size]byte, reviewed](rememberedReviews)
	return &Reviews{clients: clients, clock: clock, known: known, limiter: rate.NewLimiter(reviewsPerSecond, reviewsPerSecond)}, err
}

// User is whose token it is. The token must be for the issuer: one that is good at the API
// server itself should never be shown around.
func (r *Reviews) User(ctx context.Context, issuer, token string) (authenticationv1.UserInfo, error) {
	if !WellFormed(token) {
		return authenticationv1.UserInfo{}, ErrRefused
	}
	question := sha256.Sum256([]byte(issuer + "\x00" + token))
	if last, ok := r.known.Get(question); ok && r.clock.Since(last.at) < reviewFor {
		return last.user, nil
	}
	return r.flights.Do(ctx, string(question[:]), func(ctx context.Context) (authenticationv1.UserInfo, error) {
		at := r.clock.Now()
		user, err := r.ask(ctx, issuer, token)
		if err == nil {
			r.known.Add(question, reviewed{user: user, at: at})
		}
		return user, err
	})
}

func (r *Reviews) ask(ctx context.Context, issuer, token string) (authenticationv1.UserInfo, error) {
	if !r.limiter.Allow() {
		return authenticationv1.UserInfo{}, fmt.Errorf("%w: the limit of TokenReviews per second is reached", registry.ErrUnavailable)
	}
	asked := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{issuer}}}
	answer, err := r.clients.AuthenticationV1().TokenReviews().Create(ctx, asked, metav1.CreateOptions{})
	if err != nil {
		return authenticationv1.UserInfo{}, fmt.Errorf("%w: the API server is unavailable: %w", registry.ErrUnavailable, err)
	}
	// A cluster that knows nothing of audiences would leave them out of its answer.
	if status := &answer.Status; !status.Authenticated || status.Error != "" || !slices.Contains(status.Audiences, issuer) {
		return authenticationv1.UserInfo{}, ErrRefused
	}
	if unauthenticated(&answer.Status.User) {
		return authenticationv1.UserInfo{}, ErrRefused
	}
	return answer.Status.User, nil
}

// unauthenticated tells whether a user is the one that an API server assigns to a request without a
// valid credential. No token proves such a user, whatever a review answers.
func unauthenticated(user *authenticationv1.UserInfo) bool {
	return user.Username == "" || user.Username == anonymousUser || slices.Contains(user.Groups, unauthenticatedGroup)
}

const (
	anonymousUser        = "system:anonymous"
	unauthenticatedGroup = "system:unauthenticated"
)

// ServiceAccount is the one whose projected token it is. Other users of the cluster are refused.
func (r *Reviews) ServiceAccount(ctx context.Context, issuer, token string) (*ServiceAccount, error) {
	user, err := r.User(ctx, issuer, token)
	if err != nil {
		return nil, err
	}
	full, ours := strings.CutPrefix(user.Username, usernamePrefix)
	namespace, name, split := strings.Cut(full, ":")
	if !ours || !split || namespace == "" || name == "" || user.UID == "" {
		return nil, ErrRefused
	}
	return &ServiceAccount{Namespace: namespace, Name: name, UID: user.UID}, nil
}
