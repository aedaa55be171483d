// Package guide parses a page of the documentation for the tests that run its commands.
package guide

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// Page holds the commands and files of a page.
type Page struct {
	// Files are the named blocks, each after <!-- file: NAME -->.
	Files map[string]string
	Steps []Step
}

// Step is a block of commands, or one command with its output.
type Step struct {
	// Line is its first line, from 1.
	Line     int
	Commands string
	// Shown is its output on the page; nil if the page shows none.
	Shown *string
	// Elsewhere is the test that runs it, named before it by <!-- run by: TestName -->.
	Elsewhere string
}

var (
	fileMark = regexp.MustCompile(`^<!-- file: ([A-Za-z0-9._-]+) -->$`)
	// beforeMark begins a command that a reader need not type, since a cluster in use is already in that state.
	beforeMark    = regexp.MustCompile(`^<!-- before: (.+) -->$`)
	elsewhereMark = regexp.MustCompile(`^<!-- run by: ([A-Za-z0-9_./ -]+) -->$`)
)

// Read parses a page.
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
		return fmt.Errorf("a block of commands must be named sh, or console if it shows the output")
	}
	return nil
}

// addShown parses a block in which each command follows "$ " and its output is below it.
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
			return fmt.Errorf("a console block must begin with a command after %q", "$ ")
		case continued:
			current.Commands += text + "\n"
			continued = strings.HasSuffix(text, `\`)
		default:
			*current.Shown += text + "\n"
		}
	}
	return nil
}

// variable are the patterns in output that differ from run to run, with their placeholders.
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

// Commands returns the lines of the page's blocks of commands.
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

// Masked returns a text with its tokens replaced.
func Masked(text string) string {
	return variable[0].pattern.ReplaceAllString(text, variable[0].stands)
}

// Lasting returns a command's output without the parts that differ from run to run.
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
