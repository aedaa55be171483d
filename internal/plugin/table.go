package plugin

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/outlook"
)

// paint is the escape sequence of a terminal colour.
type paint string

const (
	plain  paint = ""
	green  paint = "\033[32m"
	yellow paint = "\033[33m"
	red    paint = "\033[31m"
	faint  paint = "\033[2m"
)

// cell is a text in a table, with an optional colour.
type cell struct {
	text  string
	paint paint
}

func text(s string) cell { return cell{text: s} }

// colours reports whether to print colours: stdout is a terminal that supports them, and NO_COLOR is
// not set (no-color.org).
func (c *cli) colours() bool {
	return isTerminal(c.Out) && c.Getenv("NO_COLOR") == "" && c.Getenv("TERM") != "dumb"
}

// writeTable writes rows with aligned columns. Colours do not count towards the width.
func writeTable(w io.Writer, colours bool, indent string, header []string, rows [][]cell) {
	widths := make([]int, len(header))
	all := rows
	if head := cells(header); head != nil {
		all = append([][]cell{head}, rows...)
	}
	for _, row := range all {
		for i, one := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(one.text))
		}
	}
	for _, row := range all {
		var line strings.Builder
		for i, one := range row {
			shown := one.text
			if colours && one.paint != plain {
				shown = string(one.paint) + one.text + "\033[0m"
			}
			line.WriteString(shown)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(one.text)+3))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(indent+line.String(), " "))
	}
}

// cells returns the cells of a header; nil if every name is empty.
func cells(header []string) []cell {
	shown := make([]cell, 0, len(header))
	empty := true
	for _, name := range header {
		shown = append(shown, text(name))
		empty = empty && name == ""
	}
	if empty {
		return nil
	}
	return shown
}

// statusCell returns a key's status in its colour.
func statusCell(status string) cell {
	switch status {
	case v1alpha1.ReasonIssued:
		return cell{status, green}
	case v1alpha1.ReasonRevoked, v1alpha1.ReasonExpired:
		return cell{status, faint}
	case outlook.Pending, outlook.Deleting, v1alpha1.ReasonIssuing, v1alpha1.ReasonOverlapPending, v1alpha1.ReasonWaitingForSecret:
		return cell{status, yellow}
	default:
		return cell{status, red}
	}
}

// truncate shortens a text to a number of characters.
func truncate(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}
