package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// operation is one of a JSON Patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// Advance puts the next token of a key on record, if the key still is as it was read: one
// compare-and-swap, in which the use that brought it about is on record too. Whoever loses
// gets ErrLost.
func (c *Cluster) Advance(ctx context.Context, key *v1alpha1.JWTRefreshKey, line *v1alpha1.TokenLine, use *Use) error {
	patch, err := json.Marshal([]operation{
		// The version makes it a compare-and-swap: the API server refuses it over any other.
		{"replace", "/metadata/resourceVersion", key.ResourceVersion},
		{"add", "/status/revision", line.Revision},
		{"add", "/status/jti", line.JTI},
		{"add", "/status/tokenHash", line.TokenHash},
		{"add", "/status/keyID", line.KeyID},
		{"add", "/status/createdAt", line.CreatedAt},
		{"add", "/status/expiresAt", line.ExpiresAt},
		{"add", "/status/content", line.Content},
		{"add", "/status/previous", line.Previous},
		{"add", "/status/lastUsed", metav1.NewTime(use.At)},
		{"add", "/status/lastUsedRevision", use.Revision},
		{"add", "/status/deviceInfo", use.Seen},
	})
	if err != nil {
		return err
	}
	written := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	if err := c.client.Status().Patch(ctx, written, client.RawPatch(types.JSONPatchType, patch)); err != nil {
		return writeError(err)
	}
	c.keys.remember(written)
	return nil
}

// revokeTries is how often a revocation is tried that others forestall.
var revokeTries = wait.Backoff{Steps: 10, Duration: 5 * time.Millisecond, Factor: 2, Jitter: 0.5, Cap: 500 * time.Millisecond}

// Revoke puts the revocation of a key on record, and returns once it is there: every token
// of the line is refused from then on. It is decided on the key as the API server has it:
// one that is gone, revoked already or not to be revoked needs none.
func (c *Cluster) Revoke(ctx context.Context, name types.NamespacedName, reason v1alpha1.RevocationReason, due func(*v1alpha1.JWTRefreshKey) bool) error {
	return retry.OnError(revokeTries, apierrors.IsConflict, func() error {
		key := &v1alpha1.JWTRefreshKey{}
		err := c.client.Get(ctx, name, key)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
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
		c.keys.remember(key)
		return nil
	})
}

func writeError(err error) error {
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return fmt.Errorf("%w: %w", ErrLost, err)
	default:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}
