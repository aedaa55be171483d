package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// specs are the types that users write; all types that their fields use belong to them.
var specs = []string{"JWTRefreshKeySpec", "JWTIssuerSpec"}

// TestTheReferenceTellsDefaults checks that docs/api.md says of each field of spec that it is required, or which default it has, and shows an
// example of each type with fields.
func TestTheReferenceTellsDefaults(t *testing.T) {
	sections := referenceSections(t)
	seen, fields := map[string]bool{}, 0
	for next := specs; len(next) > 0; next = next[1:] {
		name := next[0]
		if seen[name] {
			continue
		}
		seen[name] = true
		section, ok := sections[name]
		if !ok {
			t.Fatalf("docs/api.md has no section %s", name)
		}
		rows := fieldRow.FindAllStringSubmatch(section, -1)
		for _, row := range rows {
			fields++
			if strings.TrimSpace(row[4]) == "" {
				t.Errorf("docs/api.md: %s.%s has no default: write `When unset: <value>.` into its comment", name, row[1])
			}
			if strings.Contains(row[3], "hen unset") {
				t.Errorf("docs/api.md: %s.%s tells its default in the description", name, row[1])
			}
			for _, used := range localLink.FindAllStringSubmatch(row[2], -1) {
				next = append(next, used[1])
			}
		}
		if example := strings.Contains(section, "```yaml"); len(rows) > 0 && !example {
			t.Errorf("docs/api.md: %s has no example: write hack/docs/examples/%s.yaml", name, name)
		}
	}
	if fields < 80 {
		t.Errorf("only %d fields were found", fields)
	}
}

var (
	// fieldRow matches a row of a table of fields: name, type, description, default.
	fieldRow  = regexp.MustCompile("(?m)^\\| `([A-Za-z]+)` (\\S.*?_) \\| (.*?[^\\\\]) \\| (.*?) ?\\| .*\\|$")
	localLink = regexp.MustCompile(`\[([A-Za-z]+)\]\(#`)
)

// referenceSections returns the sections of docs/api.md by the name of their type.
func referenceSections(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, section := range strings.Split(string(page), "\n## ")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		sections[name] = text
	}
	return sections
}
