package registry

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// Sessions returns the number of known sessions of an issuer, including those that have ended and are not yet
// removed.
func (c *Cluster) Sessions(issuer string) (n int) {
	for _, keys := range c.keys {
		n += keys.Count(func(key *v1alpha1.JWTRefreshKey) bool {
			return key.Status.Session != nil && lifecycle.IssuerName(key) == issuer
		})
	}
	return n
}

// SessionsKnown returns the sessions of an issuer and a subject in a namespace, from the view. They are shared and must
// not be changed.
func (c *Cluster) SessionsKnown(namespace, issuer, subject string) ([]*v1alpha1.JWTRefreshKey, error) {
	if err := c.served(namespace); err != nil {
		return nil, err
	}
	keys := c.keysIn(namespace)
	if c.outdated(keys) {
		return nil, fmt.Errorf("%w: the view of the refresh keys of namespace %s is too old", upstream.ErrUnavailable, namespace)
	}
	return keys.Select(func(key *v1alpha1.JWTRefreshKey) bool {
		session := key.Status.Session
		return session != nil && session.Subject == subject && key.Namespace == namespace && lifecycle.IssuerName(key) == issuer
	}), nil
}

// SessionsOf returns the sessions in a namespace with that value of LabelSessionOf, read from the API server.
func (c *Cluster) SessionsOf(ctx context.Context, namespace, subject string) ([]v1alpha1.JWTRefreshKey, error) {
	var list v1alpha1.JWTRefreshKeyList
	err := c.client.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelSessionOf: subject})
	if err != nil {
		return nil, upstream.NoAPIServer(err)
	}
	return list.Items, nil
}

// SessionNow returns a refresh key with its labels and annotations, as read from the API server after the call; nil if it
// does not exist.
func (c *Cluster) SessionNow(ctx context.Context, name types.NamespacedName) (*v1alpha1.JWTRefreshKey, error) {
	if err := c.served(name.Namespace); err != nil {
		return nil, err
	}
	key := &v1alpha1.JWTRefreshKey{}
	err := c.client.Get(ctx, name, key)
	switch {
	case err == nil:
		// The view keeps a part of what it is given.
		c.remember(key.DeepCopy())
		return key, nil
	case apierrors.IsNotFound(err):
		return nil, nil
	default:
		return nil, upstream.NoAPIServer(err)
	}
}

// CreateSession creates the refresh key of a session, which BeginSession then starts. If the name is taken, it
// returns ErrLost.
func (c *Cluster) CreateSession(ctx context.Context, key *v1alpha1.JWTRefreshKey) error {
	if err := c.served(key.Namespace); err != nil {
		return err
	}
	err := c.client.Create(ctx, key)
	switch {
	case err == nil:
		return nil
	case apierrors.IsAlreadyExists(err):
		return lost(err)
	default:
		return upstream.NoAPIServer(err)
	}
}

// BeginSession records the first token of a session and its login in status.
func (c *Cluster) BeginSession(ctx context.Context, key *v1alpha1.JWTRefreshKey) error {
	if err := c.client.Status().Update(ctx, key); err != nil {
		return writeError(err)
	}
	c.remember(key)
	return nil
}

// EndSession deletes a session. If the key has a resourceVersion and was changed since, it returns ErrLost.
func (c *Cluster) EndSession(ctx context.Context, key *v1alpha1.JWTRefreshKey) error {
	as := client.Preconditions{UID: ptr.To(key.UID)}
	if key.ResourceVersion != "" {
		as.ResourceVersion = ptr.To(key.ResourceVersion)
	}
	err := c.client.Delete(ctx, key, as)
	if err = client.IgnoreNotFound(err); err != nil {
		return writeError(err)
	}
	return nil
}

// accountRead is the UID of a ServiceAccount, empty if it does not exist, and the time of the read.
type accountRead struct {
	uid string
	at  time.Time
}

// ServiceAccountUID returns the UID of a ServiceAccount as read from the API server after the call; empty if it
// does not exist. Concurrent calls share one read.
func (c *Cluster) ServiceAccountUID(ctx context.Context, name types.NamespacedName) (string, error) {
	asked := c.options.Monotonic.Now()
	for {
		read, err := c.accounts.Do(ctx, name.String(), func(ctx context.Context) (accountRead, error) { return c.readAccount(ctx, name) })
		// A shared result may be older than this call.
		if err != nil || !read.at.Before(asked) {
			return read.uid, err
		}
	}
}

func (c *Cluster) readAccount(ctx context.Context, name types.NamespacedName) (accountRead, error) {
	read := accountRead{at: c.options.Monotonic.Now()}
	account := &metav1.PartialObjectMetadata{}
	account.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ServiceAccount"))
	err := c.client.Get(ctx, name, account)
	if client.IgnoreNotFound(err) != nil {
		return read, upstream.NoAPIServer(err)
	}
	if err == nil {
		read.uid = string(account.UID)
	}
	return read, nil
}
