package registry

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/usage"
)

// Used records an exchange. It never waits.
func (c *Cluster) Used(use *usage.Use) { c.uses.Used(use) }

// ReportUses writes the recorded uses that are due now, within the limit.
func (c *Cluster) ReportUses(ctx context.Context) { c.uses.Report(ctx) }

// usedKeys are the refresh keys that a usage.Recorder reports about.
type usedKeys struct{ cluster *Cluster }

// Key implements usage.Keys.
func (k usedKeys) Key(name types.NamespacedName) *v1alpha1.JWTRefreshKey { return k.cluster.Key(name) }

// PatchStatus implements usage.Keys.
func (k usedKeys) PatchStatus(ctx context.Context, key *v1alpha1.JWTRefreshKey, patch client.Patch) error {
	if err := k.cluster.client.Status().Patch(ctx, key, patch); err != nil {
		return err
	}
	k.cluster.remember(key)
	return nil
}
