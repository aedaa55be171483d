package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/outlook"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// rotation holds the flags of `rotate`.
type rotation struct {
	*app
	output  *cli.Output
	waiting cli.Waiting
	now     bool
}

func (c *app) rotateCommand() *cobra.Command {
	r := &rotation{app: c, output: cli.NewOutput("rotated")}
	cmd := &cobra.Command{
		Use: "rotate NAME...", Short: "Issue new tokens; the earlier ones stay valid for an overlap",
		Long: `Issue a new token for each key. The earlier token stays valid for the overlap, so that no client loses
access. With --now, every earlier token is refused at once, as after a leak. Both reinstate a revoked key, unless
spec.revoked is true. With several keys, the command requests all rotations before it waits for one.

For a one-time key, this is a new enrolment: the operator fills its Secret again.`,
		Example: `  kubectl refreshkey rotate orders --wait
  # Tokens leaked
  kubectl refreshkey rotate orders jrk/billing --now --wait`,
		Args: cli.SomeArguments("the names of keys"), ValidArgsFunction: c.completeSeveralKeys,
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), args) },
	}
	r.output.Add(cmd)
	r.waiting.Add(cmd, "until the new token is issued")
	cmd.Flags().BoolVar(&r.now, "now", false, "refuse every earlier token at once: for a leak")
	return cmd
}

// run requests all rotations, and then waits for each and reports it.
func (r *rotation) run(ctx context.Context, args []string) error {
	if err := r.output.Check(); err != nil {
		return err
	}
	names, err := keyResource.names(args)
	if err != nil {
		return err
	}
	k, err := r.connect()
	if err != nil {
		return err
	}
	requested := map[string]*v1alpha1.JWTRefreshKey{}
	before := map[string]int64{}
	failed := r.each(ctx, names, func(name string) error {
		key, revision, err := r.request(ctx, k, name)
		if err == nil {
			requested[name], before[name] = key, revision
		}
		return err
	})
	names = slices.DeleteFunc(names, func(name string) bool { return requested[name] == nil })
	err = r.each(ctx, names, func(name string) (err error) {
		key := requested[name]
		if r.waiting.Wait {
			if key, err = r.rotated(ctx, k, name, before[name]); err != nil {
				return err
			}
		}
		return r.report(key)
	})
	return r.first(failed, err)
}

// request asks for a new token of a key. It returns the key, and its revision before.
func (r *rotation) request(ctx context.Context, k *cluster, name string) (*v1alpha1.JWTRefreshKey, int64, error) {
	defer r.Progress.During("requesting a new token")()
	key, err := k.key(ctx, name)
	if err != nil {
		return nil, 0, err
	}
	switch {
	case key.Status.Session != nil:
		return nil, 0, cli.Fail(cli.ExitRefused, "key %s is a session: its client gets the next token with the next use; to end the session: kubectl refreshkey revoke %s", name, name)
	case key.Spec.Revoked:
		return nil, 0, cli.Fail(cli.ExitRefused, "key %s is revoked by its spec: set spec.revoked to false for a new token", name)
	}
	before := key.Status.Revision
	// With nanoseconds, two requests in one second are two rotations.
	annotation, value := v1alpha1.AnnotationRotate, r.Clock.Now().UTC().Format(time.RFC3339Nano)
	if r.now {
		annotation = v1alpha1.AnnotationRotateNow
	}
	return key, before, k.annotate(ctx, key, annotation, value)
}

func (r *rotation) rotated(ctx context.Context, k *cluster, name string, before int64) (key *v1alpha1.JWTRefreshKey, err error) {
	err = r.waiting.Until(ctx, r.Progress, "waiting for the new token", func(ctx context.Context) (bool, string, error) {
		if key, err = k.key(ctx, name); err != nil {
			return false, "", err
		}
		if len(lifecycle.PendingRotations(key)) > 0 || key.Status.Revision <= before {
			return false, waitsForRotation(key), nil
		}
		return outlook.ReadyReason(key) == v1alpha1.ReasonIssued, waitsFor(key), nil
	})
	return key, err
}

// waitsForRotation returns what a requested rotation waits for.
func waitsForRotation(key *v1alpha1.JWTRefreshKey) string {
	waits := meta.IsStatusConditionTrue(key.Status.Conditions, v1alpha1.ConditionReconciling)
	if meta.IsStatusConditionTrue(key.Status.Conditions, v1alpha1.ConditionReady) && !waits {
		return "the operator has not issued the new token of key " + key.Name + " yet; is the manager running?"
	}
	return waitsFor(key)
}

func (r *rotation) report(key *v1alpha1.JWTRefreshKey) error {
	switch {
	case !r.output.IsText():
		return r.output.Print(r.Out, key)
	case !r.waiting.Wait:
		fmt.Fprintf(r.Out, "%s: rotation requested\n", fullName(key))
	case len(key.Status.Previous) > 0:
		fmt.Fprintf(r.Out, "%s rotated: revision %d; %d earlier accepted for the overlap\n", fullName(key), key.Status.Revision, len(key.Status.Previous))
	default:
		fmt.Fprintf(r.Out, "%s rotated: revision %d; every earlier token is refused\n", fullName(key), key.Status.Revision)
	}
	return nil
}

// annotate sets one annotation.
func (k *cluster) annotate(ctx context.Context, object client.Object, name, value string) error {
	return k.merge(ctx, object, map[string]any{"metadata": map[string]any{"annotations": map[string]any{name: value}}})
}

// merge sends a JSON merge patch (RFC 7386) and stores the patched object in object.
func (k *cluster) merge(ctx context.Context, object client.Object, change map[string]any) error {
	patch, err := json.Marshal(change)
	if err != nil {
		return err
	}
	kind := object.GetObjectKind().GroupVersionKind()
	err = k.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch), client.FieldOwner("kubectl-refreshkey"))
	object.GetObjectKind().SetGroupVersionKind(kind)
	return err
}
