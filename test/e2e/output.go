package main

import (
	"fmt"
	"strings"
	"time"
)

// output collects what is written to it.
type output struct{ written strings.Builder }

func (o *output) Write(p []byte) (int, error) { return o.written.Write(p) }

func (o *output) text() string { return strings.TrimSpace(o.written.String()) }

// row is a line of the summary: a step, its observation, and its duration.
type row struct {
	step      string
	took      time.Duration
	exchanges int
	failed    int
	slowest   time.Duration
	seen      string
}

// summary is the table that is printed last; docs/e2e.md contains the table of a run.
func summary(rows []row) string {
	var table strings.Builder
	table.WriteString("| step | took | exchanges | failed | slowest | seen |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		fmt.Fprintf(&table, "| %s | %s | %d | %d | %s | %s |\n", r.step, seconds(r.took), r.exchanges, r.failed, milliseconds(r.slowest), r.seen)
	}
	return table.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond))
}
