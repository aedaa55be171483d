package plugin

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// operated returns a change of the world by an operator.
func operated(operate func(*fakeCluster, client.Object)) func(*world) {
	return func(w *world) { w.prepare = func(f *fakeCluster) { f.operate = operate } }
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
		{name: "without a manager", args: "create till --audience https://orders.example.com --wait --timeout 1s", code: exitTimedOut},
		{name: "denied", args: "create till --audience https://orders.example.org --wait", with: operated(deny), code: exitRefused},
		{name: "a dry run", args: "create till --audience https://orders.example.com --dry-run -o yaml", after: wantNoTill},
		{name: "a dry run in a namespace", args: "create till --audience https://orders.example.com --dry-run=client -n billing -o yaml", after: wantNoTill},
		{name: "a dry run, as text", args: "create till --audience https://orders.example.com --dry-run=client", after: wantNoTill},
		{name: "a dry run at the server", args: "create till --audience https://orders.example.com --dry-run=server", after: wantNoTill},
		{name: "without a Secret, until a time", args: "create till --audience a --secret - --expires-at 2027-06-30T02:00:00+02:00 -o yaml"},
		{name: "no audience", args: "create till", code: exitUsage},
		{name: "a wrong lifetime", args: "create till --audience a --lifetime soon", code: exitUsage},
		{name: "a wrong end", args: "create till --audience a --expires-at whenever", code: exitUsage},
		{name: "a claim that is no JSON", args: "create till --audience a --claim level:=gold", code: exitUsage},
		{name: "a claim without a value", args: "create till --audience a --claim level", code: exitUsage},
		{name: "a claim twice", args: "create till --audience a --claim level=1 --claim level=2", code: exitUsage},
		{name: "a wrong dry run", args: "create till --audience a --dry-run=perhaps", code: exitUsage},
		{name: "an unknown format", args: "create till --audience a -o picture", code: exitUsage},
		{name: "no name", args: "create --audience a", code: exitUsage},
		{name: "two names", args: "create one two --audience a", code: exitUsage},
		{name: "it exists", args: "create orders --audience a", code: exitError},
		{name: "no rights", args: "create till --audience a --as nobody", code: exitError},
	})
}

func wantNoTill(t *testing.T, w *world) {
	t.Helper()
	if err := w.cluster.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "till"}, &v1alpha1.JWTRefreshKey{}); err == nil {
		t.Error("the key was created")
	}
}
