package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

const (
	pageWidth = 98
	margin    = "  "
	indented  = "      "
)

// printer prints a page for a terminal, with colours only there. It separates paragraphs, commands and outputs by empty lines.
type printer struct {
	out    io.Writer
	colour bool
	last   kind
}

// kind is the kind of the last lines.
type kind int

const (
	nothing kind = iota
	titles
	paragraphs
	commands
	outputs
)

func newPrinter(out *os.File) *printer {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &printer{out: out, colour: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// The styles of the page, as parameters of the terminal's SGR sequence.
const (
	bold  = "1"
	faint = "2"
	cyan  = "36"
)

func (p *printer) styled(style, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// print prints lines of a kind, after an empty line if they need one.
func (p *printer) print(next kind, lines string) {
	switch {
	case p.last == nothing, p.last == next && next != paragraphs, p.last == commands && next == outputs:
	default:
		fmt.Fprintln(p.out)
	}
	p.last = next
	fmt.Fprintln(p.out, lines)
}

func (p *printer) title(text string) {
	if p.last != nothing {
		fmt.Fprintln(p.out)
	}
	p.print(titles, p.styled(bold, text)+"\n"+p.styled(faint, strings.Repeat("-", utf8.RuneCountInString(text))))
}

// say prints a paragraph or an item of a list, broken into lines.
func (p *printer) say(format string, args ...any) {
	text, next := fmt.Sprintf(format, args...), margin
	if strings.HasPrefix(text, "- ") {
		next += "  "
	}
	p.print(paragraphs, wrapped(strings.Fields(text), margin, next))
}

// command prints commands as a user types them, one a line.
func (p *printer) command(text string) {
	prompt := "$ "
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		p.print(commands, p.styled(cyan, margin+prompt+line))
		if prompt = "$ "; strings.HasSuffix(line, `\`) {
			prompt = ""
		}
	}
}

// output prints what a command prints.
func (p *printer) output(text string) {
	if text = strings.Trim(text, "\n"); text == "" {
		return
	}
	p.print(outputs, indented+strings.ReplaceAll(text, "\n", "\n"+indented))
}

// wrapped breaks words into lines of the page's width.
func wrapped(words []string, first, next string) string {
	var b strings.Builder
	b.WriteString(first)
	column, begun := len(first), false
	for _, word := range words {
		width := utf8.RuneCountInString(word)
		if begun && column+1+width > pageWidth {
			b.WriteString("\n" + next)
			column, begun = len(next), false
		}
		if begun {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column, begun = column+width, true
	}
	return b.String()
}

// lines is a writer that prints what a command prints while it runs.
type lines struct{ *printer }

func (l lines) Write(text []byte) (int, error) {
	l.output(string(text))
	return len(text), nil
}
