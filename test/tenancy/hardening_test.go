package tenancy

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/refreshkeys/refreshkeys/test/framework/guide"
)

// TestTheCommandsOfTheHardeningPage runs each command in docs/hardening.md, and applies the component that
// the page only names.
func TestTheCommandsOfTheHardeningPage(t *testing.T) {
	if server.Existing() {
		t.Skip("the test does not harden an existing cluster")
	}
	unprivileged := clientOf(t, editor(t, "default"))
	t.Cleanup(func() {
		removeOptions(t, unprivileged)
		if err := server.Apply(context.Background(), "config/rbac"); err != nil {
			t.Error(err)
		}
	})
	page, err := guide.Read(filepath.Join(server.Root, "docs/hardening.md"))
	if err != nil {
		t.Fatal(err)
	}
	commands := page.Commands()
	if len(commands) < 9 {
		t.Fatalf("got %d commands in docs/hardening.md, want at least 9", len(commands))
	}
	for _, command := range append(commands, "kubectl apply --server-side -k config/network-policy") {
		arguments := strings.Fields(command)
		if arguments[0] != "kubectl" {
			t.Errorf("no test runs command %q", command)
			continue
		}
		for i := range arguments {
			if strings.HasPrefix(arguments[i], "config/") {
				arguments[i] = filepath.Join(server.Root, arguments[i])
			}
		}
		run := func() (string, error) { return server.Kubectl(t.Context(), "", arguments[1:]...) }
		if strings.Contains(command, "can-i") {
			eventually(t, command, func() (bool, string) { said, err := run(); return err == nil && strings.HasPrefix(said, "yes"), said })
			continue
		}
		if said, err := run(); err != nil && !strings.Contains(err.Error(), "AlreadyExists") {
			t.Errorf("%s: %v %s", command, err, said)
		}
	}
	jane := asMember(t, "jane", "team-shop")
	eventually(t, "a member of the team creates a key", func() (bool, string) {
		err := jane.Create(t.Context(), newKey("team-shop", newName("orders")))
		return err == nil, fmt.Sprint(err)
	})
	expectRefusal(t, jane.Create(t.Context(), newKey("team-shop", newName("orders"), withIssuer("other"))), usePolicy)
}
