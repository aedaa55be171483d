package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Paint is the escape sequence of a terminal colour.
type Paint string

// The colours of a table. Plain is no colour.
const (
	Plain  Paint = ""
	Green  Paint = "\033[32m"
	Yellow Paint = "\033[33m"
	Red    Paint = "\033[31m"
	Faint  Paint = "\033[2m"
)

// Cell is a text in a table, with an optional colour.
type Cell struct {
	Text  string
	Paint Paint
}

// Text returns a cell without a colour.
func Text(s string) Cell { return Cell{Text: s} }

// Painted returns a cell with a colour.
func Painted(s string, paint Paint) Cell { return Cell{s, paint} }

// WriteTable writes rows with aligned columns, whose texts become printable. Colours do not count towards the width.
func WriteTable(w io.Writer, colours bool, indent string, header []string, rows [][]Cell) {
	table := NewTable(w, colours, header)
	table.indent = indent
	table.Write(rows)
}

// Table writes rows that come later, too, with columns as wide as those before.
type Table struct {
	to      io.Writer
	colours bool
	indent  string
	// header is written before the first rows.
	header []Cell
	widths []int
}

// NewTable returns a table with a header. It has no header if every name is empty.
func NewTable(w io.Writer, colours bool, header []string) *Table {
	return &Table{to: w, colours: colours, header: cells(header), widths: make([]int, len(header))}
}

// Write writes rows, and before the first ones the header.
func (t *Table) Write(rows [][]Cell) {
	all := rows
	if t.header != nil {
		all = append([][]Cell{t.header}, rows...)
		t.header = nil
	}
	for _, row := range all {
		for i := range row {
			row[i].Text = Printable(row[i].Text)
		}
		for i, one := range row {
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(one.Text))
		}
	}
	for _, row := range all {
		var line strings.Builder
		for i, one := range row {
			shown := one.Text
			if t.colours && one.Paint != Plain {
				shown = string(one.Paint) + one.Text + "\033[0m"
			}
			line.WriteString(shown)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(one.Text)+3))
			}
		}
		fmt.Fprintln(t.to, strings.TrimRight(t.indent+line.String(), " "))
	}
}

// cells returns the cells of a header; nil if every name is empty.
func cells(header []string) []Cell {
	shown := make([]Cell, 0, len(header))
	empty := true
	for _, name := range header {
		shown = append(shown, Text(name))
		empty = empty && name == ""
	}
	if empty {
		return nil
	}
	return shown
}

// Truncate shortens a text to a number of characters.
func Truncate(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// OrDash returns a text, or - for an empty one.
func OrDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
