package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
)

// report is the table of a run.
type report struct {
	machine string
	figures []*figure
}

// figure is one line of the table: what was measured, beside its limit.
type figure struct {
	what, measured, limit, ratio, target string
	met                                  bool
	// note tells what the numbers leave out.
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

var headings = []string{"what", "measured", "limit beside it", "ratio", "target", "verdict"}

// add shows a figure at once, so that a long run tells what it finds.
func (r *report) add(f *figure) {
	r.figures = append(r.figures, f)
	progress("%s: %s (limit %s, target %s): %s", f.what, f.measured, f.limit, f.target, f.verdict())
}

// join takes in the figures of another report.
func (r *report) join(other *report) {
	r.figures = append(r.figures, other.figures...)
	if other.machine != "" {
		r.machine = other.machine
	}
}

// text is the table for a terminal.
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

// markdown is the same for docs/performance.md.
func (r *report) markdown() string {
	var out strings.Builder
	row := func(cells []string) { fmt.Fprintf(&out, "| %s |\n", strings.Join(cells, " | ")) }
	row(headings)
	row([]string{"---", "---", "---", "---", "---", "---"})
	for _, f := range r.figures {
		row(f.cells())
	}
	fmt.Fprintf(&out, "\n%s\n\n", r.machine)
	for _, f := range r.figures {
		fmt.Fprintf(&out, "- %s: %s.\n", f.what, f.note)
	}
	return out.String()
}

// keep puts the table of a group of parts into the document, which says in prose how it was
// measured: what is between the marks of the group is replaced, and all else stays.
func (r *report) keep(path, group string) error {
	beginMark := fmt.Sprintf("<!-- make bench writes the figures of the %s from here -->", group)
	endMark := fmt.Sprintf("<!-- to here: %s -->", group)
	document, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, rest, begins := bytes.Cut(document, []byte(beginMark))
	_, tail, ends := bytes.Cut(rest, []byte(endMark))
	if !begins || !ends {
		return fmt.Errorf("%s lacks the lines %q and %q, between which the table belongs", path, beginMark, endMark)
	}
	written := fmt.Sprintf("%s%s\n\n%s\n%s%s", head, beginMark, r.markdown(), endMark, tail)
	progress("the table of the %s is kept in %s", group, path)
	return os.WriteFile(path, []byte(written), 0o600)
}
