// Package contract holds what users and their tools rely on byte for byte: the names and values that the API, the
// commands, the metrics and the log use. Each file in testdata lists one kind of them. A change of prose leaves these
// files as they are.
package contract

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the tree has to testdata/*.golden")

const root = "../.."

// TestContract checks that the names and values of the tree are those of testdata/*.golden.
func TestContract(t *testing.T) {
	tree := loadTree(t)
	for name, lines := range map[string][]string{
		"constants":   tree.constants(),
		"conditions":  tree.fieldValues("reason", "kind", "action"),
		"json":        tree.jsonMembers(),
		"flags":       tree.flags(),
		"plugin":      pluginCommands(t),
		"exitcodes":   tree.exitCodes(),
		"environment": tree.environment(),
		"logfields":   tree.logFields(),
		"metrics":     metrics(t),
		"api":         apiFields(t),
		"alerts":      alerts(t),
		"chart":       chartValues(t),
	} {
		t.Run(name, func(t *testing.T) { compare(t, name, lines) })
	}
}

func compare(t *testing.T, name string, lines []string) {
	t.Helper()
	slices.Sort(lines)
	lines = slices.Compact(lines)
	if len(lines) == 0 {
		t.Fatalf("found no %s in the tree: the extraction is broken", name)
	}
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	recorded := strings.Split(strings.TrimSuffix(string(golden), "\n"), "\n")
	gone, added := without(recorded, lines), without(lines, recorded)
	if len(gone)+len(added) == 0 {
		return
	}
	for _, line := range gone {
		t.Errorf("disappeared: %s", line)
	}
	for _, line := range added {
		t.Errorf("appeared: %s", line)
	}
	t.Errorf("test/contract/%s differs from the tree. Users and their tools rely on these names and values: "+
		"a change needs an ADR in docs/adr and an entry in CHANGELOG.md. Record it with `go test ./test/contract -update`.", file)
}

// without returns the lines that are not among others.
func without(lines, others []string) (rest []string) {
	for _, line := range lines {
		if !slices.Contains(others, line) {
			rest = append(rest, line)
		}
	}
	return rest
}
