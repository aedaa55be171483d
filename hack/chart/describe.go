package main

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// entry is a value of the chart, or a group of them, which has no default of its own.
type entry struct {
	// path ends in a dot, or is empty.
	path, name  string
	depth       int
	group       bool
	standard    *yaml.Node
	description string
}

// describe returns an entry for each value and each group, in the order of values.yaml. It fails where one of the two files lacks a value.
func describe(values, schema *yaml.Node) ([]entry, error) {
	d := &describer{definitions: field(schema, "definitions")}
	err := d.walk("", 0, values, schema)
	return d.all, err
}

type describer struct {
	definitions *yaml.Node
	all         []entry
}

func (d *describer) walk(path string, depth int, values, schema *yaml.Node) error {
	properties := field(schema, "properties")
	for i := 0; i+1 < len(properties.Content); i += 2 {
		if name := properties.Content[i].Value; field(values, name) == nil {
			return fmt.Errorf("values.yaml does not have %s%s", path, name)
		}
	}
	for i := 0; i+1 < len(values.Content); i += 2 {
		name, value := values.Content[i].Value, values.Content[i+1]
		described := d.resolve(field(properties, name))
		description := field(described, "description")
		if description == nil {
			return fmt.Errorf("values.schema.json does not describe %s%s", path, name)
		}
		each := entry{path: path, name: name, depth: depth, standard: value, group: field(described, "properties") != nil}
		each.description = description.Value + oneOf(described)
		d.all = append(d.all, each)
		if !each.group {
			continue
		}
		if err := d.walk(path+name+".", depth+1, value, described); err != nil {
			return err
		}
	}
	return nil
}

// resolve follows a $ref to a definition of the same schema.
func (d *describer) resolve(schema *yaml.Node) *yaml.Node {
	if ref := field(schema, "$ref"); ref != nil {
		return field(d.definitions, strings.TrimPrefix(ref.Value, "#/definitions/"))
	}
	return schema
}

// oneOf returns the sentence that lists the values of an enum.
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

// field returns the field of a mapping, and nil where there is none.
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
