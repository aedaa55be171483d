package tenancy

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/test/framework/guide"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// TestTheCommandsOfTheHardeningPage runs each command in docs/hardening.md, and applies the component that
// the page only names.
func TestTheCommandsOfTheHardeningPage(t *testing.T) {
	h := harness.New(t, server, clock.RealClock{})
	if server.Existing() {
		t.Skip("the test does not harden an existing cluster")
	}
	unprivileged := h.As(editor(h, "default"))
	t.Cleanup(func() {
		removeOptions(h, unprivileged)
		if err := server.Apply(context.Background(), "config/rbac"); err != nil {
			t.Error(err)
		}
	})
	page, err := guide.Read(filepath.Join(server.Root, "docs/hardening.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	shell := guide.Shell{Dir: dir, Env: server.Environment(dir)}
	if err := shell.Files(page, server.Root); err != nil {
		t.Fatal(err)
	}
	commands := guide.Lines(page.Own())
	if len(commands) < 9 {
		t.Fatalf("got %d commands in docs/hardening.md, want at least 9", len(commands))
	}
	for _, command := range append(commands, "kubectl apply --server-side -k config/network-policy") {
		if strings.Contains(command, "can-i") {
			h.AwaitState(command, func() (bool, string) {
				said, err := shell.Run(t.Context(), command)
				return err == nil && strings.HasSuffix(said, "yes\n"), said
			})
			continue
		}
		if _, err := shell.Run(t.Context(), command); err != nil && !strings.Contains(err.Error(), "AlreadyExists") {
			t.Error(err)
		}
	}
	jane := h.As("jane", "team-shop")
	h.AwaitState("a member of the team creates a key", func() (bool, string) {
		err := jane.Create(t.Context(), harness.NewKey("team-shop", harness.UniqueName("orders")))
		return err == nil, fmt.Sprint(err)
	})
	expectRefusal(h, jane.Create(t.Context(), harness.NewKey("team-shop", harness.UniqueName("orders"), harness.WithIssuer("other"))), usePolicy)
}
