// Command chart writes what is said about the chart's values from one source, the descriptions in values.schema.json: as the comments of
// values.yaml, whose defaults it keeps, and as a table between two marks of docs/install.md and of the chart's README.md.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

const (
	begin = "<!-- values: made by make generate -->\n"
	end   = "<!-- end of values -->\n"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "chart: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	root, err := cluster.RepositoryRoot()
	if err != nil {
		return err
	}
	chart := filepath.Join(root, "charts", "refreshkeys")
	values, err := read(filepath.Join(chart, "values.yaml"))
	if err != nil {
		return err
	}
	// JSON is YAML, and so the order of its fields is known too.
	schema, err := read(filepath.Join(chart, "values.schema.json"))
	if err != nil {
		return err
	}
	all, err := describe(values, schema)
	if err != nil {
		return err
	}
	commented, err := file(all)
	if err != nil {
		return err
	}
	rows, err := table(all)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(chart, "values.yaml"), commented, 0o644),
		replace(filepath.Join(chart, "README.md"), rows),
		replace(filepath.Join(root, "docs", "install.md"), rows),
	)
}

// read returns the one document of a file.
func read(file string) (*yaml.Node, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	document := &yaml.Node{}
	if err := yaml.Unmarshal(text, document); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return document.Content[0], nil
}

// replace writes a table between the marks of a page.
func replace(file string, table []byte) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, found := bytes.Cut(page, []byte(begin))
	_, after, ended := bytes.Cut(rest, []byte(end))
	if !found || !ended {
		return fmt.Errorf("%s does not hold the marks between which the table goes", file)
	}
	return os.WriteFile(file, bytes.Join([][]byte{before, []byte(begin), table, []byte(end), after}, nil), 0o644)
}
