// Package guide reads a page of the documentation for the tests that run what it says.
package guide

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// Page is what can be run of a document.
type Page struct {
	// Files are the named blocks: <!-- file: NAME --> stands before each.
	Files map[string]string
	Steps []Step
}

// Step is a block of commands, or a command whose output is shown.
type Step struct {
	// Line is where it begins, from 1.
	Line     int
	Commands string
	// Shown is what it prints, where the page says so.
	Shown *string
	// Elsewhere names the test that runs it: <!-- run by: TestName --> stands before it.
	Elsewhere string
}

var (
	fileMark = regexp.MustCompile(`^<!-- file: ([A-Za-z0-9._-]+) -->$`)
	// beforeMark is a command that a reader need not type, since a cluster in use is as it makes it.
	beforeMark    = regexp.MustCompile(`^<!-- before: (.+) -->$`)
	elsewhereMark = regexp.MustCompile(`^<!-- run by: ([A-Za-z0-9_./ -]+) -->$`)
)

// Read reads a page.
func Read(path string) (*Page, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := &Page{Files: map[string]string{}}
	var language, file, elsewhere string
	var block strings.Builder
	inside, begun := false, 0
	for number, line := range strings.Split(string(text), "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && !inside:
			inside, begun, language = true, number+2, fence
			block.Reset()
		case isFence:
			inside = false
			if err := p.add(language, file, elsewhere, block.String(), begun); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", path, begun, err)
			}
			file, elsewhere = "", ""
		case inside:
			block.WriteString(line + "\n")
		default:
			if found := fileMark.FindStringSubmatch(line); found != nil {
				file = found[1]
			}
			if found := beforeMark.FindStringSubmatch(line); found != nil {
				p.Steps = append(p.Steps, Step{Line: number + 1, Commands: found[1] + "\n"})
			}
			if found := elsewhereMark.FindStringSubmatch(line); found != nil {
				elsewhere = found[1]
			}
		}
	}
	return p, nil
}

func (p *Page) add(language, file, elsewhere, block string, line int) error {
	switch {
	case file != "":
		p.Files[file] = block
	case language == "sh":
		p.Steps = append(p.Steps, Step{Line: line, Commands: block, Elsewhere: elsewhere})
	case language == "console":
		return p.addShown(block, elsewhere, line)
	case language == "bash" || language == "shell":
		return fmt.Errorf("a block of commands is called sh, or console where what it prints is shown")
	}
	return nil
}

// addShown takes a block apart in which each command stands behind "$ ", and what it prints below.
func (p *Page) addShown(block, elsewhere string, line int) error {
	var current *Step
	continued := false
	for i, text := range strings.Split(strings.TrimSuffix(block, "\n"), "\n") {
		command, isCommand := strings.CutPrefix(text, "$ ")
		switch {
		case isCommand:
			p.Steps = append(p.Steps, Step{Line: line + i, Commands: command + "\n", Shown: new(string), Elsewhere: elsewhere})
			current, continued = &p.Steps[len(p.Steps)-1], strings.HasSuffix(command, `\`)
		case current == nil:
			return fmt.Errorf("a console block begins with a command behind %q", "$ ")
		case continued:
			current.Commands += text + "\n"
			continued = strings.HasSuffix(text, `\`)
		default:
			*current.Shown += text + "\n"
		}
	}
	return nil
}

// variable is what differs from run to run in what commands print, and what stands for it.
var variable = []struct {
	pattern *regexp.Regexp
	stands  string
}{
	{regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`), "TOKEN"},
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "HASH"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z| UTC)?`), "TIME"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(ms|[smhdy])(\d+[smh])*\b`), "AGE"},
	{regexp.MustCompile(`\b[A-Za-z0-9_-]{43}\b`), "KID"},
	{regexp.MustCompile(`(localhost|127\.0\.0\.1):\d+`), "HOST"},
	{regexp.MustCompile(`[ \t]+`), " "},
}

// Commands are the lines of the page's blocks of commands.
func (p *Page) Commands() (lines []string) {
	for _, step := range p.Steps {
		for line := range strings.Lines(step.Commands) {
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// Masked is a text with no token in it.
func Masked(text string) string {
	return variable[0].pattern.ReplaceAllString(text, variable[0].stands)
}

// Lasting is what stays the same of what a command prints from run to run.
func Lasting(text string) string {
	for _, v := range variable {
		text = v.pattern.ReplaceAllString(text, v.stands)
	}
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
