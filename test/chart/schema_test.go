package chart

import (
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestLint: Helm finds nothing to complain of.
func TestLint(t *testing.T) {
	if said, err := helm(t.Context(), "lint", "--strict", "charts/refreshkeys"); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}

// TestEveryValueIsDescribed: the schema has each value of values.yaml and no other, with a description,
// of which docs/install.md is made.
func TestEveryValueIsDescribed(t *testing.T) {
	var values, schema map[string]any
	for file, into := range map[string]*map[string]any{"values.yaml": &values, "values.schema.json": &schema} {
		text, err := os.ReadFile(filepath.Join(suite.root, "charts/refreshkeys", file))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(text, into); err != nil {
			t.Fatal(err)
		}
	}
	describe(t, "", values, schema)
}

func describe(t *testing.T, path string, value any, schema map[string]any) {
	t.Helper()
	if said, _ := schema["description"].(string); said == "" && path != "" {
		t.Errorf("%s has no description", path)
	}
	properties, _ := schema["properties"].(map[string]any)
	fields, _ := value.(map[string]any)
	if len(properties) == 0 || schema["type"] != "object" {
		return
	}
	if schema["additionalProperties"] != false {
		t.Errorf("%s takes what is misspelt", path)
	}
	for field, described := range properties {
		if found, ok := fields[field]; ok {
			describe(t, path+"/"+field, found, described.(map[string]any))
		} else if field != "global" {
			t.Errorf("%s/%s is not in values.yaml", path, field)
		}
	}
	for field := range fields {
		if _, ok := properties[field]; !ok {
			t.Errorf("%s/%s is not in values.schema.json", path, field)
		}
	}
}
