package tokenserver

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

const (
	// reviewFor is how long the API server's yes is believed. A no is asked for each time.
	reviewFor = 10 * time.Second
	// askFor is how long the API server's answer is waited for.
	askFor = 10 * time.Second
	// rememberedReviews is for how many callers and questions.
	rememberedReviews = 1024
)

// ClusterCallers are the users of a cluster: the API server says who they are, by a
// TokenReview, and what they may, by a SubjectAccessReview.
type ClusterCallers struct {
	clients kubernetes.Interface
	clock   clock.PassiveClock
	known   *lru.Cache[[sha256.Size]byte, review]
}

type review struct {
	user authenticationv1.UserInfo
	at   time.Time
}

// NewClusterCallers makes ClusterCallers.
func NewClusterCallers(clients kubernetes.Interface, clock clock.PassiveClock) (*ClusterCallers, error) {
	known, err := lru.New[[sha256.Size]byte, review](rememberedReviews)
	return &ClusterCallers{clients: clients, clock: clock, known: known}, err
}

// Authenticate is part of Callers. The token must be for the issuer: one that is good at the
// API server itself should never be shown around.
func (c *ClusterCallers) Authenticate(ctx context.Context, issuer, bearer string) (Caller, error) {
	question := sha256.Sum256([]byte(issuer + "\x00" + bearer))
	if user, ok := c.recall(question); ok {
		return &clusterCaller{callers: c, user: user}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	asked := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: bearer, Audiences: []string{issuer}}}
	answer, err := c.clients.AuthenticationV1().TokenReviews().Create(ctx, asked, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
	}
	// A cluster that knows nothing of audiences would leave them out of its answer.
	if !answer.Status.Authenticated || answer.Status.Error != "" || !slices.Contains(answer.Status.Audiences, issuer) {
		return nil, oauth.Refuse(oauth.InvalidToken, "The bearer token is not one that the cluster issued for this issuer.")
	}
	c.known.Add(question, review{user: answer.Status.User, at: c.clock.Now()})
	return &clusterCaller{callers: c, user: answer.Status.User}, nil
}

func (c *ClusterCallers) recall(question [sha256.Size]byte) (authenticationv1.UserInfo, bool) {
	last, ok := c.known.Get(question)
	if !ok || c.clock.Since(last.at) >= reviewFor {
		return authenticationv1.UserInfo{}, false
	}
	return last.user, true
}

type clusterCaller struct {
	callers *ClusterCallers
	user    authenticationv1.UserInfo
}

// MayIntrospect is part of Caller.
func (c *clusterCaller) MayIntrospect(ctx context.Context, namespace string) error {
	question := sha256.Sum256([]byte("may\x00" + c.user.UID + "\x00" + c.user.Username + "\x00" + namespace))
	if _, ok := c.callers.recall(question); ok {
		return nil
	}
	extra := make(map[string]authorizationv1.ExtraValue, len(c.user.Extra))
	for name, values := range c.user.Extra {
		extra[name] = authorizationv1.ExtraValue(values)
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	asked := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: c.user.Username, UID: c.user.UID, Groups: c.user.Groups, Extra: extra,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Group: v1alpha1.Group, Version: v1alpha1.GroupVersion.Version, Resource: "jwtrefreshkeys", Subresource: "introspect",
			Verb: "create", Namespace: namespace,
		},
	}}
	answer, err := c.callers.clients.AuthorizationV1().SubjectAccessReviews().Create(ctx, asked, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
	}
	if !answer.Status.Allowed {
		return oauth.Refuse(oauth.InsufficientScope, "The caller may not create jwtrefreshkeys/introspect there.")
	}
	c.callers.known.Add(question, review{at: c.callers.clock.Now()})
	return nil
}
