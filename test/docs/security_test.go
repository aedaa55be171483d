// Package docs checks the documentation against the code.
package docs

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// TestTheThreatModelNamesTests checks that docs/security.md names at least one test for each threat, and
// that each named test exists.
func TestTheThreatModelNamesTests(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	defined := definedTests(t)
	for line := range strings.Lines(string(page)) {
		named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(line, -1)
		for _, name := range named {
			if !defined[name[1]] {
				t.Errorf("docs/security.md names %s, which does not exist", name[1])
			}
		}
		if cells := strings.Count(line, "|"); cells == 4 && len(named) == 0 && strings.Contains(lastCell(line), " ") && threat(string(page), line) {
			t.Errorf("docs/security.md names no test for: %.80s", line)
		}
	}
}

// lastCell returns the last cell of a table row.
func lastCell(line string) string {
	cells := strings.Split(strings.TrimSpace(line), "|")
	return cells[len(cells)-2]
}

// threat reports whether a table row is in the section on threats, and is neither the header nor the
// delimiter row.
func threat(page, line string) bool {
	begin, end := strings.Index(page, "## Threats"), strings.Index(page, "## Residual risks")
	at := strings.Index(page, line)
	return begin < at && at < end && !strings.HasPrefix(line, "| threat |") && !strings.HasPrefix(line, "| --- |")
}

func definedTests(t *testing.T) map[string]bool {
	t.Helper()
	defined := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "bin" || entry.Name() == ".git" || entry.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, match := range function.FindAllSubmatch(source, -1) {
			defined[string(bytes.Clone(match[1]))] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return defined
}
