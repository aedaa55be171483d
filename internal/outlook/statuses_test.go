package outlook

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestStatusesAreComplete checks that Statuses has each reason of the API for the condition Ready of a key, and the two words of its own.
func TestStatusesAreComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "api", "v1alpha1", "conditions.go"), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Deleting", "Pending"}
	for _, declared := range file.Decls {
		block, ok := declared.(*ast.GenDecl)
		if !ok || !strings.HasPrefix(block.Doc.Text(), "Reasons of the conditions of a JWTRefreshKey.") {
			continue
		}
		for _, spec := range block.Specs {
			value, _ := spec.(*ast.ValueSpec)
			literal, _ := value.Values[0].(*ast.BasicLit)
			reason, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, reason)
		}
	}
	slices.Sort(want)
	if got := Statuses(); len(want) < 10 || !slices.Equal(got, want) {
		t.Errorf("Statuses returns %v, want %v", got, want)
	}
}
