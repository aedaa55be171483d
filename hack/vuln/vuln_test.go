package vuln

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// database writes a database with one made-up vulnerability of net/url, and returns its URL.
func database(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	const modified = "2026-01-01T00:00:00Z"
	entry := map[string]any{
		"schema_version": "1.3.1", "id": "GO-2026-0001", "modified": modified, "published": modified,
		"summary": "A made-up vulnerability", "details": "It exists in this test only.",
		"affected": []any{map[string]any{
			"package": map[string]any{"name": "stdlib", "ecosystem": "Go"},
			"ranges":  []any{map[string]any{"type": "SEMVER", "events": []any{map[string]any{"introduced": "0"}}}},
			"ecosystem_specific": map[string]any{
				"imports": []any{map[string]any{"path": "net/url", "symbols": []any{"Parse"}}},
			},
		}},
		"database_specific": map[string]any{"url": "https://pkg.go.dev/vuln/GO-2026-0001"},
	}
	files := map[string]any{
		"index/db.json":        map[string]any{"modified": modified},
		"index/modules.json":   []any{map[string]any{"path": "stdlib", "vulns": []any{map[string]any{"id": "GO-2026-0001", "modified": modified}}}},
		"index/vulns.json":     []any{map[string]any{"id": "GO-2026-0001", "modified": modified}},
		"ID/GO-2026-0001.json": entry,
	}
	for name, content := range files {
		text, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), string(text))
	}
	return "file://" + dir
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// program writes a module whose program calls the function, and returns its folder.
func program(t *testing.T, call string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module example.com/program\n\ngo 1.26.0\n")
	write(t, filepath.Join(dir, "main.go"), "package main\n\nimport \"net/url\"\n\nfunc main() { _, _ = url."+call+"(\"x\") }\n")
	return dir
}

// vulncheck runs hack/vuln/run, and returns what it prints and whether it succeeds.
func vulncheck(t *testing.T, database, dir, mode string) (string, bool) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "./run", mode)
	command.Env = append(os.Environ(), "GOVULNDB="+database, "VULN_DIR="+dir, "VULN_PACKAGES=.", "GOWORK=off")
	said, err := command.CombinedOutput()
	return string(said), err == nil
}

// TestNoDatabase checks that a check without a database says so and passes, and that a release does not.
func TestNoDatabase(t *testing.T) {
	missing := "file://" + t.TempDir()
	for mode, passes := range map[string]bool{"check": true, "openvex": false} {
		said, passed := vulncheck(t, missing, t.TempDir(), mode)
		if passed != passes || !strings.Contains(said, "not run: no database") {
			t.Errorf("%s without a database passes: %v, and says: %s", mode, passed, said)
		}
	}
}

// TestACalledVulnerability checks that a check fails for a program that calls a vulnerable function, and for no other.
func TestACalledVulnerability(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds govulncheck")
	}
	db := database(t)
	for call, passes := range map[string]bool{"Parse": false, "PathUnescape": true} {
		said, passed := vulncheck(t, db, program(t, call), "check")
		if passed != passes || strings.Contains(said, "GO-2026-0001") == passes {
			t.Errorf("a program that calls %s passes: %v\n%s", call, passed, said)
		}
	}
}

// TestOpenVEX checks that a document says which programs a vulnerability affects.
func TestOpenVEX(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds govulncheck")
	}
	db := database(t)
	for call, status := range map[string]string{"Parse": `"status": "affected"`, "PathUnescape": `"status": "not_affected"`} {
		said, passed := vulncheck(t, db, program(t, call), "openvex")
		if !passed || !strings.Contains(said, "GO-2026-0001") || !strings.Contains(said, status) {
			t.Errorf("the document about a program that calls %s does not say %s:\n%s", call, status, said)
		}
	}
}
