package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	pageWidth = 98
	margin    = "  "
	indented  = "      "
)

// page prints the demo as plain ASCII, with colours only on a terminal. It separates paragraphs, commands, blocks and
// checks by empty lines.
type page struct {
	out    io.Writer
	colour bool
	last   kind
	// checks is the number of checks that passed.
	checks int
}

// kind is the kind of the last lines.
type kind int

const (
	titles kind = iota
	paragraphs
	commands
	blocks
	results
)

func newPage(out *os.File) *page {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &page{out: out, colour: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// The styles of the page, as parameters of the terminal's SGR sequence.
const (
	bold  = "1"
	faint = "2"
	red   = "1;31"
	green = "32"
	cyan  = "36"
)

func (p *page) styled(style, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// print prints lines of a kind, after an empty line if they need one.
func (p *page) print(next kind, lines string) {
	joined := p.last == titles || (next == blocks || next == results) && p.last == commands || next == p.last && (next == blocks || next == results)
	if !joined {
		fmt.Fprintln(p.out)
	}
	p.last = next
	fmt.Fprintln(p.out, lines)
}

func (p *page) title(number int, text string) {
	line := fmt.Sprintf("%d. %s", number, text)
	fmt.Fprintf(p.out, "\n\n%s\n%s\n\n", p.styled(bold, line), p.styled(faint, strings.Repeat("-", len(line))))
	p.last = titles
}

// say prints a paragraph, broken into lines.
func (p *page) say(format string, args ...any) {
	p.print(paragraphs, paragraph(fmt.Sprintf(format, args...), margin, margin))
}

// aside prints a line of progress.
func (p *page) aside(format string, args ...any) {
	p.print(blocks, p.styled(faint, paragraph(fmt.Sprintf(format, args...), indented, indented+margin)))
}

// command prints a command as a user would type it.
func (p *page) command(words ...string) {
	p.print(commands, p.styled(cyan, broken(words, margin+"$ ", indented+margin, ` \`)))
}

// block prints indented text without wrapping it.
func (p *page) block(text string) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(indented+lines[i], " ")
	}
	p.print(blocks, strings.Join(lines, "\n"))
}

// held prints a check that passed.
func (p *page) held(format string, args ...any) {
	p.checks++
	text := paragraph(fmt.Sprintf(format, args...), margin+"ok  ", indented)
	p.print(results, margin+p.styled(green, "ok")+strings.TrimPrefix(text, margin+"ok"))
}

func paragraph(text, first, next string) string {
	return broken(strings.Fields(text), first, next, "")
}

// broken wraps words to the page's width. Each line but the last ends in more.
func broken(words []string, first, next, more string) string {
	var b strings.Builder
	b.WriteString(first)
	column, begun := len(first), false
	for _, word := range words {
		width := utf8.RuneCountInString(word)
		if begun && column+1+width+len(more) > pageWidth {
			b.WriteString(more + "\n" + next)
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

// span formats a duration for people.
func span(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.0fs", d.Seconds())
}

// sinceKubectl formats the time between the end of the last command and an observation.
func sinceKubectl(d time.Duration) string {
	if d < pollEvery {
		return "before kubectl returned"
	}
	return span(d) + " after kubectl returned"
}

// abbreviated returns the ends of a token, which do not reveal it.
func abbreviated(text string) string {
	const ends = 6
	return text[:min(ends, len(text))] + "..." + text[max(0, len(text)-ends):]
}

// progress is a writer that prints each line as an aside.
type progress struct{ *page }

func (p progress) Write(text []byte) (int, error) {
	for line := range strings.Lines(string(text)) {
		p.aside("%s", strings.TrimRight(line, "\n"))
	}
	return len(text), nil
}
