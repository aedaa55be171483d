package pages

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/guide"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// sh runs a script in a shell and returns its output.
func (h *fixture) sh(script string) string {
	h.T.Helper()
	ctx, cancel := context.WithTimeout(h.Ctx, pageTimeout)
	defer cancel()
	out, err := h.shell(functions).Run(ctx, script)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return strings.TrimSpace(out)
}

// functions: keep NAME FILE stores a key's token; use FILE exchanges it and prints the answer, and
// stores the next token of a device.
const functions = `
keep() { kubectl get secret "$1" -n shop -o go-template='{{index .data "token" | base64decode}}' > "$2"; test -s "$2"; }
use() {
  curl --silent --cacert ca.crt "$(cat endpoint)" -d grant_type=refresh_token --data-urlencode "refresh_token@$1" > answer
  sed -n 's/.*"refresh_token":"\([^"]*\)".*/\1/p' answer > "$1.next"
  if grep -q '"access_token"' answer; then echo accepted; else sed 's/.*"error":"\([a-z_]*\)".*/\1/' answer; fi
}
revision() { kubectl wait --timeout=3m --for=jsonpath='{.status.revision}'="$2" "jrk/$1" -n shop >/dev/null; }
`

// TestAnOldSnapshotOfEtcd restores an old snapshot, and checks that the consequences and the remedy are as in
// docs/operations.md.
func TestAnOldSnapshotOfEtcd(t *testing.T) {
	h := newFixture(t)
	says := func(want string, files ...string) {
		t.Helper()
		for _, file := range files {
			if got := h.sh("use " + file); got != want {
				t.Errorf("%s: %s, want %s", file, got, want)
			}
		}
	}
	h.CreateNamespace("shop", nil)
	for _, key := range []*v1alpha1.JWTRefreshKey{
		harness.NewKey("shop", "orders"), harness.NewKey("shop", "gone"), harness.NewKey("shop", "till", func(key *v1alpha1.JWTRefreshKey) {
			key.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
		}),
	} {
		h.AwaitRevision(harness.Created(h.Harness, key), 1)
	}
	h.sh(`
kubectl get secret orders -n shop -o go-template='{{index .data "ca.crt" | base64decode}}' > ca.crt
kubectl get secret orders -n shop -o go-template='{{index .data "token-endpoint" | base64decode}}' > endpoint
keep orders orders-1; keep gone gone-1; keep till till-1`)
	snapshot := filepath.Join(t.TempDir(), "etcd")
	h.withoutEtcd(func(data string) error { return os.CopyFS(snapshot, os.DirFS(data)) })

	says("accepted", "till-1")
	h.sh(`mv till-1.next till-2
kubectl patch jrk gone -n shop --type merge -p '{"spec":{"revoked":true}}'; kubectl wait --timeout=3m --for=jsonpath='{.status.revocationReason}'=Requested jrk/gone -n shop
kubectl annotate jrk orders -n shop jwt.refreshkeys.dev/rotate-now=leak; revision orders 2; keep orders orders-2
until [ "$(use gone-1)" = invalid_grant ]; do :; done`)
	says("invalid_grant", "gone-1", "orders-1")
	says("accepted", "orders-2")

	h.withoutEtcd(func(data string) error {
		if err := os.RemoveAll(data); err != nil {
			return err
		}
		return os.CopyFS(data, os.DirFS(snapshot))
	})
	remedy := h.remedy()
	h.restartOperator()
	says("accepted", "gone-1", "orders-1", "till-1")
	says("invalid_grant", "orders-2")

	h.sh(remedy + `
revision orders 2; keep orders orders-3
kubectl wait --timeout=3m --for=jsonpath='{.status.revocationReason}'=KeyWithdrawn jrk/till -n shop`)
	says("invalid_grant", "gone-1", "orders-1", "orders-2", "till-1", "till-2")
	says("accepted", "orders-3")
}

// withoutEtcd stops etcd while a function works on its data. A manager that loses its lease in that time ends, and is started again as a
// kubelet would.
func (h *fixture) withoutEtcd(do func(data string) error) {
	h.T.Helper()
	ctx, cancel := context.WithTimeout(h.Ctx, pageTimeout)
	defer cancel()
	steps := []func() error{
		func() error { return suite.ControllerManager.Stop(ctx) },
		func() error { return suite.APIServer.Stop(ctx) },
		func() error { return suite.Etcd.Stop(ctx) },
		func() error { return do(filepath.Join(suite.Dir(), "etcd")) },
		func() error { return suite.Etcd.Start(ctx) },
		func() error { return suite.APIServer.Start(ctx) },
		func() error { return suite.ControllerManager.Start(ctx) },
		func() error { return suite.Process("manager").Start(ctx) },
	}
	for _, step := range steps {
		h.Expect(step()).To(gomega.Succeed())
	}
}

// remedy returns the remedy on the page without the restart of Deployments, which are processes here.
func (h *fixture) remedy() string {
	h.T.Helper()
	p, err := guide.Read(filepath.Join(suite.root, "docs", "operations.md"))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	steps := p.Of(h.T.Name())
	if len(steps) != 1 {
		h.T.Fatalf("the page has %d blocks for this test, want the remedy", len(steps))
	}
	restart, rest, _ := strings.Cut(steps[0].Commands, "\n")
	if !strings.HasPrefix(restart, "kubectl rollout restart deployment") {
		h.T.Fatalf("the page begins with %q", restart)
	}
	return rest
}

func (h *fixture) restartOperator() {
	h.T.Helper()
	ctx, cancel := context.WithTimeout(h.Ctx, time.Minute)
	defer cancel()
	for _, name := range []string{"tokenserver-1", "tokenserver-2", "manager"} {
		process := suite.Process(name)
		h.Expect(process.Stop(ctx)).To(gomega.Succeed())
		h.Expect(process.Start(ctx)).To(gomega.Succeed())
	}
}
