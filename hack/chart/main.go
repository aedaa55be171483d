// Command chart writes the table of the chart's values, with their defaults from values.yaml and
// what they mean from values.schema.json, between two marks of docs/install.md.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

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
	table := &bytes.Buffer{}
	table.WriteString("| value | default | |\n| --- | --- | --- |\n")
	if err := rows(table, "", values, schema); err != nil {
		return err
	}
	return replace(filepath.Join(root, "docs", "install.md"), table.String())
}

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

// rows writes one for each value, in the order of values.yaml, and one for each group of them.
func rows(table *bytes.Buffer, path string, value, schema *yaml.Node) error {
	for i := 0; i < len(value.Content); i += 2 {
		name, inner := value.Content[i].Value, value.Content[i+1]
		described := field(field(schema, "properties"), name)
		description := field(described, "description")
		if description == nil {
			return fmt.Errorf("values.schema.json does not describe %s%s", path, name)
		}
		if field(described, "properties") != nil {
			fmt.Fprintf(table, "| **%s%s** | | %s |\n", path, name, cell(description.Value))
			if err := rows(table, path+name+".", inner, described); err != nil {
				return err
			}
			continue
		}
		var standard any
		if err := inner.Decode(&standard); err != nil {
			return err
		}
		text, err := json.Marshal(standard)
		if err != nil {
			return err
		}
		fmt.Fprintf(table, "| %s%s | `%s` | %s%s |\n", path, name, cell(string(text)), cell(description.Value), oneOf(described))
	}
	return nil
}

func oneOf(schema *yaml.Node) string {
	allowed := field(schema, "enum")
	if allowed == nil {
		return ""
	}
	var all []string
	for _, each := range allowed.Content {
		if each.Value != "" {
			all = append(all, "`"+each.Value+"`")
		}
	}
	return " One of " + strings.Join(all, ", ") + "."
}

// field is nil where a mapping has no such field.
func field(mapping *yaml.Node, name string) *yaml.Node {
	if mapping == nil {
		return nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i+1]
		}
	}
	return nil
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func replace(file, table string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(page), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("%s does not hold the marks between which the table goes", file)
	}
	return os.WriteFile(file, []byte(before+begin+table+end+after), 0o644)
}
