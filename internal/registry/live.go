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
	// ringsEvery is how often at most the signing keys of an issuer are read for a key that they lack.
	ringsEvery = 5 * time.Second
)

// recollection is what the API server said of the key of a token.
type recollection struct {
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
	now := c.options.Pulse.Now()
	// A token may name a key that is not the one its jti is of.
	question := name.String() + "/" + jti
	if last, ok := c.recalled.Get(question); ok && now.Sub(last.at) < rememberFor {
		return last.key, nil
	}
	if !c.limiter.AllowN(now, 1) {
		return nil, fmt.Errorf("%w: too many keys are read from the API server", ErrUnavailable)
	}
	key, err := c.KeyNow(ctx, name)
	if err == nil {
		c.recalled.Add(question, recollection{key: key, at: now})
	}
	return key, err
}

// KeyNow is a key as the API server has it at this moment, nil when it does not exist. It is
// for what a decision is to be recorded on.
func (c *Cluster) KeyNow(ctx context.Context, name types.NamespacedName) (*v1alpha1.JWTRefreshKey, error) {
	asked := c.options.Pulse.Now()
	for {
		read, err := c.readKey(ctx, name)
		// The result of another request may be older than this request.
		if err != nil || !read.at.Before(asked) {
			return read.key, err
		}
	}
}

func (c *Cluster) readKey(ctx context.Context, name types.NamespacedName) (recollection, error) {
	return c.flights.Do(ctx, name.String(), func(ctx context.Context) (recollection, error) {
		read := recollection{at: c.options.Pulse.Now()}
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

// ringsRead is when the signing keys of an issuer were read for a key that they lack, and what
// came of it.
type ringsRead struct {
	at  time.Time
	err error
}

// IssuerReread is the issuer with its signing keys as the API server has them: for a token
// that names a key which is not known. They are read at most once per issuer and 5 s; in
// between it returns the issuer as it is known, and the error where it could not be read.
func (c *Cluster) IssuerReread(ctx context.Context, issuer *Issuer) (*Issuer, error) {
	// Who comes while they are read waits too: it is no use to judge by what is just found out of date.
	_, err := c.rereads.Do(ctx, issuer.Name, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, c.readRings(ctx, issuer.Name)
	})
	if err != nil {
		return nil, err
	}
	if known := c.directory.Load().byURL[issuer.URL]; known != nil {
		return known, nil
	}
	return issuer, nil
}

// forgetRereads drops what is remembered of the issuers that do not exist any more. The caller
// holds the lock.
func (c *Cluster) forgetRereads() {
	for name := range c.reread {
		if _, found := c.issuers.get(types.NamespacedName{Name: name}); !found {
			delete(c.reread, name)
		}
	}
}

func (c *Cluster) readRings(ctx context.Context, issuer string) error {
	now := c.options.Pulse.Now()
	c.rebuilding.Lock()
	last, before := c.reread[issuer]
	c.rebuilding.Unlock()
	if before && now.Sub(last.at) < ringsEvery {
		return last.err
	}
	var secrets corev1.SecretList
	err := c.client.List(ctx, &secrets, client.InNamespace(c.options.Namespace), client.MatchingLabels{v1alpha1.LabelSigningKeysOf: issuer})
	if err != nil {
		err = noAPIServer(err)
	}
	c.rebuilding.Lock()
	c.reread[issuer] = ringsRead{at: now, err: err}
	c.rebuilding.Unlock()
	for i := range secrets.Items {
		c.rings.remember(&secrets.Items[i])
	}
	return err
}

const (
	// issuerLists is how often a second issuers are listed for tokens that name one which is not known, and
	// issuerListsAtOnce how many such lists there are at once: strangers can name any URL.
	issuerLists       = 20
	issuerListsAtOnce = 100
	// rememberedIssuers is for how many URLs it is remembered that there was no issuer.
	rememberedIssuers = 1024
	// longestIssuerURL is that of spec.url.
	longestIssuerURL = 512
)

// IssuersNow lists all issuers from the API server, for a token that names an unknown one. Requests at the same time
// share one list, the result is remembered for some seconds for the same URL, and beyond a rate the result is
// ErrUnavailable.
func (c *Cluster) IssuersNow(ctx context.Context, url string) error {
	asked := c.options.Pulse.Now()
	if at, known := c.listed.Get(url); len(url) > longestIssuerURL || (known && asked.Sub(at) < rememberFor) {
		return nil
	}
	if !c.strangers.AllowN(asked, 1) {
		return fmt.Errorf("%w: too many issuers are looked up", ErrUnavailable)
	}
	for {
		at, err := c.listings.Do(ctx, "", c.listIssuers)
		if err != nil {
			return err
		}
		// The result of another request may be older than this request.
		if !at.Before(asked) {
			c.listed.Add(url, at)
			return nil
		}
	}
}

func (c *Cluster) listIssuers(ctx context.Context) (time.Time, error) {
	at := c.options.Pulse.Now()
	var list v1alpha1.JWTIssuerList
	if err := c.client.List(ctx, &list); err != nil {
		return at, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	for i := range list.Items {
		c.issuers.remember(&list.Items[i])
	}
	return at, nil
}
