// Package identity authenticates the users and ServiceAccounts of the cluster by their tokens, people by an
// id_token of an OpenID Connect provider, and people by a password.
package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/memo"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// ErrRefused is returned for a token that the cluster did not issue for the issuer, and for one that is not a
// ServiceAccount's where a ServiceAccount is required.
var ErrRefused = errors.New("the token is not one that the cluster issued for this issuer")

const (
	// reviewFor is how long a positive TokenReview is cached. A negative one is not cached.
	reviewFor = 10 * time.Second
	// rememberedReviews is the maximum number of cached reviews.
	rememberedReviews = 4096
	// reviewsPerSecond bounds the TokenReviews that unauthenticated clients can cause.
	reviewsPerSecond = 100
	// longestToken is longer than any token that an API server issues, in bytes.
	longestToken = 16 << 10
)

// ServiceAccount identifies a ServiceAccount at the time of the review of its token.
type ServiceAccount struct {
	Namespace string
	Name      string
	UID       string
}

// Username returns the user name of the ServiceAccount at the API server.
func (a *ServiceAccount) Username() string { return usernamePrefix + a.Namespace + ":" + a.Name }

// usernamePrefix is the prefix of every ServiceAccount's user name.
const usernamePrefix = "system:serviceaccount:"

// Reviews authenticates tokens by TokenReviews of the API server.
type Reviews struct {
	clients kubernetes.Interface
	clock   clock.PassiveClock
	limiter *rate.Limiter
	flights upstream.Flights[authenticationv1.UserInfo]
	known   *memo.Memo[[sha256.Size]byte, authenticationv1.UserInfo]
}

// NewReviews returns a Reviews.
func NewReviews(clients kubernetes.Interface, clock clock.PassiveClock) *Reviews {
	return &Reviews{
		clients: clients, clock: clock, limiter: rate.NewLimiter(reviewsPerSecond, reviewsPerSecond),
		known: memo.New[[sha256.Size]byte, authenticationv1.UserInfo](rememberedReviews, clock),
	}
}

// User returns the user of a token. The token must have the issuer as an audience: a token for the API server
// itself must not be sent to other services.
func (r *Reviews) User(ctx context.Context, issuer, token string) (authenticationv1.UserInfo, error) {
	// A token of the issuer itself is no token of the cluster, also if the API server trusts the issuer: an access token
	// for its sessions must not sign in, authenticate a client or introspect.
	if !WellFormed(token) || ClaimedIssuer(token) == issuer {
		return authenticationv1.UserInfo{}, ErrRefused
	}
	question := sha256.Sum256([]byte(issuer + "\x00" + token))
	if user, known := r.known.Get(question); known {
		return user, nil
	}
	return r.flights.Do(ctx, string(question[:]), func(ctx context.Context) (authenticationv1.UserInfo, error) {
		at := r.clock.Now()
		user, err := r.ask(ctx, issuer, token)
		if err == nil {
			r.known.Put(question, user, at.Add(reviewFor))
		}
		return user, err
	})
}

func (r *Reviews) ask(ctx context.Context, issuer, token string) (authenticationv1.UserInfo, error) {
	if !r.limiter.Allow() {
		return authenticationv1.UserInfo{}, upstream.Unavailable("the limit of TokenReviews per second is reached")
	}
	asked := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{issuer}}}
	answer, err := r.clients.AuthenticationV1().TokenReviews().Create(ctx, asked, metav1.CreateOptions{})
	if err != nil {
		return authenticationv1.UserInfo{}, upstream.NoAPIServer(err)
	}
	// An API server that does not support audiences leaves them out of its answer.
	if status := &answer.Status; !status.Authenticated || status.Error != "" || !slices.Contains(status.Audiences, issuer) {
		return authenticationv1.UserInfo{}, ErrRefused
	}
	if unauthenticated(&answer.Status.User) {
		return authenticationv1.UserInfo{}, ErrRefused
	}
	return answer.Status.User, nil
}

// unauthenticated reports whether a user is the one of requests without a valid credential. No token authenticates
// this user.
func unauthenticated(user *authenticationv1.UserInfo) bool {
	return user.Username == "" || user.Username == anonymousUser || slices.Contains(user.Groups, unauthenticatedGroup)
}

const (
	anonymousUser        = "system:anonymous"
	unauthenticatedGroup = "system:unauthenticated"
)

// ServiceAccount returns the ServiceAccount of a projected token, and ErrRefused for other users of the cluster.
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
