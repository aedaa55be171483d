package guide

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestLasting checks that only the parts that differ from run to run are ignored.
func TestLasting(t *testing.T) {
	same := [][2]string{
		{"orders   Issued  2026-12-23T03:11:07Z   2s\n", "orders Issued 2027-01-01T00:00:00Z     13m\n"},
		{"jti: 0197e9c2-1111-7222-8333-444455556666", "jti: 0197e9c2-1111-7222-8333-444455556667"},
		{`"expires_in":899,"refresh_token_timeout":2591999`, `"expires_in":900,"refresh_token_timeout":2592000`},
		{"exp: 1798041937 (in 29d23h)", "exp: 1798041938 (in 30d)"},
		{"-Q0zhOLheo4UO4qNSIGMUK_YVXtk9gjSSZ8fUs0wHtE Active", "w-0zhOLheo4UO4qNSIGMUK_YVXtk9gjSSZ8fUs0wHt- Active"},
		{"session-16595072444d till", "session-fbecaef40c3e till"},
		{"-Q0zhOLheo4UO4qNSIGMUK-12d-tk9gjSSZ8fUs0wHt Active", "w-0zhOLheo4UO4qNSIGMUK_YVXtk9gjSSZ8fUs0wHt- Active"},
	}
	for _, pair := range same {
		if Lasting(pair[0]) != Lasting(pair[1]) {
			t.Errorf("%q and %q differ", Lasting(pair[0]), Lasting(pair[1]))
		}
	}
	if Lasting("orders Issued") == Lasting("orders Revoked") || Lasting(strconv.Itoa(1)) == Lasting(strconv.Itoa(2)) {
		t.Error("a different text is not detected")
	}
}

const page = "# Page\n" +
	"<!-- file: greeting -->\n```text\nhello NAME\n```\n" +
	"<!-- before: word=$(cat greeting) -->\n" +
	"```console\n$ echo \"$word\" \\\n  again\nhello world again\n$ (exit 4)\n(exit code 4)\n```\n" +
	"<!-- until: cat greeting -- hello -->\n```sh\necho in between > other\n```\n" +
	"<!-- run by: TestOther -->\n```sh\nfalse\n```\n" +
	"<!-- not run: it fails -->\n```sh\nfalse\n```\n" +
	"```console\n$ cat other\nin between\n```\n"

