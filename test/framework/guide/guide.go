// Package guide reads pages of the documentation and plays them: it runs their commands, and compares what they print
// with the page. A caller gives the Shell in which they run.
//
// Comments before a block, which a reader does not see, mark it:
//
//	<!-- file: NAME -->              the block is a file; commands of the page use it
//	<!-- apply: NAME [FLAGS] -->     the same, and kubectl apply applies it
//	<!-- before: COMMANDS -->        runs first, for a state that a cluster in use already has: no test is prepared on the page itself
//	<!-- until: COMMAND -- TEXT -->  waits first, until the command prints the text
//	<!-- run by: TestName -->        another test runs the block, or several with commas between them, or the program test/e2e
//	<!-- not run: REASON -->         no test runs the block
package guide

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Page holds the commands, the files and the text of a page.
type Page struct {
	Path, Text string
	// Files are the blocks after a mark `file` or `apply`, by their names.
	Files map[string]string
	Steps []Step
	// Parts are the headings, the paragraphs and the files, in the order of the page.
	Parts []Part
	// open reports whether the next line continues the last part.
	open bool
}

// Part is a heading, a paragraph, an item of a list or a file.
type Part struct {
	// Line is its first line, from 1.
	Line int
	// Text is the Markdown of a heading, a paragraph or an item, in one line.
	Text string
	// File is the name of a file, for which Text is empty.
	File string
}

// Step is a block of commands, or one command with its output.
type Step struct {
	// Line is its first line, from 1.
	Line     int
	Commands string
	// Shown is its output on the page; nil if the page shows none.
	Shown *string
	// Applied is the name of the file that the step applies, after a mark `apply`.
	Applied string
	// Elsewhere are the tests that run it, with commas between them, and Unplayed says why none does.
	Elsewhere, Unplayed string
}

var markLine = regexp.MustCompile(`^<!-- (file|apply|before|until|run by|not run): (.+) -->$`)

// marks are the values of the marks before a block.
type marks map[string]string

// Read parses a page.
func Read(path string) (*Page, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := &Page{Path: path, Text: string(text), Files: map[string]string{}}
	before := marks{}
	var language string
	var block strings.Builder
	inside, begun := false, 0
	for number, line := range strings.Split(p.Text, "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && !inside:
			inside, begun, language = true, number+2, fence
			p.open = false
			block.Reset()
		case isFence:
			inside = false
			if err := p.add(language, before, block.String(), begun); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", path, begun, err)
			}
			before = marks{}
		case inside:
			block.WriteString(line + "\n")
		default:
			if found := markLine.FindStringSubmatch(line); found != nil {
				p.mark(before, found[1], found[2], number+1)
				line = ""
			}
			p.addText(line, number+1)
		}
	}
	p.open = false
	return p, nil
}

// addText adds a line of text to the paragraph before it, or begins the next part: an empty line ends a paragraph, and a heading
// and an item of a list begin with a mark.
func (p *Page) addText(line string, number int) {
	line = strings.TrimSpace(line)
	switch {
	case line == "":
		p.open = false
	case p.open && !strings.HasPrefix(line, "- ") && !strings.HasPrefix(line, "#"):
		p.Parts[len(p.Parts)-1].Text += " " + line
	default:
		p.Parts = append(p.Parts, Part{Line: number, Text: line})
		p.open = !strings.HasPrefix(line, "#")
	}
}

// mark notes a mark for the next block, or adds the step that it is.
func (p *Page) mark(before marks, name, value string, line int) {
	switch name {
	case "before":
		p.Steps = append(p.Steps, Step{Line: line, Commands: value + "\n"})
	case "until":
		command, text, _ := strings.Cut(value, " -- ")
		p.Steps = append(p.Steps, Step{Line: line, Commands: "until [[ $(" + command + ") == *'" + text + "'* ]]; do sleep 0.1; done\n"})
	default:
		before[name] = value
	}
}

func (p *Page) add(language string, before marks, block string, line int) error {
	step := Step{Line: line, Commands: block, Elsewhere: before["run by"], Unplayed: before["not run"]}
	switch {
	case before["file"] != "":
		p.addFile(before["file"], block, line)
	case before["apply"] != "":
		name, flags, _ := strings.Cut(before["apply"], " ")
		p.addFile(name, block, line)
		step.Applied, step.Commands = name, strings.TrimSpace("kubectl apply -f "+name+" "+flags)+"\n"
		p.Steps = append(p.Steps, step)
	case language == "sh":
		p.Steps = append(p.Steps, step)
	case language == "console":
		return p.addShown(block, step)
	case language == "bash" || language == "shell":
		return fmt.Errorf("a block of commands must be named sh, or console if it shows the output")
	}
	return nil
}

func (p *Page) addFile(name, content string, line int) {
	p.Files[name] = content
	p.Parts = append(p.Parts, Part{Line: line, File: name})
}

// addShown parses a block in which each command follows "$ " and its output is below it.
func (p *Page) addShown(block string, like Step) error {
	var current *Step
	continued := false
	for i, text := range strings.Split(strings.TrimSuffix(block, "\n"), "\n") {
		command, isCommand := strings.CutPrefix(text, "$ ")
		switch {
		case isCommand:
			next := like
			next.Line, next.Commands, next.Shown = like.Line+i, command+"\n", new(string)
			p.Steps = append(p.Steps, next)
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

// Own returns the steps that the test of the page runs: those that no other test runs.
func (p *Page) Own() []Step {
	return p.chosen(func(s Step) bool { return s.Elsewhere == "" && s.Unplayed == "" })
}

// Of returns the steps that the page assigns to a test.
func (p *Page) Of(test string) []Step {
	return p.chosen(func(s Step) bool { return slices.Contains(strings.Split(s.Elsewhere, ", "), test) })
}

func (p *Page) chosen(by func(Step) bool) (steps []Step) {
	for _, step := range p.Steps {
		if by(step) {
			steps = append(steps, step)
		}
	}
	return steps
}

// Unnamed returns the files that a reader of the page does not have when a command of its own uses them: the text must name a file, in
// backquotes, before its block, and the block must come before the command.
func (p *Page) Unnamed() (unnamed []string) {
	for _, step := range p.Own() {
		for name := range p.Files {
			if step.Applied == "" && strings.Contains(" "+step.Commands, " "+name) && !p.names(name, step.Line) {
				unnamed = append(unnamed, fmt.Sprintf("%s:%d uses %s", p.Path, step.Line, name))
			}
		}
	}
	return unnamed
}

// names reports whether the text names a file, and then shows it, before a line.
func (p *Page) names(name string, line int) bool {
	said := false
	for _, part := range p.Parts {
		if part.Line >= line {
			return false
		}
		said = said || strings.Contains(part.Text, "`"+name+"`")
		if part.File == name {
			return said
		}
	}
	return false
}

// Lines returns the single commands of steps, for a test that does something between them.
func Lines(steps []Step) (lines []string) {
	for _, step := range steps {
		for line := range strings.Lines(step.Commands) {
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
	}
	return lines
}
