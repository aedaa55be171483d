package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/refreshkeys/refreshkeys/test/framework/guide"
)

// TestEveryPageIsPlayed checks that a test runs each block of commands of each page, or that the page says why none does.
func TestEveryPageIsPlayed(t *testing.T) {
	defined := definedTests(t)
	played := map[string]bool{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("no pages match %s: %v", pattern, err)
		}
		for _, path := range paths {
			page, err := guide.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range page.Steps {
				for one := range strings.SplitSeq(step.Elsewhere, ", ") {
					if one != "" && one != "test/e2e" && !defined[one] {
						t.Errorf("%s:%d is assigned to %s, which does not exist", name, step.Line, one)
					}
				}
			}
			own := page.Own()
			if len(own) == 0 {
				continue
			}
			played[name] = true
			if _, ok := guide.Plays[name]; !ok {
				t.Errorf("%s:%d: no test runs these commands: add the page to guide.Plays, or a mark `not run` with the reason", name, own[0].Line)
			}
		}
	}
	for name, play := range guide.Plays {
		if !played[name] {
			t.Errorf("guide.Plays names %s, which has no commands of its own", name)
		}
		if !definesTest(t, play) {
			t.Errorf("%s is assigned to %s of %s, which does not exist", name, play.Test, play.Package)
		}
	}
}

func definesTest(t *testing.T, play guide.Play) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, play.Package, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	definition := regexp.MustCompile(`(?m)^func ` + play.Test + `\(t \*testing\.T\)`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if definition.Match(text) {
			return true
		}
	}
	return false
}
