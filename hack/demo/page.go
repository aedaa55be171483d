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

// page prints the demo as plain ASCII, with colours only on a terminal.
type page struct {
	out    io.Writer
	colour bool
	// checks is the number of checks that passed.
	checks int
}

func newPage(out *os.File) *page {
	return &page{out: out, colour: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(out)}
}

func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
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

func (p *page) title(number int, text string) {
	line := fmt.Sprintf("%d. %s", number, text)
	fmt.Fprintf(p.out, "\n\n%s\n%s\n\n", p.styled(bold, line), p.styled(faint, strings.Repeat("-", len(line))))
}

// say prints a paragraph, broken into lines.
func (p *page) say(format string, args ...any) {
	fmt.Fprintln(p.out, paragraph(fmt.Sprintf(format, args...), margin, margin))
}

// aside prints a line of progress.
func (p *page) aside(format string, args ...any) {
	fmt.Fprintln(p.out, p.styled(faint, paragraph(fmt.Sprintf(format, args...), indented, indented+margin)))
}

// command prints a command as a user would type it.
func (p *page) command(words ...string) {
	line := broken(words, margin+"$ ", indented+margin, ` \`)
	fmt.Fprintf(p.out, "\n%s\n", p.styled(cyan, line))
}

// block prints indented text without wrapping it.
func (p *page) block(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		fmt.Fprintln(p.out, strings.TrimRight(indented+line, " \n"))
	}
}

// held prints a check that passed.
func (p *page) held(format string, args ...any) {
	p.checks++
	text := paragraph(fmt.Sprintf(format, args...), margin+"ok  ", indented)
	fmt.Fprintln(p.out, margin+p.styled(green, "ok")+strings.TrimPrefix(text, margin+"ok"))
}

func (p *page) gap() { fmt.Fprintln(p.out) }

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
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	default:
		return fmt.Sprintf("%.0fs", d.Seconds())
	}
}

// sinceKubectl formats the time between the end of the last command and an observation.
func sinceKubectl(d time.Duration) string {
	if d < pollEvery {
		return "before kubectl returned"
	}
	return span(d) + " after kubectl returned"
}

// abbreviated returns the ends of a token or of a part of one, which do not reveal it.
func abbreviated(text string) string {
	const ends = 6
	if len(text) <= 4*ends {
		return "..."
	}
	return text[:ends] + "..." + text[len(text)-ends:]
}

// progress is a writer that prints each line as an aside.
type progress struct{ *page }

func (p progress) Write(text []byte) (int, error) {
	for line := range strings.Lines(string(text)) {
		p.aside("%s", strings.TrimRight(line, "\n"))
	}
	return len(text), nil
}
