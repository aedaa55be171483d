package contract

import (
	"go/ast"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// errorText is a text of an error that the product recognises, because the error has no type for it. in is how the file
// of the module writes it.
type errorText struct{ text, module, file, in string }

var matched = []errorText{
	{"denied the request", "k8s.io/apiserver", "pkg/admission/plugin/webhook/errors/statuserror.go", "admission webhook %q denied the request"},
	{"denied request", "k8s.io/apiserver", "pkg/admission/plugin/policy/validating/dispatcher.go", "denied request: %s"},
	{`is forbidden: User "`, "k8s.io/apiserver", "pkg/endpoints/handlers/responsewriters/errors.go", `"User %q cannot %s resource`},
	{`is forbidden: User "`, "k8s.io/apimachinery", "pkg/api/errors/errors.go", `"%s %q is forbidden: %v"`},
}

// TestTextsOfErrors checks that the product matches no other texts of errors than those in matched, and that the versions
// of the modules in go.mod still write these. The suites with an API server cannot tell a changed text from a missing case.
func TestTextsOfErrors(t *testing.T) {
	var found []string
	loadTree(t).inspect(func(p *checked, n ast.Node) {
		if function, ok := n.(*ast.FuncDecl); ok && function.Body != nil {
			found = append(found, p.errorTexts(function)...)
		}
	})
	for _, text := range found {
		if !slices.ContainsFunc(matched, func(m errorText) bool { return m.text == text }) {
			t.Errorf("the product matches %q in the text of an error: use its type, or add the text to matched, with the code that writes it", text)
		}
	}
	for _, m := range matched {
		if !slices.Contains(found, m.text) {
			t.Errorf("the product does not match %q", m.text)
		}
		folder, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", m.module).Output()
		if err != nil {
			t.Fatal(err)
		}
		source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(folder)), filepath.FromSlash(m.file)))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(source), m.in) {
			t.Errorf("%s of %s does not write %q any more: how does it write %q?", m.file, m.module, m.in, m.text)
		}
	}
}

// errorTexts returns the constant texts that a function looks for in the texts of errors.
func (p *checked) errorTexts(function *ast.FuncDecl) (texts []string) {
	isText := func(expr ast.Expr) bool {
		call, ok := ast.Unparen(expr).(*ast.CallExpr)
		if !ok || len(call.Args) > 0 {
			return false
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		return ok && method.Sel.Name == "Error"
	}
	// named are the variables that hold the text of an error.
	named := map[types.Object]bool{}
	ast.Inspect(function, func(n ast.Node) bool {
		if assigned, ok := n.(*ast.AssignStmt); ok && len(assigned.Lhs) == len(assigned.Rhs) {
			for i, right := range assigned.Rhs {
				if left, ok := assigned.Lhs[i].(*ast.Ident); ok && isText(right) {
					named[p.object(left)] = true
				}
			}
		}
		return true
	})
	of := func(expr ast.Expr) bool {
		name, ok := expr.(*ast.Ident)
		return isText(expr) || (ok && p.object(name) != nil && named[p.object(name)])
	}
	ast.Inspect(function, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if selector, ok := n.Fun.(*ast.SelectorExpr); ok && len(n.Args) == 2 && of(n.Args[0]) && types.ExprString(selector.X) == "strings" {
				texts = append(texts, p.looked(n.Args[1]))
			}
		case *ast.BinaryExpr:
			if of(n.X) && (n.Op.String() == "==" || n.Op.String() == "!=") {
				texts = append(texts, p.looked(n.Y))
			}
		}
		return true
	})
	return texts
}

// object returns what an identifier defines or uses.
func (p *checked) object(name *ast.Ident) types.Object {
	if defined := p.info.Defs[name]; defined != nil {
		return defined
	}
	return p.info.Uses[name]
}

// looked returns a constant text, or the expression.
func (p *checked) looked(expr ast.Expr) string {
	if text, ok := p.text(expr); ok {
		return text
	}
	return types.ExprString(expr)
}
