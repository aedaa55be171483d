package contract

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/refreshkeys/refreshkeys"

// machine matches the text of a name or value that no sentence is: it has no blank.
var machine = regexp.MustCompile(`^\S+$`)

// tree holds the parsed and partly type-checked code of the product. Packages of other modules are empty in it, which
// is enough to evaluate the constants of the product's own packages.
type tree struct {
	files    *token.FileSet
	packages map[string]*checked
}

type checked struct {
	types *types.Package
	info  types.Info
	files []*ast.File
}

func loadTree(t *testing.T) *tree {
	t.Helper()
	all := &tree{files: token.NewFileSet(), packages: map[string]*checked{}}
	for _, top := range []string{"api", "cmd", "controllers", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(file string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.IsDir() || entry.Name() == "testdata" {
				return err
			}
			relative, err := filepath.Rel(root, file)
			if err != nil {
				return err
			}
			_, err = all.Import(module + "/" + filepath.ToSlash(relative))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// Import is part of types.Importer. Packages of other modules are empty.
func (a *tree) Import(name string) (*types.Package, error) {
	below, ours := strings.CutPrefix(name, module+"/")
	if !ours {
		empty := types.NewPackage(name, path.Base(name))
		empty.MarkComplete()
		return empty, nil
	}
	if found := a.packages[name]; found != nil {
		return found.types, nil
	}
	found := &checked{info: types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
	}}
	sources, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(below), "*.go"))
	if err != nil {
		return nil, err
	}
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(a.files, source, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		found.files = append(found.files, file)
	}
	// Errors are those of the empty packages.
	config := types.Config{Importer: a, Error: func(error) {}}
	found.types, _ = config.Check(name, a.files, found.files, &found.info)
	a.packages[name] = found
	return found.types, nil
}

// inspect visits every node of the product's code.
func (a *tree) inspect(visit func(p *checked, n ast.Node)) {
	for _, p := range a.packages {
		for _, file := range p.files {
			ast.Inspect(file, func(n ast.Node) bool {
				if n != nil {
					visit(p, n)
				}
				return true
			})
		}
	}
}

// text returns the value of an expression that is a constant string.
func (p *checked) text(expr ast.Expr) (string, bool) {
	value := p.info.Types[expr].Value
	if value == nil || value.Kind() != constant.String {
		return "", false
	}
	return constant.StringVal(value), true
}

// source returns an expression as it is written, or its value if it is a constant.
func (p *checked) source(expr ast.Expr) string {
	if value := p.info.Types[expr].Value; value != nil {
		return value.ExactString()
	}
	return types.ExprString(expr)
}

// constants returns the values of the string constants that are names and not sentences. Those of the API have their
// kind of name before them.
func (a *tree) constants() (lines []string) {
	a.inspect(func(p *checked, n ast.Node) {
		name, ok := n.(*ast.Ident)
		if !ok {
			return
		}
		object, ok := p.info.Defs[name].(*types.Const)
		if !ok || object.Val().Kind() != constant.String || object.Parent() != p.types.Scope() {
			return
		}
		if value := constant.StringVal(object.Val()); machine.MatchString(value) {
			lines = append(lines, kindOf(p, object)+" "+value)
		}
	})
	return lines
}

func kindOf(p *checked, object *types.Const) string {
	if p.types.Name() == "v1alpha1" {
		for _, kind := range []string{"Annotation", "Condition", "Label", "Reason", "Revoked", "Secret"} {
			if strings.HasPrefix(object.Name(), kind) {
				return kind
			}
		}
		return "API"
	}
	return "constant"
}

// fieldValues returns the constants that are assigned to fields of the given names, in composite literals and
// assignments: the reasons of conditions, and the reasons and actions of events.
func (a *tree) fieldValues(names ...string) (lines []string) {
	add := func(p *checked, field string, value ast.Expr) {
		field = strings.ToLower(field)
		if text, ok := p.text(value); ok && slices.Contains(names, field) && machine.MatchString(text) {
			lines = append(lines, field+" "+text)
		}
	}
	a.inspect(func(p *checked, n ast.Node) {
		switch n := n.(type) {
		case *ast.CompositeLit:
			for i, element := range n.Elts {
				if pair, ok := element.(*ast.KeyValueExpr); ok {
					if key, ok := pair.Key.(*ast.Ident); ok {
						add(p, key.Name, pair.Value)
					}
				} else if fields := structOf(p.info.Types[n].Type); fields != nil && i < fields.NumFields() {
					add(p, fields.Field(i).Name(), element)
				}
			}
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if selector, ok := left.(*ast.SelectorExpr); ok && len(n.Lhs) == len(n.Rhs) {
					add(p, selector.Sel.Name, n.Rhs[i])
				}
			}
		}
	})
	return lines
}

