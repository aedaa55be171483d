package identity

import (
	"context"
	"strings"
	"time"

	"golang.org/x/time/rate"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/memo"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

const (
	// ClientSecretFile is the entry of the Secret's data that contains a client secret.
	ClientSecretFile = "client-secret"
	// assertionLife is the lifetime of a client assertion. An API server issues no shorter one. Each is used for half of it.
	assertionLife = 10 * time.Minute
	// rememberedProofs is the maximum number of cached secrets and assertions.
	rememberedProofs = 256
	// proofsPerSecond bounds the requests for secrets and assertions that people who sign in can cause.
	proofsPerSecond = 10
)

// ClientProofs are what authenticates the token service as a client of providers: secrets of the operator's namespace, and tokens of its
// own ServiceAccount.
type ClientProofs struct {
	clients   kubernetes.Interface
	namespace string
	// account is the name of the ServiceAccount in the namespace; empty if it is not known.
	account string
	clock   clock.PassiveClock
	limiter *rate.Limiter
	flights upstream.Flights[string]
	known   *memo.Memo[string, string]
}

// NewClientProofs returns a ClientProofs. namespace is the operator's own, and account the token service's ServiceAccount there.
func NewClientProofs(clients kubernetes.Interface, namespace, account string, clock clock.PassiveClock) *ClientProofs {
	return &ClientProofs{
		clients: clients, namespace: namespace, account: account, clock: clock,
		limiter: rate.NewLimiter(proofsPerSecond, proofsPerSecond), known: memo.New[string, string](rememberedProofs, clock),
	}
}

// secret returns the client secret in a Secret, without line breaks at its end.
func (c *ClientProofs) secret(ctx context.Context, name string) (string, error) {
	return c.proof(ctx, "secret/"+name, readEvery, func(ctx context.Context) (string, error) {
		found, err := c.clients.CoreV1().Secrets(c.namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			found = &corev1.Secret{}
		} else if err != nil {
			return "", upstream.NoAPIServer(err)
		}
		secret := strings.TrimRight(string(found.Data[ClientSecretFile]), "\r\n")
		if secret == "" {
			return "", upstream.Unavailable("the Secret " + name + " of the operator's namespace has no " + ClientSecretFile)
		}
		return secret, nil
	})
}

// assertion returns a token of the token service's ServiceAccount for the audience.
func (c *ClientProofs) assertion(ctx context.Context, audience string) (string, error) {
	if c.account == "" {
		return "", upstream.Unavailable("the token service does not know the name of its own ServiceAccount: set --service-account")
	}
	return c.proof(ctx, "assertion/"+audience, assertionLife/2, func(ctx context.Context) (string, error) {
		seconds := int64(assertionLife / time.Second)
		asked := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}, ExpirationSeconds: &seconds}}
		issued, err := c.clients.CoreV1().ServiceAccounts(c.namespace).CreateToken(ctx, c.account, asked, metav1.CreateOptions{})
		if err != nil {
			return "", upstream.NoAPIServer(err)
		}
		return issued.Status.Token, c.foreign(ctx, issued.Status.Token)
	})
}

// foreign returns an error for a token that the API server itself accepts: a provider could use it with the rights of the token service.
func (c *ClientProofs) foreign(ctx context.Context, token string) error {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	answer, err := c.clients.AuthenticationV1().TokenReviews().Create(ctx, review, metav1.CreateOptions{})
	switch {
	case err != nil:
		return upstream.NoAPIServer(err)
	case answer.Status.Authenticated:
		return upstream.Unavailable("the API server accepts tokens for the issuerURL of the provider, so that no such token is sent to it")
	default:
		return nil
	}
}

// proof returns a cached proof, or asks for it. Concurrent callers share one request.
func (c *ClientProofs) proof(ctx context.Context, name string, life time.Duration, ask func(context.Context) (string, error)) (string, error) {
	if known, ok := c.known.Get(name); ok {
		return known, nil
	}
	return c.flights.Do(ctx, name, func(ctx context.Context) (string, error) {
		at := c.clock.Now()
		if !c.limiter.AllowN(at, 1) {
			return "", upstream.Unavailable("the limit of requests for client secrets and assertions is reached")
		}
		proof, err := ask(ctx)
		if err != nil {
			return "", err
		}
		c.known.Put(name, proof, at.Add(life))
		return proof, nil
	})
}
