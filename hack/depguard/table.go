package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// row is one package of the table, with those below it that have no row of their own.
type row struct {
	// name is as in the table: below internal/, or a path.
	name string
	// imports are the names of this module's packages that it may import; all means any package.
	imports []string
	all     bool
	// banned are packages of others that it must not import.
	banned []string
}

// others are the packages of others that the table names.
var others = map[string]string{
	"context": "context", "net/http": "net/http", "client-go": "k8s.io/client-go", "controller-runtime": "sigs.k8s.io/controller-runtime",
}

// tops are the folders whose packages the table names with their path.
var tops = []string{"api", "cmd", "controllers", "hack", "test"}

var (
	cells = regexp.MustCompile("^\\| (`[^|]*`) \\| ([^|]*) \\|$")
	names = regexp.MustCompile("`([a-z0-9/-]+)`")
	name  = regexp.MustCompile(`^[a-z0-9/-]+$`)
	ban   = regexp.MustCompile(`^(.*) \(and no ([^()]*)\)$`)
	comma = regexp.MustCompile(`, | or `)
)

// parse returns the rows of the table "Package dependencies", in their order.
func parse(text string) (rows []row, err error) {
	_, section, found := strings.Cut(text, "\n### Package dependencies\n")
	if !found {
		return nil, errors.New("it has no section \"Package dependencies\"")
	}
	section, _, _ = strings.Cut(section, "\n#")
	for line := range strings.Lines(section) {
		cell := cells.FindStringSubmatch(strings.TrimSpace(line))
		if cell == nil {
			continue
		}
		meaning, err := parseCell(cell[2])
		if err != nil {
			return nil, fmt.Errorf("%w, in the row %s", err, strings.TrimSpace(line))
		}
		for _, found := range names.FindAllStringSubmatch(cell[1], -1) {
			if slices.ContainsFunc(rows, func(r row) bool { return r.name == found[1] }) {
				return nil, fmt.Errorf("%s has two rows", found[1])
			}
			meaning.name = found[1]
			rows = append(rows, meaning)
		}
	}
	if len(rows) == 0 {
		return nil, errors.New("its table has no rows")
	}
	return rows, nil
}

// parseCell reads what a package may import: "anything", "nothing" or "a, b"; and after the last two packages of others
// that it must not import: "(and no context, client-go or controller-runtime)".
func parseCell(text string) (r row, err error) {
	if found := ban.FindStringSubmatch(text); found != nil {
		text = found[1]
		for _, other := range comma.Split(found[2], -1) {
			if others[other] == "" {
				return row{}, fmt.Errorf("%q is no package of others that hack/depguard knows", other)
			}
			r.banned = append(r.banned, others[other])
		}
	}
	switch text {
	case "anything":
		r.all = true
	case "nothing":
	default:
		r.imports = strings.Split(text, ", ")
	}
	for _, imported := range r.imports {
		if !name.MatchString(imported) {
			return row{}, fmt.Errorf("%q is no name of a package", imported)
		}
	}
	return r, nil
}

// String returns what the row allows of this module, in words.
func (r row) String() string {
	switch {
	case r.all:
		return r.name + " imports anything"
	case len(r.imports) == 0:
		return r.name + " imports nothing of this module"
	default:
		return r.name + " imports of this module only " + strings.Join(r.imports, ", ")
	}
}

// folder returns the folder of the row's packages.
func (r row) folder() string { return strings.TrimPrefix(path(r.name), module+"/") }

// path returns the import path of a name.
func path(name string) string {
	top, _, _ := strings.Cut(name, "/")
	if !slices.Contains(tops, top) {
		name = "internal/" + name
	}
	return module + "/" + name
}

// below reports whether a name is of a package below another's.
func below(name, other string) bool { return strings.HasPrefix(name, other+"/") }
