package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/refreshkeys/refreshkeys/internal/authority"
	"github.com/refreshkeys/refreshkeys/internal/authorize"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/signin"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// TestLimitsOfFields checks that the numbers of docs/limits.md are those of the schemas.
func TestLimitsOfFields(t *testing.T) {
	rows := regexp.MustCompile("(?m)^\\| (.*) \\| ([0-9]+) \\| (JWTIssuer|JWTRefreshKey) `(.*)` \\|$").FindAllStringSubmatch(text(t, "docs/limits.md"), -1)
	if len(rows) < 15 {
		t.Fatalf("only %d rows were found", len(rows))
	}
	for _, row := range rows {
		schema := schemaOf(t, row[3])
		for _, step := range strings.Split(row[4], ".") {
			name, item := strings.CutSuffix(step, "[]")
			property, ok := schema.Properties[name]
			if !ok {
				t.Fatalf("docs/limits.md names %s %s, which does not exist", row[3], row[4])
			}
			schema = &property
			if item {
				schema = schema.Items.Schema
			}
		}
		if got := limitOf(schema); got != row[2] {
			t.Errorf("docs/limits.md: %s: the page says %s, the schema %q", row[1], row[2], got)
		}
	}
}

// limitOf returns the limit that a schema sets, as text.
func limitOf(schema *apiextensionsv1.JSONSchemaProps) string {
	for _, limit := range []*int64{schema.MaxItems, schema.MaxProperties, schema.MaxLength} {
		if limit != nil {
			return fmt.Sprint(*limit)
		}
	}
	if schema.Maximum != nil {
		return fmt.Sprintf("%.0f", *schema.Maximum)
	}
	return ""
}

// schemaOf returns the schema of a kind.
func schemaOf(t *testing.T, kind string) *apiextensionsv1.JSONSchemaProps {
	t.Helper()
	var definition apiextensionsv1.CustomResourceDefinition
	manifest := text(t, "config/crd/bases/jwt.refreshkeys.dev_"+strings.ToLower(kind)+"s.yaml")
	if err := yaml.UnmarshalStrict([]byte(manifest), &definition); err != nil {
		t.Fatal(err)
	}
	return definition.Spec.Versions[0].Schema.OpenAPIV3Schema
}

// TestLimitsOfTheWire checks that the numbers of docs/limits.md are those of the code.
func TestLimitsOfTheWire(t *testing.T) {
	page := text(t, "docs/limits.md")
	for constant, value := range map[string]string{
		"token.MaxLength":      fmt.Sprintf("%d KiB", token.MaxLength>>10),
		"oauth.MaxBody":        fmt.Sprintf("%d KiB", oauth.MaxBody>>10),
		"oauth.MaxParameters":  fmt.Sprint(oauth.MaxParameters),
		"authority.MaxBundle":  fmt.Sprintf("%d KiB", authority.MaxBundle>>10),
		"identity.MaxPassword": fmt.Sprintf("%d bytes", identity.MaxPassword),
		"authorize.CodeLife":   authorize.CodeLife.String(),
		"authorize.DeviceLife": authorize.DeviceLife.String(),
		"signin.StepLife":      signin.StepLife.String(),
	} {
		if row := "| " + value + " | `" + constant + "` |"; !strings.Contains(page, row) {
			t.Errorf("docs/limits.md has no row that ends in %s", row)
		}
	}
}

// TestFiguresAreMeasured checks that each measured figure of docs/limits.md is in docs/performance.md, and each default of a flag in
// docs/architecture.md.
func TestFiguresAreMeasured(t *testing.T) {
	_, page, _ := strings.Cut(text(t, "docs/limits.md"), "### Measured")
	measured, _, _ := strings.Cut(page, "### Fields")
	figures := regexp.MustCompile(`(?m)^\| [^|]* \| ([0-9][^|]*) \|$`).FindAllStringSubmatch(measured, -1)
	if len(figures) < 6 {
		t.Fatalf("only %d figures were found", len(figures))
	}
	performance := text(t, "docs/performance.md")
	for _, figure := range figures {
		if !regexp.MustCompile(`\| ` + regexp.QuoteMeta(figure[1]) + `( \||;| \()`).MatchString(performance) {
			t.Errorf("docs/performance.md has no figure %s", figure[1])
		}
	}
	architecture := text(t, "docs/architecture.md")
	flags := regexp.MustCompile("(?m)^(\\| `--[a-z-]+` \\| [^|]+ \\|)").FindAllString(page, -1)
	if len(flags) < 4 {
		t.Fatalf("only %d flags were found", len(flags))
	}
	for _, flag := range flags {
		if !strings.Contains(architecture, flag) {
			t.Errorf("docs/architecture.md has no row that begins with %s", flag)
		}
	}
}

// text returns the text of a file, whose path is from the root of the repository.
func text(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
