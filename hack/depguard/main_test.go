package main

import (
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestMain runs the tests in the root of the repository, as make generate runs the command.
func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func table(t *testing.T) []row {
	t.Helper()
	text, err := os.ReadFile(page)
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
	text, err := os.ReadFile(config)
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
// imports what its row does not allow. It sees the files of this platform only; depguard sees the same, with the line.
func TestEveryPackageHasARow(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	rows, used := table(t), map[string]bool{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		r, found := rowOf(rows, fields[0])
		if !found {
			t.Errorf("%s has no row in \"Package dependencies\" of %s: say what it may import", fields[0], page)
			continue
		}
		used[r.name] = true
		for _, imported := range fields[1:] {
			if !r.permits(imported) {
				t.Errorf("%s imports %s, but in %s %s", fields[0], imported, page, r)
			}
		}
	}
	for _, r := range rows {
		if !used[r.name] {
			t.Errorf("%s has a row for %s, and there is no such package", page, r.name)
		}
	}
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

// permits reports whether a row allows an import.
func (r row) permits(imported string) bool {
	for _, banned := range r.banned {
		if imported == banned || strings.HasPrefix(imported, banned+"/") {
			return false
		}
	}
	return r.all || !strings.HasPrefix(imported, module+"/") || at(imported, r.name) ||
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

// TestRulesOfNestedPackages checks that a row leaves out the packages that have rows of their own, and that names with the
// same beginning stay apart.
func TestRulesOfNestedPackages(t *testing.T) {
	got := rules([]row{{name: "controllers", banned: []string{"context"}}, {name: "controllers/issuer", imports: []string{"token", "controllers"}}, {name: "hack", all: true}})
	want := `        controllers:
          files: ["**/controllers/**", "!**/controllers/issuer/**", "!$test"]
          list-mode: lax
          allow: [github.com/refreshkeys/refreshkeys/controllers$, github.com/refreshkeys/refreshkeys/controllers/]
          deny:
          - {pkg: github.com/refreshkeys/refreshkeys, desc: "controllers imports nothing of this module"}
          - {pkg: context, desc: "controllers does not import context"}
        controllers-issuer:
          files: ["**/controllers/issuer/**", "!$test"]
          list-mode: lax
          allow: [github.com/refreshkeys/refreshkeys/internal/token$, github.com/refreshkeys/refreshkeys/internal/token/, github.com/refreshkeys/refreshkeys/controllers$, github.com/refreshkeys/refreshkeys/controllers/]
          deny:
          - {pkg: github.com/refreshkeys/refreshkeys, desc: "controllers/issuer imports of this module only token, controllers"}
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