func read(t *testing.T, text string) *Page {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func play(t *testing.T, p *Page) ([]string, error) {
	t.Helper()
	shell := Shell{Dir: t.TempDir(), Env: os.Environ(), Typed: strings.NewReplacer("NAME", "world")}
	if err := shell.Files(p, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	return shell.Play(t.Context(), p, p.Own())
}

// TestAPageThatDoesNotEnd checks that the end of the context ends the programs that a page started.
func TestAPageThatDoesNotEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	shell := Shell{Dir: t.TempDir(), Env: os.Environ(), Begins: func(step Step) {
		if step.Line == 2 {
			cancel()
		}
	}}
	if _, err := shell.Play(ctx, &Page{}, []Step{{Line: 1, Commands: "sleep 600 &\n"}, {Line: 2, Commands: "sh -c 'sleep 600; true'\n"}}); err == nil {
		t.Error("the page ends by itself")
	}
}

// TestPlay checks that a page that is true is played without an error, in one shell.
func TestPlay(t *testing.T) {
	p := read(t, page)
	printed, err := play(t, p)
	if err != nil {
		t.Error(err)
	}
	if len(printed) != 6 || p.Updated(p.Own(), printed) != page {
		t.Errorf("printed %q", printed)
	}
	if others := p.Of("TestOther"); len(others) != 1 || others[0].Line != 20 {
		t.Errorf("the steps of another test are %+v", others)
	}
}

// TestPlayNoticesAnUntruePage checks that another output, another exit code and a failing command are errors, and that an
// update of the page makes it true.
func TestPlayNoticesAnUntruePage(t *testing.T) {
	for _, change := range [][2]string{
		{"hello world again\n", "good bye\n"},
		{"(exit code 4)\n", ""},
		{"(exit code 4)\n", "(exit code 5)\n"},
		{"$ cat other\nin between\n", "$ cat other\n"},
	} {
		p := read(t, strings.Replace(page, change[0], change[1], 1))
		printed, err := play(t, p)
		if err == nil {
			t.Errorf("the page was played with %q in the place of %q", change[1], change[0])
		}
		if got := p.Updated(p.Own(), printed); got != page {
			t.Errorf("the updated page is\n%s", got)
		}
	}
	if _, err := play(t, read(t, strings.Replace(page, "echo in between", "false", 1))); err == nil || !strings.Contains(err.Error(), "page.md:") {
		t.Errorf("a command that fails gives %v", err)
	}
	ended := "page.md:27: cat other\ndoes not run"
	if _, err := play(t, read(t, strings.Replace(page, "echo in between > other", "exit 0", 1))); err == nil || !strings.Contains(err.Error(), ended) {
		t.Errorf("a command that ends the shell gives %v", err)
	}
}

// TestPlayReportsItsProgress checks that the functions of a shell get each step when it begins and when it ends, but not the end of
// a step that fails.
func TestPlayReportsItsProgress(t *testing.T) {
	for text, want := range map[string]string{
		"```console\n$ printf 1\n1\n$ sleep 0\n```\n```sh\necho two\n```\n": "printf 1: 1; sleep 0: ; echo two: two; ",
		"```sh\necho one\n```\n```sh\necho two; false\n```\n":               "echo one: one; echo two; false: ",
	} {
		var reported strings.Builder
		p := read(t, text)
		shell := Shell{Dir: t.TempDir(), Env: os.Environ()}
		shell.Begins = func(s Step) { reported.WriteString(strings.TrimSpace(s.Commands) + ": ") }
		shell.Ends = func(_ Step, printed string) { reported.WriteString(strings.TrimSpace(printed) + "; ") }
		if _, err := shell.Play(t.Context(), p, p.Own()); (err != nil) != strings.Contains(text, "false") {
			t.Error(err)
		}
		if reported.String() != want {
			t.Errorf("got %q, want %q", &reported, want)
		}
	}
}

// TestParts checks that the text of a page is split into headings, paragraphs, items and files, without its marks.
func TestParts(t *testing.T) {
	p := read(t, "# Title\nOne\ntwo.\n\nThree:\n<!-- file: name -->\n```text\nx\n```\n- item\n  more\n- other\n```sh\ntrue\n```\nEnd.\n")
	want := []Part{{1, "# Title", ""}, {2, "One two.", ""}, {5, "Three:", ""}, {8, "", "name"}, {10, "- item more", ""}, {12, "- other", ""}, {16, "End.", ""}}
	if !slices.Equal(p.Parts, want) {
		t.Errorf("got %+v\nwant %+v", p.Parts, want)
	}
}

// TestUnnamed checks that a command may use a file only after the text has named it and the page has shown it.
func TestUnnamed(t *testing.T) {
	const file, use = "<!-- file: a.yaml -->\n```yaml\nx\n```\n\n", "```sh\nkubectl apply -f a.yaml\n```\n"
	for text, want := range map[string]int{
		"Save this as `a.yaml`:\n\n" + file + use:                           0,
		"Save this:\n\n" + file + use:                                       1,
		use + "\nSave this as `a.yaml`:\n\n" + file:                         1,
		file + "It is called `a.yaml`.\n\n" + use:                           1,
		"Save this:\n\n" + file + "```sh\nkubectl apply -f b/a.yaml\n```\n": 0,
	} {
		if unnamed := read(t, text).Unnamed(); len(unnamed) != want {
			t.Errorf("%q: %v", text, unnamed)
		}
	}
}

// TestApply checks that a manifest after a mark is applied with the flags of the mark.
func TestApply(t *testing.T) {
	p := read(t, "<!-- apply: key.yaml --dry-run=server -->\n```yaml\nkind: JWTRefreshKey\n```\n")
	if p.Files["key.yaml"] != "kind: JWTRefreshKey\n" || len(p.Steps) != 1 || p.Steps[0].Commands != "kubectl apply -f key.yaml --dry-run=server\n" || p.Steps[0].Applied != "key.yaml" {
		t.Errorf("got %+v and %q", p.Steps, p.Files)
	}
}
