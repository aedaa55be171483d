package registry

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

const (
	// rememberedReads is for how many tokens what the API server said of their key is remembered,
	// and rememberFor is for how long.
	rememberedReads = 4096
	rememberFor     = 3 * time.Second
)

// keyRead is what the API server said of the key of a token.
type keyRead struct {
	key *v1alpha1.JWTRefreshKey
	at  time.Time
}

// KeyLive is a key as the API server has it, nil when it does not exist. What it said for the
// same name and jti is remembered for some seconds, reads at the same time are one, and there
// are no more a second than was allowed: beyond that nothing is known, which is ErrUnavailable.
func (c *Cluster) KeyLive(ctx context.Context, name types.NamespacedName, jti string) (*v1alpha1.JWTRefreshKey, error) {
	if err := c.served(name.Namespace); err != nil {
		return nil, err
	}
	now := c.options.Monotonic.Now()
	// A token may name a key that is not the one its jti is of.
	question := name.String() + "/" + jti
	if last, ok := c.recentReads.Get(question); ok && now.Sub(last.at) < rememberFor {
		return last.key, nil
	}
	if !c.limiter.AllowN(now, 1) {
		return nil, fmt.Errorf("%w: too many keys are read from the API server", ErrUnavailable)
	}
	key, err := c.KeyNow(ctx, name)
	if err == nil {
		c.recentReads.Add(question, keyRead{key: key, at: now})
	}
	return key, err
}

// KeyNow is a key as the API server has it at this moment, nil when it does not exist. It is
// for what a decision is to be recorded on.
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
			return read, noAPIServer(err)
		}
		return read, nil
	})
}

// IssuerReread returns the issuer with its signing keys as the API server has them, for a token that names a signing key
// which is not known.
func (c *Cluster) IssuerReread(ctx context.Context, issuer *Issuer, kid string) (*Issuer, error) {
	err := c.lookUp(ctx, unknown{issuer.Name, issuer.URL, kid}, func(ctx context.Context) error { return c.listRings(ctx, issuer.Name) })
	if err != nil {
		return nil, err
	}
	if known := c.directory.Load().byURL[issuer.URL]; known != nil {
		return known, nil
	}
	return issuer, nil
}

// IssuersNow lists all issuers from the API server, for a token that names an unknown one.
func (c *Cluster) IssuersNow(ctx context.Context, url, kid string) error {
	return c.lookUp(ctx, unknown{"", url, kid}, c.listIssuers)
}

const (
	// lookUpRate is how many lists a second strangers can ask for, who can name any issuer and any signing key, and
	// lookUpBurst how many at once.
	lookUpRate  = 20
	lookUpBurst = 100
	// rememberedUnknown is how many pairs of issuer and signing key are remembered as unknown.
	rememberedUnknown = 1024
	// longestIssuerURL is that of spec.url, and longestKID more than that of any signing key.
	longestIssuerURL = 512
	longestKID       = 128
)

// unknown is what a token names and a list may find: a signing key of an issuer, or the issuer itself where ringsOf is empty.
// The kid of a key cannot be guessed before the key exists, so that a stranger cannot ask for it first.
type unknown struct{ ringsOf, url, kid string }

// lookUp makes a list from the API server that began after the call. Requests at the same time share one list. It is
// remembered for some seconds that a list was made for the same unknown key, and beyond a rate the result is ErrUnavailable.
func (c *Cluster) lookUp(ctx context.Context, what unknown, list func(context.Context) error) error {
	asked := c.options.Monotonic.Now()
	if at, known := c.unknown.Get(what); known && asked.Sub(at) < rememberFor {
		return nil
	}
	if len(what.url) > longestIssuerURL || len(what.kid) > longestKID {
		return nil
	}
	for {
		at, err := c.lists.Do(ctx, what.ringsOf, func(ctx context.Context) (time.Time, error) {
			at := c.options.Monotonic.Now()
			if !c.lookUpLimiter.AllowN(at, 1) {
				return at, fmt.Errorf("%w: too many unknown issuers and signing keys are looked up", ErrUnavailable)
			}
			return at, list(ctx)
		})
		if err != nil {
			return err
		}
		// The result of another request may be older than this request.
		if !at.Before(asked) {
			c.unknown.Add(what, at)
			return nil
		}
	}
}

func (c *Cluster) listRings(ctx context.Context, issuer string) error {
	var secrets corev1.SecretList
	err := c.client.List(ctx, &secrets, client.InNamespace(c.options.Namespace), client.MatchingLabels{v1alpha1.LabelSigningKeysOf: issuer})
	if err != nil {
		return noAPIServer(err)
	}
	for i := range secrets.Items {
		c.rings.remember(&secrets.Items[i])
	}
	return nil
}

func (c *Cluster) listIssuers(ctx context.Context) error {
	var list v1alpha1.JWTIssuerList
	if err := c.client.List(ctx, &list); err != nil {
		return noAPIServer(err)
	}
	for i := range list.Items {
		c.issuers.remember(&list.Items[i])
	}
	return nil
}
