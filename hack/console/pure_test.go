package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/evanw/esbuild/pkg/api"
)

// browser is the little that modules of the page ask of a browser when they are loaded.
const browser = `globalThis.location = { search: "", pathname: "/", href: "http://localhost/" };
globalThis.document = { documentElement: { dataset: {} }, addEventListener() {} };
globalThis.window = globalThis;
globalThis.navigator ??= { language: "en" };
globalThis.setInterval = () => 0;
globalThis.BroadcastChannel = class {};`

// TestPure runs the tests of the page's pure modules, which are in test/console/pure, in node.
func TestPure(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	ui := filepath.Join(root, "internal", "console", "ui")
	if _, err := os.Stat(filepath.Join(ui, "node_modules", "preact")); err != nil {
		t.Skip("the packages of the page are not installed: make generate")
	}
	entry := filepath.Join(t.TempDir(), "pure.mjs")
	result := api.Build(api.BuildOptions{
		AbsWorkingDir: ui, EntryPoints: []string{filepath.Join(root, "test", "console", "pure", "pure.mjs")}, Outfile: entry,
		Bundle: true, Write: true, Format: api.FormatESModule, Platform: api.PlatformNode, TsconfigRaw: "{}", JSX: api.JSXTransform, JSXFactory: "h",
		JSXFragment: "Fragment", Inject: []string{filepath.Join(ui, "app", "jsx.ts")}, Banner: map[string]string{"js": browser},
	})
	if len(result.Errors) > 0 {
		t.Fatal(api.FormatMessages(result.Errors, api.FormatMessagesOptions{}))
	}
	if out, err := exec.Command("node", "--test", entry).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
