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
)

// Advance puts the next token of a key on record, if the key still is as it was read: one
// compare-and-swap, in which the use that brought it about is on record too. Whoever loses
// gets ErrLost.
func (c *Cluster) Advance(ctx context.Context, key *v1alpha1.JWTRefreshKey, line *v1alpha1.TokenLine, use *Use) error {
	// The API server takes nothing but the status from it, and the version for the comparison. A
	// patch would say less, and costs the API server half as much again.
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

// revokeTries is how often a revocation is tried that others forestall.
var revokeTries = wait.Backoff{Steps: 10, Duration: 5 * time.Millisecond, Factor: 2, Jitter: 0.5, Cap: 500 * time.Millisecond}

// Revoke puts the revocation of a key on record, and returns once it is there: every token
// of the line is refused from then on. It is decided on the key as the API server has it:
// one that is gone, revoked already or not to be revoked needs none.
func (c *Cluster) Revoke(ctx context.Context, name types.NamespacedName, reason v1alpha1.RevocationReason, due func(*v1alpha1.JWTRefreshKey) bool) error {
	if err := c.served(name.Namespace); err != nil {
		return err
	}
	// An API server that takes the question and never answers counts as unavailable.
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	return retry.OnError(revokeTries, apierrors.IsConflict, func() error {
		key := &v1alpha1.JWTRefreshKey{}
		err := c.client.Get(ctx, name, key)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return noAPIServer(err)
		}
		if key.Status.RevokedAt == nil && due(key) {
			now := metav1.NewTime(c.options.Clock.Now())
			key.Status.RevokedAt, key.Status.RevocationReason, key.Status.Previous = &now, reason, nil
			// A rotation that was asked for before is over with it: it must not bring the key back.
			key.Status.LastHandledRotate = lifecycle.HandledRotate(key)
			if err := c.client.Status().Update(ctx, key); err != nil {
				return writeError(err)
			}
		}
		c.remember(key)
		return nil
	})
}

func writeError(err error) error {
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return fmt.Errorf("%w: %w", ErrLost, err)
	default:
		return noAPIServer(err)
	}
}
