package tokenserver

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"golang.org/x/time/rate"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/memo"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

const (
	// permittedFor is how long a positive SubjectAccessReview is cached. A negative one is not cached.
	permittedFor = 10 * time.Second
	// rememberedPermits is the maximum number of cached pairs of caller and namespace.
	rememberedPermits = 1024
	// accessReviewsPerSecond limits the reviews that callers without the right can cause.
	accessReviewsPerSecond = 100
)

// ClusterCallers authenticates callers by a TokenReview of the API server, and authorises them by a
// SubjectAccessReview.
type ClusterCallers struct {
	reviews   *identity.Reviews
	clients   kubernetes.Interface
	clock     clock.PassiveClock
	permitted *memo.Memo[permit, struct{}]
	limiter   *rate.Limiter
	flights   upstream.Flights[bool]
}

// permit is the cached right of a user to ask about tokens of a namespace.
type permit struct{ uid, user, namespace string }

// NewClusterCallers returns a ClusterCallers.
func NewClusterCallers(reviews *identity.Reviews, clients kubernetes.Interface, clock clock.PassiveClock) *ClusterCallers {
	return &ClusterCallers{
		reviews: reviews, clients: clients, clock: clock, permitted: memo.New[permit, struct{}](rememberedPermits, clock),
		limiter: rate.NewLimiter(accessReviewsPerSecond, accessReviewsPerSecond),
	}
}

// Authenticate implements Callers.
func (c *ClusterCallers) Authenticate(ctx context.Context, issuer, bearer string) (Caller, error) {
	user, err := c.reviews.User(ctx, issuer, bearer)
	if errors.Is(err, identity.ErrRefused) {
		return nil, oauth.Refuse(oauth.InvalidToken, "The bearer token is not one that the cluster issued for this issuer.")
	}
	return &clusterCaller{callers: c, user: user}, err
}

type clusterCaller struct {
	callers *ClusterCallers
	user    authenticationv1.UserInfo
}

// Name implements Caller.
func (c *clusterCaller) Name() string { return c.user.Username }

// MayIntrospect implements Caller.
func (c *clusterCaller) MayIntrospect(ctx context.Context, namespace string) error {
	question := permit{uid: c.user.UID, user: c.user.Username, namespace: namespace}
	if _, known := c.callers.permitted.Get(question); known {
		return nil
	}
	asked := c.review(namespace)
	// The review also depends on the caller's groups and extra fields.
	flight, err := json.Marshal(asked.Spec)
	if err != nil {
		return err
	}
	at := c.callers.clock.Now()
	allowed, err := c.callers.flights.Do(ctx, string(flight), func(ctx context.Context) (bool, error) { return c.callers.ask(ctx, asked) })
	if err != nil {
		return err
	}
	if !allowed {
		return oauth.Refuse(oauth.InsufficientScope, "The caller may not create jwtrefreshkeys/introspect in the namespace.")
	}
	c.callers.permitted.Put(question, struct{}{}, at.Add(permittedFor))
	return nil
}

// ask sends the review to the API server, at most accessReviewsPerSecond times a second.
func (c *ClusterCallers) ask(ctx context.Context, asked *authorizationv1.SubjectAccessReview) (allowed bool, err error) {
	if !c.limiter.Allow() {
		return false, upstream.Unavailable("the limit of SubjectAccessReviews per second is reached")
	}
	answer, err := c.clients.AuthorizationV1().SubjectAccessReviews().Create(ctx, asked, metav1.CreateOptions{})
	if err != nil {
		return false, upstream.NoAPIServer(err)
	}
	return answer.Status.Allowed, nil
}

// review returns the SubjectAccessReview of the right to ask about tokens of refresh keys in a namespace.
func (c *clusterCaller) review(namespace string) *authorizationv1.SubjectAccessReview {
	extra := make(map[string]authorizationv1.ExtraValue, len(c.user.Extra))
	for name, values := range c.user.Extra {
		extra[name] = authorizationv1.ExtraValue(values)
	}
	return &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: c.user.Username, UID: c.user.UID, Groups: c.user.Groups, Extra: extra,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Group: v1alpha1.Group, Version: v1alpha1.GroupVersion.Version, Resource: "jwtrefreshkeys", Subresource: "introspect",
			Verb: "create", Namespace: namespace,
		},
	}}
}
