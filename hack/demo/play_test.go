package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/refreshkeys/refreshkeys/test/framework/guide"
)

const story = "# Title\n\nThe [first](first.md) command\nstarts it.\n\n```sh\nmake up\n```\n\n## 1. A file\n\nIt has a name:\n\n" +
	"<!-- file: name.txt -->\n```text\none\ntwo\n```\n\n```console\n$ wc -l < name.txt\n2\n$ echo eyJh.eyJi.c\neyJx.eyJy.z\n```\n\n" +
	"```sh\ntrue \\\n  more\n```\n\n- The [end](../README.md).\n"

const shown = `Title
-----

  The first (docs/first.md) command starts it.

  $ make up
      it serves


1. A file
---------

  It has a name:

  $ cat name.txt
      one
      two

  $ wc -l < name.txt
      2

  $ echo eyJh.eyJi.c
      TOKEN

  $ true \
    more

  - The end (README.md).
`

// playStory plays a page in an empty folder, and returns what a user sees.
func playStory(t *testing.T, text string) (string, int, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	page, err := guide.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	page.Path = pagePath
	var seen strings.Builder
	out := &printer{out: &seen}
	compared, err := play(t.Context(), out, page, func(context.Context, *guide.Page) (guide.Shell, error) {
		out.output("it serves\n")
		shell := guide.Shell{Dir: t.TempDir(), Env: os.Environ()}
		return shell, shell.Files(page, t.TempDir())
	})
	return seen.String(), compared, err
}

// TestPlay checks what a user sees of a page: its text without marks, its files, each command and its output without tokens.
func TestPlay(t *testing.T) {
	seen, compared, err := playStory(t, story)
	if err != nil || compared != 2 {
		t.Errorf("%d outputs are compared: %v", compared, err)
	}
	if seen != shown {
		t.Errorf("printed\n%s\nwant\n%s", seen, shown)
	}
}

// TestPlayFails checks that a page that differs from its run is an error, which names the line, and that the page is printed up to it.
func TestPlayFails(t *testing.T) {
	for name, change := range map[string][2]string{
		"another output":     {"name.txt\n2\n", "name.txt\n3\n"},
		"a command fails":    {"true \\\n  more", "false"},
		"no cluster is made": {"make up", "make test"},
	} {
		t.Run(name, func(t *testing.T) {
			seen, _, err := playStory(t, strings.Replace(story, change[0], change[1], 1))
			if err == nil || !strings.Contains(err.Error(), pagePath) {
				t.Errorf("the error is %v", err)
			}
			if strings.Contains(seen, "The end") && name != "another output" {
				t.Errorf("the end of the page is printed:\n%s", seen)
			}
		})
	}
}
