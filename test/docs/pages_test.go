package docs

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryReasonIsExplained checks that docs/troubleshooting.md explains every reason of a condition.
func TestEveryReasonIsExplained(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(root, "api", "v1alpha1", "conditions.go"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	reasons := regexp.MustCompile(`(?m)^\t(?:Reason|Revoked)\w+ .*= "(\w+)"`).FindAllSubmatch(source, -1)
	if len(reasons) < 20 {
		t.Fatalf("got %d reasons in conditions.go, want at least 20", len(reasons))
	}
	for _, reason := range reasons {
		if !strings.Contains(string(page), "| `"+string(reason[1])+"` |") {
			t.Errorf("docs/troubleshooting.md does not explain %s", reason[1])
		}
	}
}

// code matches code, in which brackets do not form links.
var code = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")

var link = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)

// TestLinks checks that every relative link in a page leads to an existing file and heading.
func TestLinks(t *testing.T) {
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		pages, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range link.FindAllStringSubmatch(code.ReplaceAllString(string(text), ""), -1) {
				if strings.Contains(found[1], "://") {
					continue
				}
				checkLink(t, page, found[1], strings.TrimPrefix(found[2], "#"))
			}
		}
	}
}

// TestEveryPageIsListed checks that docs/README.md, of which the menu of the site is made, has a link to each page.
func TestEveryPageIsListed(t *testing.T) {
	list := text(t, "docs/README.md")
	for _, pattern := range []string{"*.md", "how-to/*.md"} {
		pages, err := filepath.Glob(filepath.Join(root, "docs", pattern))
		if err != nil || len(pages) == 0 {
			t.Fatalf("no pages match %s: %v", pattern, err)
		}
		for _, page := range pages {
			name, err := filepath.Rel(filepath.Join(root, "docs"), page)
			if err != nil {
				t.Fatal(err)
			}
			if name != "README.md" && !strings.Contains(list, "]("+filepath.ToSlash(name)+")") {
				t.Errorf("docs/README.md does not list %s", name)
			}
		}
	}
}

func checkLink(t *testing.T, page, file, section string) {
	t.Helper()
	target := page
	if file != "" {
		target = filepath.Join(filepath.Dir(page), file)
	}
	if _, err := os.Stat(target); err != nil {
		t.Errorf("%s links to %s, which does not exist", page, file)
		return
	}
	if section == "" {
		return
	}
	text, err := os.ReadFile(target)
	if err != nil {
		t.Fatal(err)
	}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		if anchor(heading[1]) == section {
			return
		}
	}
	t.Errorf("%s links to section %s of %s, which does not exist", page, section, target)
}

// anchor returns the anchor of a heading.
func anchor(heading string) string {
	heading = strings.ToLower(regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(heading, "$1"))
	return strings.ReplaceAll(regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(heading, ""), " ", "-")
}

// TestPictures checks that every picture is well-formed and has a title and a description.
func TestPictures(t *testing.T) {
	pictures, err := filepath.Glob(filepath.Join(root, "docs", "*.svg"))
	if err != nil || len(pictures) == 0 {
		t.Fatal("docs has no pictures", err)
	}
	for _, picture := range pictures {
		text, err := os.ReadFile(picture)
		if err != nil {
			t.Fatal(err)
		}
		described := 0
		for decoder := xml.NewDecoder(strings.NewReader(string(text))); ; {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", picture, err)
			}
			if start, ok := token.(xml.StartElement); ok && (start.Name.Local == "title" || start.Name.Local == "desc") {
				described++
			}
		}
		if described != 2 {
			t.Errorf("%s: got %d titles and descriptions, want one of each", picture, described)
		}
	}
}
