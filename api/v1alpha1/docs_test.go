package v1alpha1

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestOptionalFieldsSayWhatUnsetMeans checks that the doc of each optional field states its default, because the
// schema contains no defaults.
func TestOptionalFieldsSayWhatUnsetMeans(t *testing.T) {
	types := structTypes(t)
	for _, root := range []string{"JWTRefreshKeySpec", "JWTIssuerSpec"} {
		seen := map[string]bool{}
		visitFields(types, root, seen, func(owner string, field *ast.Field) {
			doc := field.Doc.Text()
			if strings.Contains(doc, "+optional") && !strings.Contains(strings.Join(strings.Fields(doc), " "), "hen unset") {
				t.Errorf("%s.%s: the doc does not say what it means when unset", owner, field.Names[0].Name)
			}
		})
		if len(seen) < 5 {
			t.Errorf("%s: only %d types were looked at: %v", root, len(seen), seen)
		}
	}
}

// structTypes returns the struct types of this package by name.
func structTypes(t *testing.T) map[string]*ast.StructType {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]*ast.StructType{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			if spec, ok := node.(*ast.TypeSpec); ok {
				if structure, ok := spec.Type.(*ast.StructType); ok {
					types[spec.Name.Name] = structure
				}
			}
			return true
		})
	}
	return types
}

// visitFields visits the fields of a type and of all types of its fields.
func visitFields(types map[string]*ast.StructType, name string, seen map[string]bool, visit func(string, *ast.Field)) {
	structure, known := types[name]
	if !known || seen[name] {
		return
	}
	seen[name] = true
	for _, field := range structure.Fields.List {
		visit(name, field)
		ast.Inspect(field.Type, func(node ast.Node) bool {
			if identifier, ok := node.(*ast.Ident); ok {
				visitFields(types, identifier.Name, seen, visit)
			}
			return true
		})
	}
}
