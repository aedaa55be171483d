package main

import (
	"bytes"
	"fmt"
	"iter"
	"os"
	"strings"
	"text/tabwriter"
)

// report is the table of a run.
type report struct {
	machine string
	figures []*figure
}

// figure is one line of the table: a measurement with its reference value.
type figure struct {
	what, measured, limit, ratio, target string
	met                                  bool
	// note explains the numbers.
	note string
}

func (f *figure) verdict() string {
	if f.met {
		return "met"
	}
	return "MISSED"
}

func (f *figure) cells() []string {
	ratio := f.ratio
	if ratio == "" {
		ratio = "-"
	}
	return []string{f.what, f.measured, f.limit, ratio, f.target, f.verdict()}
}

var headings = []string{"what", "measured", "reference value", "ratio", "target", "verdict"}

// add adds a figure and prints it at once.
func (r *report) add(f *figure) {
	r.figures = append(r.figures, f)
	progress("%s: %s (reference value %s, target %s): %s", f.what, f.measured, f.limit, f.target, f.verdict())
}

// join adds the figures of another report.
func (r *report) join(other *report) {
	r.figures = append(r.figures, other.figures...)
	if other.machine != "" {
		r.machine = other.machine
	}
}

// text returns the table for a terminal.
func (r *report) text() string {
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join(headings, "\t"))
	for _, f := range r.figures {
		fmt.Fprintln(table, strings.Join(f.cells(), "\t"))
	}
	_ = table.Flush()
	fmt.Fprintf(&out, "\n%s\n", r.machine)
	for _, f := range r.figures {
		fmt.Fprintf(&out, "%s: %s\n", f.what, f.note)
	}
	return out.String()
}

// markdown returns the table for docs/performance.md. It keeps the figures in before that are not in
// this report.
func (r *report) markdown(before string) string {
	rows, notes := map[string]string{}, map[string]string{}
	var order []string
	put := func(what, row, note string) {
		if rows[what] == "" {
			order = append(order, what)
		}
		rows[what], notes[what] = row, note
	}
	row := func(cells []string) string { return "| " + strings.Join(cells, " | ") + " |\n" }
	for what, kept := range rowsOf(before) {
		put(what, kept.row, kept.note)
	}
	for _, f := range r.figures {
		put(f.what, row(f.cells()), fmt.Sprintf("- %s: %s.\n", f.what, f.note))
	}
	var out strings.Builder
	out.WriteString(row(headings) + row([]string{"---", "---", "---", "---", "---", "---"}))
	for _, what := range order {
		out.WriteString(rows[what])
	}
	fmt.Fprintf(&out, "\n%s\n\n", r.machine)
	for _, what := range order {
		out.WriteString(notes[what])
	}
	return out.String()
}

// kept is one figure in the document.
type kept struct{ row, note string }

// rowsOf parses the rows that markdown has written, in their order.
func rowsOf(document string) iter.Seq2[string, kept] {
	return func(yield func(string, kept) bool) {
		for line := range strings.Lines(document) {
			what, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
			if !strings.HasPrefix(line, "| ") || what == headings[0] || what == "---" {
				continue
			}
			k := kept{row: line}
			for note := range strings.Lines(document) {
				if strings.HasPrefix(note, "- "+what+": ") {
					k.note = note
				}
			}
			if !yield(what, k) {
				return
			}
		}
	}
}

// keep writes the figures of a group of parts into its table in the document. It does not change
// the prose around it.
func (r *report) keep(path, group string) error {
	if len(r.figures) == 0 {
		return nil
	}
	beginMark := fmt.Sprintf("<!-- make bench writes the figures of the %s from here -->", group)
	endMark := fmt.Sprintf("<!-- to here: %s -->", group)
	document, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, rest, begins := bytes.Cut(document, []byte(beginMark))
	before, tail, ends := bytes.Cut(rest, []byte(endMark))
	if !begins || !ends {
		return fmt.Errorf("%s lacks the lines %q and %q, between which the table belongs", path, beginMark, endMark)
	}
	written := fmt.Sprintf("%s%s\n\n%s\n%s%s", head, beginMark, r.markdown(string(before)), endMark, tail)
	progress("the figures of the %s are kept in %s", group, path)
	return os.WriteFile(path, []byte(written), 0o600)
}
