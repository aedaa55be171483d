// Command depguard writes the import rules of .golangci.yaml from the table "Package dependencies" of
// docs/architecture.md, so that the two never differ.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

const (
	page   = "docs/architecture.md"
	config = ".golangci.yaml"
	// begin and end enclose the generated rules.
	begin = "        # Generated from docs/architecture.md by make generate: begin.\n"
	end   = "        # Generated from docs/architecture.md by make generate: end.\n"

	module = "github.com/refreshkeys/refreshkeys"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "depguard:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	rows, err := parse(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	before, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	after, err := replaced(string(before), rules(rows))
	if err != nil || after == string(before) {
		return err
	}
	return os.WriteFile(config, []byte(after), 0o644)
}

// replaced returns the configuration with other generated rules.
func replaced(text, rules string) (string, error) {
	head, rest, begins := strings.Cut(text, begin)
	_, tail, ends := strings.Cut(rest, end)
	if !begins || !ends {
		return "", fmt.Errorf("%s has no lines %q and %q", config, begin, end)
	}
	return head + begin + rules + end + tail, nil
}

// rules returns the rules of depguard for the rows.
func rules(rows []row) string {
	var text strings.Builder
	for _, r := range rows {
		if r.all {
			continue
		}
		fmt.Fprintf(&text, "        %s:\n", strings.ReplaceAll(r.name, "/", "-"))
		files, nested := []string{pattern(r)}, false
		for _, other := range rows {
			if below(other.name, r.name) {
				files, nested = append(files, "!"+pattern(other)), true
			}
		}
		fmt.Fprintf(&text, "          files: [%s, \"!$test\"]\n", quoted(files))
		fmt.Fprintf(&text, "          list-mode: lax\n          allow: [%s]\n          deny:\n", strings.Join(r.allow(nested), ", "))
		fmt.Fprintf(&text, "          - {pkg: %s, desc: %q}\n", module, r)
		for _, banned := range r.banned {
			fmt.Fprintf(&text, "          - {pkg: %s, desc: %q}\n", banned, r.name+" does not import "+banned)
		}
	}
	return text.String()
}

// pattern returns the files of a row's packages, as depguard names them.
func pattern(r row) string { return "**/" + r.folder() + "/**" }

// quoted returns texts as the elements of a YAML list.
func quoted(texts []string) string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = fmt.Sprintf("%q", text)
	}
	return strings.Join(all, ", ")
}

// allow returns what depguard allows of this module: the packages of the row and what they may import. nested means that
// other rows are below it. depguard compares beginnings, and only with the last entry that is not after an import: a name
// stands with a dollar sign for itself and with a slash for what is below it, and names below another are left out,
// unless the package itself is below that one, too: its own name may be the last entry before them.
func (r row) allow(nested bool) []string {
	all, covered := []string{path(r.name) + "$"}, r.imports
	if !nested {
		all, covered = append(all, path(r.name)+"/"), append([]string{r.name}, r.imports...)
	}
	for _, name := range r.imports {
		if !slices.ContainsFunc(covered, func(other string) bool { return below(name, other) && !below(r.name, other) }) {
			all = append(all, path(name)+"$", path(name)+"/")
		}
	}
	return all
}
