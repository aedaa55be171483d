package pages

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/test/framework/guide"
)

// sh runs a script in a shell and returns its output.
func (s *shell) sh(t *testing.T, dir, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pageTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", functions+script)
	command.Dir, command.Env = dir, s.environment(dir)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\nfails: %v\n%s", script, err, guide.Masked(string(out)))
	}
	return strings.TrimSpace(string(out))
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
revision() { kubectl wait --for=jsonpath='{.status.revision}'="$2" "jrk/$1" -n shop >/dev/null; }
`

const lostHour = `
apiVersion: jwt.refreshkeys.dev/v1alpha1
kind: JWTRefreshKey
metadata: {name: orders, namespace: shop}
spec: {audience: https://orders.example.com}
---
apiVersion: jwt.refreshkeys.dev/v1alpha1
kind: JWTRefreshKey
metadata: {name: gone, namespace: shop}
spec: {audience: https://orders.example.com}
---
apiVersion: jwt.refreshkeys.dev/v1alpha1
kind: JWTRefreshKey
metadata: {name: till, namespace: shop}
spec: {audience: https://orders.example.com, rotation: {mode: OneTimeUse}}
`

// TestAnOldSnapshotOfEtcd restores an old snapshot, and checks that the consequences and the remedy are as in
// docs/operations.md.
func TestAnOldSnapshotOfEtcd(t *testing.T) {
	s, dir := shared, t.TempDir()
	defer s.tidy(t)
	for name, content := range map[string]string{"keys.yaml": lostHour} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	says := func(want string, files ...string) {
		t.Helper()
		for _, file := range files {
			if got := s.sh(t, dir, "use "+file); got != want {
				t.Errorf("%s: %s, want %s", file, got, want)
			}
		}
	}
	s.sh(t, dir, `
kubectl apply -f keys.yaml; kubectl wait --for=condition=Ready jrk --all -n shop
kubectl get secret orders -n shop -o go-template='{{index .data "ca.crt" | base64decode}}' > ca.crt
kubectl get secret orders -n shop -o go-template='{{index .data "token-endpoint" | base64decode}}' > endpoint
keep orders orders-1; keep gone gone-1; keep till till-1`)
	snapshot := filepath.Join(t.TempDir(), "etcd")
	s.withoutEtcd(t, func(data string) error { return os.CopyFS(snapshot, os.DirFS(data)) })

	says("accepted", "till-1")
	s.sh(t, dir, `mv till-1.next till-2
kubectl patch jrk gone -n shop --type merge -p '{"spec":{"revoked":true}}'; kubectl wait --for=jsonpath='{.status.revocationReason}'=Requested jrk/gone -n shop
kubectl annotate jrk orders -n shop jwt.refreshkeys.dev/rotate-now=leak; revision orders 2; keep orders orders-2
until [ "$(use gone-1)" = invalid_grant ]; do :; done`)
	says("invalid_grant", "gone-1", "orders-1")
	says("accepted", "orders-2")

	s.withoutEtcd(t, func(data string) error {
		if err := os.RemoveAll(data); err != nil {
			return err
		}
		return os.CopyFS(data, os.DirFS(snapshot))
	})
	remedy := s.remedy(t)
	s.restartOperator(t)
	says("accepted", "gone-1", "orders-1", "till-1")
	says("invalid_grant", "orders-2")

	s.sh(t, dir, remedy+`
revision orders 2; keep orders orders-3
kubectl wait --for=jsonpath='{.status.revocationReason}'=KeyWithdrawn jrk/till -n shop`)
	says("invalid_grant", "gone-1", "orders-1", "orders-2", "till-1", "till-2")
	says("accepted", "orders-3")
}

// withoutEtcd stops etcd while a function works on its data.
func (s *shell) withoutEtcd(t *testing.T, do func(data string) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pageTimeout)
	defer cancel()
	steps := []func() error{
		func() error { return s.cluster.ControllerManager.Stop(ctx) },
		func() error { return s.cluster.APIServer.Stop(ctx) },
		func() error { return s.cluster.Etcd.Stop(ctx) },
		func() error { return do(filepath.Join(s.cluster.Dir(), "etcd")) },
		func() error { return s.cluster.Etcd.Start(ctx) },
		func() error { return s.cluster.APIServer.Start(ctx) },
		func() error { return s.cluster.ControllerManager.Start(ctx) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

// remedy returns the remedy on the page without the restart of Deployments, which are processes here.
func (s *shell) remedy(t *testing.T) string {
	t.Helper()
	p, err := guide.Read(filepath.Join(s.root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range p.Steps {
		if step.Elsewhere == t.Name() {
			restart, rest, _ := strings.Cut(step.Commands, "\n")
			if !strings.HasPrefix(restart, "kubectl rollout restart deployment") {
				t.Fatalf("the page begins with %q", restart)
			}
			return rest
		}
	}
	t.Fatal("the page has no remedy")
	return ""
}

func (s *shell) restartOperator(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, process := range s.operator {
		if err := process.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		if err := process.Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
}
