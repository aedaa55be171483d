package chart

import (
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestLint: Helm finds nothing to complain of.
func TestLint(t *testing.T) {
	for _, binary := range []string{suite.helm, suite.helm3} {
		if said, err := runHelm(t.Context(), binary, "lint", "--strict", "charts/refreshkeys"); err != nil {
			t.Errorf("%v\n%s", err, said)
		}
	}
}

// TestUnknownValuesAreRefused checks that each group of values in the schema is closed, but for `global`, which a parent chart shares.
// hack/chart fails where values.yaml and the schema do not have the same values, or one has no description.
func TestUnknownValuesAreRefused(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(suite.root, "charts/refreshkeys/values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	schema := map[string]any{}
	if err := yaml.UnmarshalStrict(text, &schema); err != nil {
		t.Fatal(err)
	}
	groups := closed(t, "", schema)
	if groups < 40 {
		t.Errorf("%d groups of values were found", groups)
	}
}

// closed returns the number of groups.
func closed(t *testing.T, path string, schema map[string]any) int {
	t.Helper()
	properties, _ := schema["properties"].(map[string]any)
	if len(properties) == 0 {
		return 0
	}
	if schema["additionalProperties"] != false && path != "/global" {
		t.Errorf("%s takes what is misspelt", path)
	}
	groups := 1
	for field, described := range properties {
		groups += closed(t, path+"/"+field, described.(map[string]any))
	}
	return groups
}
