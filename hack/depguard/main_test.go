package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// root is the root of the repository.
const root = "../.."

func table(t *testing.T) []row {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestTheRulesAreThoseOfTheTable checks that .golangci.yaml has the rules of the table.
func TestTheRulesAreThoseOfTheTable(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, config))
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := replaced(string(text), rules(table(t)))
	if err != nil {
		t.Fatal(err)
	}
	if fresh != string(text) {
		t.Errorf("the import rules in %s are not those of the table in %s: run `go run ./hack/depguard`", config, page)
	}
}

// TestEveryPackageHasARow checks that each package has a row in the table and each row has packages, and that no package
// imports what its row does not allow.
func TestEveryPackageHasARow(t *testing.T) {
	rows, used := table(t), map[string]bool{}
	for pkg, imports := range packages(t) {
		r, found := rowOf(rows, pkg)
		if !found {
			t.Errorf("%s has no row in \"Package dependencies\" of %s: say what it may import", pkg, page)
			continue
		}
		used[r.name] = true
		for imported := range imports {
			if !r.permits(imported) && !own(rows, r, imported) {
				t.Errorf("%s imports %s, but in %s %s", pkg, imported, page, r)
			}
		}
	}
	for _, r := range rows {
		if !used[r.name] {
			t.Errorf("%s has a row for %s, and there is no such package", page, r.name)
		}
	}
}

// packages returns the imports of each package of this module: for every platform, without those of tests.
func packages(t *testing.T) map[string]map[string]bool {
	t.Helper()
	all := map[string]map[string]bool{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			_, missing := os.Stat(filepath.Join(file, "go.mod"))
			if relative == "bin" || entry.Name() == "testdata" || (relative != "." && (strings.HasPrefix(entry.Name(), ".") || missing == nil)) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		pkg := module + "/" + filepath.ToSlash(filepath.Dir(relative))
		if all[pkg] == nil {
			all[pkg] = map[string]bool{}
		}
		if strings.HasSuffix(file, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imported := range parsed.Imports {
			all[pkg][strings.Trim(imported.Path.Value, `"`)] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// rowOf returns the row of a package: the longest name that it is at or below.
func rowOf(rows []row, pkg string) (best row, found bool) {
	for _, r := range rows {
		if at(pkg, r.name) && (!found || len(r.name) > len(best.name)) {
			best, found = r, true
		}
	}
	return best, found
}

// at reports whether a package is the named one or below it.
func at(pkg, name string) bool { return pkg == path(name) || strings.HasPrefix(pkg, path(name)+"/") }

// own reports whether an import is of the same row.
func own(rows []row, r row, imported string) bool {
	other, found := rowOf(rows, imported)
	return found && other.name == r.name
}

// permits reports whether a row allows an import of another row.
func (r row) permits(imported string) bool {
	for _, banned := range r.banned {
		if imported == banned || strings.HasPrefix(imported, banned+"/") {
			return false
		}
	}
	return r.all || !strings.HasPrefix(imported, module+"/") ||
		slices.ContainsFunc(r.imports, func(name string) bool { return at(imported, name) })
}

// TestParseCell checks what a cell of the table says.
func TestParseCell(t *testing.T) {
	for text, want := range map[string]row{
		"nothing":                           {},
		"anything":                          {all: true},
		"api, policy":                       {imports: []string{"api", "policy"}},
		"nothing (and no net/http)":         {banned: []string{"net/http"}},
		"api (and no context or client-go)": {imports: []string{"api"}, banned: []string{"context", "k8s.io/client-go"}},
	} {
		if got, err := parseCell(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"anything but cmd", "nothing today; no rule holds it yet", "api (and no database)", "anything except cmd"} {
		if got, err := parseCell(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// TestRulesOfNestedPackages checks that a row leaves out the packages that have rows of their own and imports them only if
// it says so, and that names with the same beginning stay apart.
func TestRulesOfNestedPackages(t *testing.T) {
	got := rules([]row{{name: "controllers", imports: []string{"controllers/issuer"}, banned: []string{"context"}}, {name: "controllers/issuer", imports: []string{"token"}}, {name: "hack", all: true}})
	want := `        controllers:
          files: ["**/controllers/**", "!**/controllers/issuer/**", "!$test"]
          list-mode: lax
          allow: [github.com/refreshkeys/refreshkeys/controllers$, github.com/refreshkeys/refreshkeys/controllers/issuer$, github.com/refreshkeys/refreshkeys/controllers/issuer/]
          deny:
          - {pkg: github.com/refreshkeys/refreshkeys, desc: "controllers imports of this module only controllers/issuer"}
          - {pkg: context, desc: "controllers does not import context"}
        controllers-issuer:
          files: ["**/controllers/issuer/**", "!$test"]
          list-mode: lax
          allow: [github.com/refreshkeys/refreshkeys/controllers/issuer$, github.com/refreshkeys/refreshkeys/controllers/issuer/, github.com/refreshkeys/refreshkeys/internal/token$, github.com/refreshkeys/refreshkeys/internal/token/]
          deny:
          - {pkg: github.com/refreshkeys/refreshkeys, desc: "controllers/issuer imports of this module only token"}
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
