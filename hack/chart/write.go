package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	// width is the longest line of a comment.
	width  = 130
	header = `# The values of the chart, with their defaults. To change a default, edit it here; to change a comment, edit the description in
# values.schema.json, and run make generate. Empty values have their defaults in the operator. Unknown values are refused.
`
)

// file returns values.yaml: each default with its comment.
func file(all []entry) ([]byte, error) {
	text := bytes.NewBufferString(header)
	for _, each := range all {
		if each.depth == 0 {
			text.WriteByte('\n')
		}
		indent := strings.Repeat("  ", each.depth)
		for _, line := range wrap(each.description, width-len(indent)-2) {
			fmt.Fprintf(text, "%s# %s\n", indent, line)
		}
		if each.group {
			fmt.Fprintf(text, "%s%s:\n", indent, each.name)
			continue
		}
		value, err := oneLine(each.standard)
		if err != nil {
			return nil, fmt.Errorf("%s%s: %w", each.path, each.name, err)
		}
		fmt.Fprintf(text, "%s%s: %s\n", indent, each.name, value)
	}
	return text.Bytes(), nil
}

// oneLine returns a default as YAML on one line, quoted only where it has to be.
func oneLine(value *yaml.Node) (string, error) {
	inFlow, err := plain(value)
	if err != nil {
		return "", err
	}
	text, err := yaml.Marshal(inFlow)
	return strings.TrimSpace(string(text)), err
}

// plain returns a copy without comments and styles, except for the brackets of maps and lists, and for the quotes that keep a text such as
// "off" from being a boolean.
func plain(value *yaml.Node) (*yaml.Node, error) {
	copied := &yaml.Node{Kind: value.Kind, Tag: value.Tag, Value: value.Value}
	if value.Tag == "!!str" {
		return copied, copied.Encode(value.Value)
	}
	if value.Kind != yaml.ScalarNode {
		copied.Style = yaml.FlowStyle
	}
	for _, each := range value.Content {
		inner, err := plain(each)
		if err != nil {
			return nil, err
		}
		copied.Content = append(copied.Content, inner)
	}
	return copied, nil
}

// wrap returns text as lines of at most limit characters, where its words allow that.
func wrap(text string, limit int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > limit:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

// table returns a row for each value and each group.
func table(all []entry) ([]byte, error) {
	text := bytes.NewBufferString("| value | default | |\n| --- | --- | --- |\n")
	for _, each := range all {
		if each.group {
			fmt.Fprintf(text, "| **%s%s** | | %s |\n", each.path, each.name, cell(each.description))
			continue
		}
		var standard any
		if err := each.standard.Decode(&standard); err != nil {
			return nil, err
		}
		value, err := json.Marshal(standard)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(text, "| %s%s | `%s` | %s |\n", each.path, each.name, cell(string(value)), cell(each.description))
	}
	return text.Bytes(), nil
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
