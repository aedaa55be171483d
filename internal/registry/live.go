package registry

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

const (
	// rememberedReads is the maximum number of cached reads, one for each token, and rememberFor is how long.
	rememberedReads = 4096
	rememberFor     = 3 * time.Second
)

// keyRead is the result of reading the refresh key of a token; key is nil if it does not exist.
type keyRead struct {
	key *v1alpha1.JWTRefreshKey
	at  time.Time
}

// KeyLive returns a refresh key as read from the API server; nil if it does not exist. Results for the same name
// and jti are cached for rememberFor, concurrent reads are shared, and reads are limited to LiveReads a second.
// Above the limit it returns ErrUnavailable.
func (c *Cluster) KeyLive(ctx context.Context, name types.NamespacedName, jti string) (*v1alpha1.JWTRefreshKey, error) {
	if err := c.served(name.Namespace); err != nil {
		return nil, err
	}
	now := c.options.Monotonic.Now()
	// A forged token may combine the name of one refresh key with the jti of another.
	question := name.String() + "/" + jti
	if key, known := c.recentReads.Get(question); known {
		return key, nil
	}
	if !c.limiter.AllowN(now, 1) {
		return nil, upstream.Unavailable("too many keys are read from the API server")
	}
	key, err := c.KeyNow(ctx, name)
	if err == nil {
		c.recentReads.Put(question, key, now.Add(rememberFor))
	}
	return key, err
}

// KeyNow returns a refresh key as read from the API server after the call; nil if it does not exist. It is the
// base for writing a decision.
func (c *Cluster) KeyNow(ctx context.Context, name types.NamespacedName) (*v1alpha1.JWTRefreshKey, error) {
	asked := c.options.Monotonic.Now()
	for {
		read, err := c.readKey(ctx, name)
		// The result of another request may be older than this request.
		if err != nil || !read.at.Before(asked) {
			return read.key, err
		}
	}
}

func (c *Cluster) readKey(ctx context.Context, name types.NamespacedName) (keyRead, error) {
	return c.flights.Do(ctx, name.String(), func(ctx context.Context) (keyRead, error) {
		read := keyRead{at: c.options.Monotonic.Now()}
		key := &v1alpha1.JWTRefreshKey{}
		err := c.client.Get(ctx, name, key)
		switch {
		case err == nil:
			c.remember(key)
			read.key = key
		case !apierrors.IsNotFound(err):
			return read, upstream.NoAPIServer(err)
		}
		return read, nil
	})
}

// IssuerReread returns the issuer with its signing keys as read from the API server, for a token with an unknown
// kid.
func (c *Cluster) IssuerReread(ctx context.Context, issuer *Issuer, kid string) (*Issuer, error) {
	err := c.lookUp(ctx, unknown{issuer.Name, issuer.URL, kid}, func(ctx context.Context) error { return c.listRings(ctx, issuer.Name) })
	if err != nil {
		return nil, err
	}
	if known := c.directory.Load().Issuer(issuer.URL); known != nil {
		return known, nil
	}
	return issuer, nil
}

// IssuersNow lists all issuers from the API server, for a token that names an unknown one.
func (c *Cluster) IssuersNow(ctx context.Context, url, kid string) error {
	return c.lookUp(ctx, unknown{"", url, kid}, c.listIssuers)
}

const (
	// lookUpRate is how many lists a second are made for unknown issuers and signing keys, which any client can
	// name; lookUpBurst is how many at once.
	lookUpRate  = 20
	lookUpBurst = 100
	// rememberedUnknown is the maximum number of cached pairs of issuer and signing key that were not found.
	rememberedUnknown = 1024
	// longestIssuerURL is the limit of spec.url, and longestKID is longer than any kid.
	longestIssuerURL = 512
	longestKID       = 128
)

// unknown is what a token names and a list may find: a signing key of the issuer ringsOf, or the issuer itself if
// ringsOf is empty. A kid cannot be guessed before its signing key exists, so no other client can cause an early
// negative result.
type unknown struct{ ringsOf, url, kid string }

// lookUp makes a list from the API server that begins after the call. Concurrent calls share one list. For
// rememberFor, a list is not repeated for the same unknown key. Above the rate limit lookUp returns
// ErrUnavailable.
func (c *Cluster) lookUp(ctx context.Context, what unknown, list func(context.Context) error) error {
	// No issuer and no signing key has so long a name, and it must not occupy the cache.
	if len(what.url) > longestIssuerURL || len(what.kid) > longestKID {
		return nil
	}
	asked := c.options.Monotonic.Now()
	if _, known := c.unknown.Get(what); known {
		return nil
	}
	for {
		at, err := c.lists.Do(ctx, what.ringsOf, func(ctx context.Context) (time.Time, error) {
			at := c.options.Monotonic.Now()
			if !c.lookUpLimiter.AllowN(at, 1) {
				return at, upstream.Unavailable("too many unknown issuers and signing keys are looked up")
			}
			return at, list(ctx)
		})
		if err != nil {
			return err
		}
		// The result of another request may be older than this request.
		if !at.Before(asked) {
			c.unknown.Put(what, struct{}{}, at.Add(rememberFor))
			return nil
		}
	}
}

func (c *Cluster) listRings(ctx context.Context, issuer string) error {
	var secrets corev1.SecretList
	err := c.client.List(ctx, &secrets, client.InNamespace(c.options.Namespace), client.MatchingLabels{v1alpha1.LabelSigningKeysOf: issuer})
	if err != nil {
		return upstream.NoAPIServer(err)
	}
	for i := range secrets.Items {
		c.rings.Remember(&secrets.Items[i])
	}
	return nil
}

func (c *Cluster) listIssuers(ctx context.Context) error {
	var list v1alpha1.JWTIssuerList
	if err := c.client.List(ctx, &list); err != nil {
		return upstream.NoAPIServer(err)
	}
	for i := range list.Items {
		c.issuers.Remember(&list.Items[i])
	}
	return nil
}
