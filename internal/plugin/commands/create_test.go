package commands

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// operated returns a change of the harness by an operator.
func operated(operate func(*fakeCluster, client.Object)) func(*harness) {
	return func(w *harness) { w.prepare = func(f *fakeCluster) { f.operate = operate } }
}

func TestCreate(t *testing.T) {
	const all = "create till --audience https://orders.example.com --lifetime 30d --issuer people --scope orders:read,orders:write --subject shop:till " +
		"--claim tier=gold --claim level:=3 --mode OneTimeUse --expires-at 90d --idle-timeout 1w2d --access-token-lifetime 5m " +
		"--binding-service-account till --binding-jwk-thumbprint thumb --secret other"
	deny := func(f *fakeCluster, object client.Object) {
		if key, ok := object.(*v1alpha1.JWTRefreshKey); ok {
			f.change(key, func() { stalled(key, v1alpha1.ReasonPolicyDenied) })
		}
	}
	play(t, "create", []row{
		{name: "the least", args: "create till --audience https://orders.example.com"},
		{name: "all of it", args: all + " -o yaml"},
		{name: "until it is issued", args: "create till --audience https://orders.example.com --wait", with: operated(issue)},
		{name: "until it is issued, in JSON", args: "create till --audience https://orders.example.com --wait -o json", with: operated(issue)},
		{name: "without a manager", args: "create till --audience https://orders.example.com --wait --timeout 1s", code: cli.ExitTimedOut},
		{name: "denied", args: "create till --audience https://orders.example.org --wait", with: operated(deny), code: cli.ExitRefused},
		{name: "a dry run", args: "create till --audience https://orders.example.com --dry-run -o yaml", after: wantNoTill},
		{name: "a dry run in a namespace", args: "create till --audience https://orders.example.com --dry-run=client -n billing -o yaml", after: wantNoTill},
		{name: "a dry run, as text", args: "create till --audience https://orders.example.com --dry-run=client", after: wantNoTill},
		{name: "a dry run at the server", args: "create till --audience https://orders.example.com --dry-run=server", after: wantNoTill},
		{name: "without a Secret, until a time", args: "create till --audience a --secret - --expires-at 2027-06-30T02:00:00+02:00 -o yaml"},
		{name: "without a Secret, until it is issued", args: "create till --audience https://orders.example.com --secret - --wait", with: operated(func(f *fakeCluster, object client.Object) {
			issue(f, object)
			if key, ok := object.(*v1alpha1.JWTRefreshKey); ok {
				f.change(key, func() { key.Status.SecretName = "" })
			}
		})},
		{name: "with names of kubectl", args: "create jrk/till --audience https://orders.example.com --issuer jwtissuer/people --dry-run -o yaml", after: wantNoTill},
		{name: "no audience", args: "create till", code: cli.ExitUsage},
		{name: "a wrong lifetime", args: "create till --audience a --lifetime soon", code: cli.ExitUsage},
		{name: "a wrong end", args: "create till --audience a --expires-at whenever", code: cli.ExitUsage},
		{name: "a claim that is no JSON", args: "create till --audience a --claim level:=gold", code: cli.ExitUsage},
		{name: "a claim without a value", args: "create till --audience a --claim level", code: cli.ExitUsage},
		{name: "a claim twice", args: "create till --audience a --claim level=1 --claim level=2", code: cli.ExitUsage},
		{name: "a wrong dry run", args: "create till --audience a --dry-run=perhaps", code: cli.ExitUsage},
		{name: "an unknown format", args: "create till --audience a -o picture", code: cli.ExitUsage},
		{name: "no name", args: "create --audience a", code: cli.ExitUsage},
		{name: "two names", args: "create one two --audience a", code: cli.ExitUsage},
		{name: "it exists", args: "create orders --audience a", code: cli.ExitError},
		{name: "no rights", args: "create till --audience a --as guest", code: cli.ExitError},
	})
}

func wantNoTill(t *testing.T, w *harness) {
	t.Helper()
	if err := w.cluster.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "till"}, &v1alpha1.JWTRefreshKey{}); err == nil {
		t.Error("the key was created")
	}
}
