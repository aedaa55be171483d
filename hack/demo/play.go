package main

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/refreshkeys/refreshkeys/test/framework/guide"
)

// play prints a page as a user reads it, and runs its commands as a user types them. The first is `make up`, for which start is
// called: it returns the shell for the others. play returns the number of outputs that it has compared with the page.
func play(ctx context.Context, out *printer, page *guide.Page, start func(context.Context, *guide.Page) (guide.Shell, error)) (compared int, err error) {
	steps := page.Own()
	if len(steps) < 2 || steps[0].Commands != "make up\n" {
		return 0, fmt.Errorf("%s does not begin with `make up`", page.Path)
	}
	r := &reader{printer: out, page: page, rest: page.Parts}
	r.begins(steps[0])
	shell, err := start(ctx, page)
	if err != nil {
		return 0, err
	}
	shell.Begins, shell.Ends = r.begins, r.ends
	if _, err := shell.Play(ctx, page, steps[1:]); err != nil {
		return r.compared, err
	}
	r.text(len(page.Text))
	return r.compared, nil
}

// reader prints a page as far as its commands have run.
type reader struct {
	*printer
	page *guide.Page
	// rest are the parts that are not printed yet.
	rest     []guide.Part
	compared int
}

func (r *reader) begins(step guide.Step) {
	r.text(step.Line)
	r.command(step.Commands)
}

func (r *reader) ends(step guide.Step, printed string) {
	r.output(guide.Masked(printed))
	if step.Shown != nil && *step.Shown != "" {
		r.compared++
	}
}

// text prints the parts of the page before a line.
func (r *reader) text(line int) {
	for ; len(r.rest) > 0 && r.rest[0].Line < line; r.rest = r.rest[1:] {
		part := r.rest[0]
		if part.File != "" {
			r.command("cat " + part.File)
			r.output(r.page.Files[part.File])
			continue
		}
		text := plain(part.Text, path.Dir(r.page.Path))
		if title := strings.TrimLeft(text, "#"); title != text {
			r.title(strings.TrimSpace(title))
		} else {
			r.say("%s", text)
		}
	}
}

var link = regexp.MustCompile(`\[([^\]]*)\]\(([^)]*)\)`)

// plain returns Markdown as text: a link is followed by its path from the root of the repository.
func plain(markdown, folder string) string {
	return link.ReplaceAllStringFunc(markdown, func(found string) string {
		parts := link.FindStringSubmatch(found)
		return parts[1] + " (" + path.Join(folder, parts[2]) + ")"
	})
}