func structOf(kind types.Type) *types.Struct {
	if kind == nil {
		return nil
	}
	if pointer, ok := kind.Underlying().(*types.Pointer); ok {
		kind = pointer.Elem()
	}
	fields, _ := kind.Underlying().(*types.Struct)
	return fields
}

// jsonMembers returns the JSON members of each struct, in their order.
func (a *tree) jsonMembers() (lines []string) {
	a.inspect(func(_ *checked, n ast.Node) {
		structure, ok := n.(*ast.StructType)
		if !ok {
			return
		}
		var members []string
		for _, field := range structure.Fields.List {
			if field.Tag == nil {
				continue
			}
			if tag := reflect.StructTag(strings.Trim(field.Tag.Value, "`")); tag.Get("json") != "" {
				members = append(members, tag.Get("json"))
			}
		}
		if members != nil {
			lines = append(lines, strings.Join(members, " "))
		}
	})
	return lines
}

var flagMethod = regexp.MustCompile(`^(Bool|Int|Int8|Int64|Float64|String|StringSlice|StringArray|Duration)?Var(P?)$`)

// flags returns the flags that the commands define, with their types and defaults.
func (a *tree) flags() (lines []string) {
	a.inspect(func(p *checked, n ast.Node) {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || len(call.Args) < 3 {
			return
		}
		found := flagMethod.FindStringSubmatch(method.Sel.Name)
		name, constant := p.text(call.Args[1])
		if found == nil || !constant {
			return
		}
		line, rest := fmt.Sprintf("%s --%s", program(p.types.Path()), name), call.Args[2:]
		if found[2] != "" {
			short, _ := p.text(rest[0])
			line, rest = line+" -"+short, rest[1:]
		}
		if found[1] != "" {
			line += fmt.Sprintf(" %s=%s", found[1], p.source(rest[0]))
		}
		lines = append(lines, line)
	})
	return lines
}

// program returns the program that a package is of: the last element of its path, and plugin for all packages of the plugin.
func program(pkg string) string {
	if strings.Contains(pkg, "/internal/plugin/") {
		return "plugin"
	}
	return path.Base(pkg)
}

// exitCodes returns the exit codes of the plugin. The golden file has their names in lower case.
func (a *tree) exitCodes() (lines []string) {
	a.inspect(func(p *checked, n ast.Node) {
		name, ok := n.(*ast.Ident)
		if !ok || !strings.HasPrefix(strings.ToLower(name.Name), "exit") {
			return
		}
		if object, ok := p.info.Defs[name].(*types.Const); ok && object.Val().Kind() == constant.Int {
			lines = append(lines, strings.ToLower(name.Name[:1])+name.Name[1:]+" "+object.Val().ExactString())
		}
	})
	return lines
}

// environment returns the environment variables that the commands read.
func (a *tree) environment() (lines []string) {
	a.inspect(func(p *checked, n ast.Node) {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 1 {
			return
		}
		if method, ok := call.Fun.(*ast.SelectorExpr); ok && method.Sel.Name == "Getenv" {
			if name, ok := p.text(call.Args[0]); ok {
				lines = append(lines, name)
			}
		}
	})
	return lines
}

var fieldName = regexp.MustCompile(`^[a-z]\w*$`)

// logFields returns the names of the fields of log lines.
func (a *tree) logFields() []string {
	names := map[string]bool{}
	a.inspect(func(p *checked, n ast.Node) {
		var pairs []ast.Expr
		switch n := n.(type) {
		case *ast.CallExpr:
			pairs = loggedPairs(p, n)
		case *ast.CompositeLit:
			if list, ok := n.Type.(*ast.ArrayType); ok && types.ExprString(list.Elt) == "any" {
				pairs = n.Elts
			}
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			if name, ok := p.text(pairs[i]); ok && fieldName.MatchString(name) {
				names[name] = true
			}
		}
	})
	return slices.Collect(maps.Keys(names))
}

// loggedPairs returns the arguments of a call that are names and values of log fields.
func loggedPairs(p *checked, call *ast.CallExpr) []ast.Expr {
	if name, ok := call.Fun.(*ast.Ident); ok && name.Name == "append" && len(call.Args)%2 == 1 {
		return call.Args[1:]
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	first, known := map[string]int{"Info": 1, "Error": 2, "WithValues": 0}[method.Sel.Name]
	if !known || len(call.Args) <= first {
		return nil
	}
	return call.Args[first:]
}
