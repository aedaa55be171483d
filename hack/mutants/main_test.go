package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestParse checks what a line of the list must be.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []mutant
		bad        bool
	}{
		{name: "nothing", text: "\n# a comment\n"},
		{name: "one", text: "I7-any-typ.patch  ./internal/token  TestA|TestB\n", want: []mutant{{"I7-any-typ.patch", "./internal/token", "TestA|TestB"}}},
		{name: "without a pattern", text: "I7-any-typ.patch ./internal/token", bad: true},
		{name: "no patch", text: "I7-any-typ ./internal/token TestA", bad: true},
		{name: "twice", text: "a.patch ./b TestA\na.patch ./b TestB", bad: true},
	} {
		got, err := parse(c.text)
		if (err != nil) != c.bad || (err == nil && !slices.Equal(got, c.want)) {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.want)
		}
	}
}

// TestSelected checks that I1 does not select I10, and that the name of a patch selects it alone.
func TestSelected(t *testing.T) {
	m := mutant{patch: "I10-mode.patch"}
	for name, want := range map[string]bool{"I1": false, "I10": true, "I10-mode": true, "I10-m": false} {
		if got := m.selectedBy([]string{name}); got != want {
			t.Errorf("%s selects it: %v, want %v", name, got, want)
		}
	}
}

// TestEveryPatchIsListed checks that the list and the patches belong together.
func TestEveryPatchIsListed(t *testing.T) {
	text, err := os.ReadFile("mutants.txt")
	if err != nil {
		t.Fatal(err)
	}
	all, err := parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	patches, err := filepath.Glob("*.patch")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, m := range all {
		listed = append(listed, m.patch)
	}
	slices.Sort(listed)
	if slices.Sort(patches); !slices.Equal(listed, patches) {
		t.Errorf("the list names %v, and there are %v", listed, patches)
	}
}
