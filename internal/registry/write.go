package registry

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
	"github.com/refreshkeys/refreshkeys/internal/usage"
)

// Advance records the next token of a refresh key and the use that caused it, by one compare-and-swap. If the
// refresh key was changed since it was read, it returns ErrLost.
func (c *Cluster) Advance(ctx context.Context, key *v1alpha1.JWTRefreshKey, line *v1alpha1.TokenLine, use *usage.Use) error {
	// The API server takes only the status, and compares the resourceVersion. A patch would be smaller, but costs
	// the API server half as much again.
	next := key.DeepCopy()
	next.Status.TokenLine = *line
	next.Status.LastUsed, next.Status.LastUsedRevision = &metav1.Time{Time: use.At}, use.Revision
	next.Status.DeviceInfo = &use.Seen
	if err := c.client.Status().Update(ctx, next); err != nil {
		return writeError(err)
	}
	c.remember(next)
	return nil
}

// revokeTries limits the retries of a revocation after conflicts.
var revokeTries = wait.Backoff{Steps: 10, Duration: 5 * time.Millisecond, Factor: 2, Jitter: 0.5, Cap: 500 * time.Millisecond}

// Revoke records the revocation of a refresh key, and returns after it is written: every token of the line is then
// refused. The refresh key is read from the API server. If it does not exist, is already revoked or is not due,
// Revoke writes nothing.
func (c *Cluster) Revoke(ctx context.Context, name types.NamespacedName, reason v1alpha1.RevocationReason, due func(*v1alpha1.JWTRefreshKey) bool) error {
	if err := c.served(name.Namespace); err != nil {
		return err
	}
	// An API server that does not answer counts as unavailable.
	ctx, cancel := context.WithTimeout(ctx, upstream.RequestTimeout)
	defer cancel()
	return retry.OnError(revokeTries, apierrors.IsConflict, func() error {
		key := &v1alpha1.JWTRefreshKey{}
		err := c.client.Get(ctx, name, key)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return upstream.NoAPIServer(err)
		}
		if key.Status.RevokedAt == nil && due(key) {
			now := metav1.NewTime(c.options.Clock.Now())
			key.Status.RevokedAt, key.Status.RevocationReason, key.Status.Previous = &now, reason, nil
			// An earlier request for a rotation counts as handled: it must not restore the refresh key.
			key.Status.LastHandledRotate = lifecycle.HandledRotate(key)
			if err := c.client.Status().Update(ctx, key); err != nil {
				return writeError(err)
			}
		}
		c.remember(key)
		return nil
	})
}

// writeError returns ErrLost for a write of an existing refresh key that another writer changed or deleted first, and
// upstream.ErrUnavailable for any other failure.
func writeError(err error) error {
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return lost(err)
	default:
		return upstream.NoAPIServer(err)
	}
}

// lost returns ErrLost with the refused write as the reason.
func lost(err error) error { return fmt.Errorf("%w: %w", ErrLost, err) }
