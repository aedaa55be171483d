package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// finding is a place that breaks a rule of the style.
type finding struct {
	file    string
	line    int
	area    area
	rule    string
	level   string
	message string
}

const config = `StylesPath = styles
MinAlertLevel = suggestion
[*.{md,txt}]
BasedOnStyles = RefreshKeys
`

// check writes the pages into a temporary directory, runs Vale there and maps what it finds back to the sources.
func check(vale string, pages []*page) ([]finding, error) {
	directory, err := os.MkdirTemp("", "prose")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(directory)
	if err := os.CopyFS(directory, styles); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(directory, "vale.ini"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	written := map[string]*page{}
	for _, p := range pages {
		file := filepath.Join(directory, "text", p.file+p.extension)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, []byte(p.text()), 0o600); err != nil {
			return nil, err
		}
		written[file] = p
	}
	if len(written) == 0 {
		return nil, errors.New("no file with text was found")
	}
	command := exec.Command(vale, "--config=vale.ini", "--output=JSON", "--no-exit", "--no-global", filepath.Join(directory, "text"))
	command.Dir = directory
	var failure bytes.Buffer
	command.Stderr = &failure
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s%s", vale, err, &failure, output)
	}
	return mapBack(output, written)
}

// mapBack reads Vale's JSON.
func mapBack(output []byte, written map[string]*page) (findings []finding, err error) {
	var byFile map[string][]struct {
		Check, Severity, Message string
		Line                     int
	}
	if err := json.Unmarshal(output, &byFile); err != nil {
		return nil, fmt.Errorf("read Vale's output: %w: %s", err, output)
	}
	for file, alerts := range byFile {
		p := written[file]
		if p == nil {
			return nil, fmt.Errorf("Vale reports %s, which is not a file that it was given", file)
		}
		for _, alert := range alerts {
			line := p.lines[min(max(alert.Line, 1), len(p.lines))-1]
			findings = append(findings, finding{
				p.file, line.number, line.area, strings.TrimPrefix(alert.Check, "RefreshKeys."), alert.Severity, alert.Message,
			})
		}
	}
	slices.SortFunc(findings, func(a, b finding) int {
		return cmp.Or(strings.Compare(a.file, b.file), a.line-b.line, strings.Compare(a.rule, b.rule), strings.Compare(a.message, b.message))
	})
	return findings, nil
}

// report prints the findings and returns the number of errors.
func report(o *options, findings []finding, out io.Writer) (failed int) {
	warnings := map[string]int{}
	for _, f := range findings {
		if f.level == "error" {
			failed++
		} else {
			warnings[f.rule]++
		}
		if !o.counts && (o.verbose || f.level == "error") {
			fmt.Fprintf(out, "%s:%d: %s: %s\n", f.file, f.line, f.level, f.message)
		}
	}
	if o.counts {
		printCounts(findings, out)
	}
	fmt.Fprintf(out, "prose: %d errors", failed)
	for _, rule := range slices.Sorted(maps.Keys(warnings)) {
		fmt.Fprintf(out, ", %d warnings of %s", warnings[rule], rule)
	}
	fmt.Fprintln(out)
	return failed
}

func printCounts(findings []finding, out io.Writer) {
	counts, rules := map[area]map[string]int{}, map[string]bool{}
	for _, f := range findings {
		if counts[f.area] == nil {
			counts[f.area] = map[string]int{}
		}
		counts[f.area][f.rule]++
		rules[f.rule] = true
	}
	columns := slices.Sorted(maps.Keys(rules))
	fmt.Fprintf(out, "| area | %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)+1))
	for _, row := range areas {
		fmt.Fprintf(out, "| %s |", row)
		for _, rule := range columns {
			fmt.Fprintf(out, " %d |", counts[row][rule])
		}
		fmt.Fprintln(out)
	}
}
