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
)

// Sessions is how many sessions of an issuer are known, those included that are over and not
// yet removed.
func (c *Cluster) Sessions(issuer string) (n int) {
	for _, keys := range c.keys {
		n += keys.count(func(key *v1alpha1.JWTRefreshKey) bool {
			return key.Status.Session != nil && lifecycle.IssuerName(key) == issuer
		})
	}
	return n
}

// SessionsOf are the sessions in a namespace with that value of LabelSessionOf, as the API
// server has them at this moment.
func (c *Cluster) SessionsOf(ctx context.Context, namespace, subject string) ([]v1alpha1.JWTRefreshKey, error) {
	var list v1alpha1.JWTRefreshKeyList
	err := c.client.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelSessionOf: subject})
	if err != nil {
		return nil, noAPIServer(err)
	}
	return list.Items, nil
}

// CreateSession makes the key of a session, which begins with BeginSession. A name that is
// taken is ErrLost.
func (c *Cluster) CreateSession(ctx context.Context, key *v1alpha1.JWTRefreshKey) error {
	if err := c.served(key.Namespace); err != nil {
		return err
	}
	err := c.client.Create(ctx, key)
	switch {
	case err == nil:
		return nil
	case apierrors.IsAlreadyExists(err):
		return fmt.Errorf("%w: %w", ErrLost, err)
	default:
		return noAPIServer(err)
	}
}

// BeginSession puts the first token of a session on record, with who signed in.
func (c *Cluster) BeginSession(ctx context.Context, key *v1alpha1.JWTRefreshKey) error {
	if err := c.client.Status().Update(ctx, key); err != nil {
		return writeError(err)
	}
	c.remember(key)
	return nil
}

// EndSession deletes a session if it still is as it was read, and otherwise is ErrLost. One
// without a resourceVersion is deleted whatever became of it.
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

// accountRead is the UID of a ServiceAccount, empty when there is none, and when it was asked for.
type accountRead struct {
	uid string
	at  time.Time
}

// ServiceAccountUID is that of a ServiceAccount at this moment, empty when there is none. Those who ask about one at the same
// time get one answer, however many of its sessions are in use.
func (c *Cluster) ServiceAccountUID(ctx context.Context, name types.NamespacedName) (string, error) {
	asked := c.options.Monotonic.Now()
	for {
		read, err := c.accounts.Do(ctx, name.String(), func(ctx context.Context) (accountRead, error) { return c.readAccount(ctx, name) })
		// What another's question found may be older than this one.
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
		return read, noAPIServer(err)
	}
	if err == nil {
		read.uid = string(account.UID)
	}
	return read, nil
}
