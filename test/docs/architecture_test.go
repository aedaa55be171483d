package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestInvariantsNameTestsAndMutations checks that each invariant of the contract names tests and mutations, that these exist, and
// that every mutation belongs to an invariant.
func TestInvariantsNameTestsAndMutations(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	page, defined := string(text), definedTests(t)
	for _, name := range regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(page, -1) {
		if !defined[name[1]] {
			t.Errorf("there is no %s", name[1])
		}
	}
	invariants := regexp.MustCompile(`(?m)^\*\*(I[0-9]+)\. `).FindAllStringSubmatch(page, -1)
	if len(invariants) < 20 {
		t.Fatalf("only %d invariants were found", len(invariants))
	}
	for _, invariant := range invariants {
		row := regexp.MustCompile(`(?m)^\| ` + invariant[1] + ` \| (.*) \| (.*) \|$`).FindStringSubmatch(page)
		if row == nil || !strings.Contains(row[1], "`Test") || !strings.Contains(row[2], "`"+invariant[1]+"-") {
			t.Errorf("the table names no test, or no mutation, of %s", invariant[1])
		}
	}
	patches, err := filepath.Glob(filepath.Join(root, "hack", "mutants", "*.patch"))
	if err != nil || len(patches) < len(invariants) {
		t.Fatalf("%d mutations were found, %v", len(patches), err)
	}
	named := map[string]bool{}
	for _, name := range regexp.MustCompile("`(I[0-9]+-[a-z0-9-]+)`").FindAllStringSubmatch(page, -1) {
		named[name[1]] = true
	}
	for _, patch := range patches {
		name := strings.TrimSuffix(filepath.Base(patch), ".patch")
		if !named[name] {
			t.Errorf("the page does not name the mutation %s", name)
		}
		delete(named, name)
	}
	for name := range named {
		t.Errorf("there is no mutation %s", name)
	}
}
