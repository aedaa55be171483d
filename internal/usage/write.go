package usage

import (
	"context"
	"encoding/json"
	"errors"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// write writes reports. Each that is not urgent waits for its turn.
func (u *Recorder) write(ctx context.Context, reports map[types.NamespacedName]*report, turn func() error) {
	var group errgroup.Group
	group.SetLimit(reportersAtOnce)
	report := func(name types.NamespacedName, r *report) {
		group.Go(func() error {
			if u.patch(ctx, name, r) != nil {
				u.putBack(name, r)
			}
			return nil
		})
	}
	for name, r := range reports {
		if r.urgent {
			report(name, r)
		}
	}
	for name, r := range reports {
		switch {
		case r.urgent:
		case turn() != nil:
			u.putBack(name, r)
		default:
			report(name, r)
		}
	}
	_ = group.Wait()
}

// errOutdated means that the use is recorded, and its revision is not yet.
var errOutdated = errors.New("the refresh key was changed since it was read")

// patch writes a report to status. lastUsedRevision of a one-time key names the token that was followed last. A
// refresh key may become a one-time key and be enrolled again before a late report, which must not mark the
// enrolment as used. So that field is written only if the refresh key is unchanged since the view, and otherwise
// with the next report.
func (u *Recorder) patch(ctx context.Context, name types.NamespacedName, r *report) error {
	// A write without an answer must not block the others.
	ctx, cancel := context.WithTimeout(ctx, upstream.RequestTimeout)
	defer cancel()
	known := u.options.Keys.Key(name)
	if r.lastUsed.IsZero() || known == nil || known.Status.LastUsedRevision >= r.revision || lifecycle.OneTime(known) {
		return u.record(ctx, name, r, "")
	}
	if err := u.record(ctx, name, r, known.ResourceVersion); !apierrors.IsConflict(err) {
		return err
	}
	if err := u.record(ctx, name, r, ""); err != nil {
		return err
	}
	return errOutdated
}

// record writes only the fields of a report, which belong to the token service alone. With a resourceVersion it
// also writes lastUsedRevision, and fails if the refresh key was changed. The UID protects a later refresh key of
// the same name.
func (u *Recorder) record(ctx context.Context, name types.NamespacedName, r *report, resourceVersion string) error {
	metadata, status := map[string]any{"uid": r.uid}, map[string]any{"deviceInfo": seenDevice(&r.seen)}
	if !r.lastUsed.IsZero() {
		status["lastUsed"] = metav1.NewTime(r.lastUsed)
	}
	if !r.superseded.IsZero() {
		status["supersededLastUsed"] = metav1.NewTime(r.superseded)
	}
	if resourceVersion != "" {
		metadata["resourceVersion"], status["lastUsedRevision"] = resourceVersion, r.revision
	}
	body, err := json.Marshal(map[string]any{"metadata": metadata, "status": status})
	if err != nil {
		return err
	}
	key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}}
	err = u.options.Keys.PatchStatus(ctx, key, client.RawPatch(types.MergePatchType, body))
	switch {
	case apierrors.IsConflict(err) && resourceVersion != "":
		return err
	case apierrors.IsNotFound(err), apierrors.IsConflict(err), apierrors.IsInvalid(err):
		return nil
	default:
		return err
	}
}

// seenDevice returns all members, with nil for unknown ones, so that the patch removes those of another device.
func seenDevice(seen *v1alpha1.SeenDevice) map[string]any {
	members := map[string]any{}
	for name, value := range map[string]string{
		"userAgent": seen.UserAgent, "browser": seen.Browser, "os": seen.OS, "id": seen.ID, "ipAddress": seen.IPAddress,
	} {
		members[name] = nil
		if value != "" {
			members[name] = value
		}
	}
	return members
}
