package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// measureRotation requests a new revision of some keys and counts the writes.
func measureRotation(ctx context.Context, l *lab, r *report) error {
	if err := l.fill(ctx, l.settings.rotationKeys); err != nil {
		return err
	}
	from := l.resting[0]
	keys, err := l.list(ctx, from)
	if err != nil {
		return err
	}
	keys = keys[:min(len(keys), l.settings.rotationKeys)]
	before, err := l.countWrites(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := l.annotate(ctx, keys); err != nil {
		return err
	}
	if err := l.awaitRevision(ctx, from, 2, len(keys)); err != nil {
		return err
	}
	took := time.Since(began)
	after, err := l.countWrites(ctx)
	if err != nil {
		return err
	}
	cost := after.since(before)
	perKey := (cost.secrets + cost.statuses) / float64(len(keys))
	r.add(&figure{
		what: "API writes per rotation", measured: fmt.Sprintf("%.3f", perKey), limit: "2", ratio: fmt.Sprintf("%.3f", perKey/2), target: "2",
		met: perKey == 2,
		note: fmt.Sprintf("%.0f of Secrets and %.0f of status for %d keys, all asked for by annotation and done within %.1fs",
			cost.secrets, cost.statuses, len(keys), took.Seconds()),
	})
	return nil
}

func (l *lab) annotate(ctx context.Context, keys []v1alpha1.JWTRefreshKey) error {
	patch := client.RawPatch(types.MergePatchType,
		fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationRotate, time.Now().UTC().Format(time.RFC3339)))
	return batch{keys: len(keys)}.each(ctx, adminWorkers, func(ctx context.Context, i int) error {
		return l.admin.Patch(ctx, &keys[i], patch)
	})
}

// awaitRevision waits until a number of keys have a revision, and the manager is at rest.
func (l *lab) awaitRevision(ctx context.Context, b batch, revision int64, want int) error {
	for {
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
		if err := l.awaitRest(ctx, b.keys, time.Second); err != nil {
			return err
		}
		keys, err := l.listIssued(ctx, b)
		if err != nil {
			return err
		}
		have := 0
		for i := range keys {
			if keys[i].Status.Revision >= revision {
				have++
			}
		}
		if have >= want {
			return nil
		}
	}
}
