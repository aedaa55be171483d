package commands

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// TestRotate checks the runs of rotate, and that the annotation has the time with nanoseconds: two requests in one second
// are two rotations.
func TestRotate(t *testing.T) {
	type key = v1alpha1.JWTRefreshKey
	wait := func(f *fakeCluster, object client.Object) {
		if key, ok := object.(*v1alpha1.JWTRefreshKey); ok {
			f.change(key, func() {
				key.Status.Conditions = append(key.Status.Conditions, metav1.Condition{
					Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonOverlapPending, Message: "The next token waits until noon.",
				})
			})
		}
	}
	annotated := func(name string) func(*testing.T, *harness) {
		return func(t *testing.T, w *harness) {
			t.Helper()
			key := &v1alpha1.JWTRefreshKey{}
			if err := w.cluster.Get(t.Context(), client.ObjectKeyFromObject(w.key), key); err != nil {
				t.Fatal(err)
			}
			if got := key.Annotations[name]; got != noon.Format(time.RFC3339Nano) {
				t.Errorf("the annotation %s is %q", name, got)
			}
		}
	}
	play(t, "rotate", []row{
		{name: "requested", args: "rotate orders", after: annotated(v1alpha1.AnnotationRotate)},
		{name: "until it is issued", args: "rotate orders --wait", with: operated(issue)},
		{name: "after a leak", args: "rotate orders --now --wait", with: operated(issue), after: annotated(v1alpha1.AnnotationRotateNow)},
		{name: "its name", args: "rotate orders --now -o name"},
		{name: "without a manager", args: "rotate orders --wait --timeout 1s", code: cli.ExitTimedOut},
		{name: "the next token waits", args: "rotate orders --wait --timeout 1s", with: operated(wait), code: cli.ExitTimedOut},
		{name: "a session", args: "rotate orders", with: changing(func(k *key) { k.Status.Session = &v1alpha1.SessionStatus{} }), code: cli.ExitRefused},
		{name: "revoked by its spec", args: "rotate orders", with: changing(func(k *key) { k.Spec.Revoked = true }), code: cli.ExitRefused},
		{name: "several, until they are issued", args: "rotate orders jrk/expires --wait", with: all(several, operated(issue))},
		{name: "several, one of which is a session", args: "rotate -n billing session-1 signin-2 nothing", with: several, code: cli.ExitRefused},
		{name: "no such key", args: "rotate nothing", code: cli.ExitNotFound},
		{name: "no name", args: "rotate", code: cli.ExitUsage},
		{name: "a wrong timeout", args: "rotate orders --timeout soon", code: cli.ExitUsage},
		{name: "an unknown format", args: "rotate orders -o picture", code: cli.ExitUsage},
		{name: "no rights", args: "rotate orders --as guest", code: cli.ExitError},
	})
}
