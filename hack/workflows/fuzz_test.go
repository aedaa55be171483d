package workflows

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// declared returns the fuzz targets of the main module as FOLDER FUNCTION, by Go's own parser.
func declared(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			name := entry.Name()
			_, noModule := os.Stat(filepath.Join(path, "go.mod"))
			if path != root && (noModule == nil || name == "bin" || name == "node_modules" || name == ".git" || name == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, declaration := range parsed.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if ok && function.Recv == nil && strings.HasPrefix(function.Name.Name, "Fuzz") {
				found = append(found, "./"+folder+" "+function.Name.Name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

// TestFuzzTargets checks that hack/fuzz lists every fuzz target, for make fuzz and for ClusterFuzzLite.
func TestFuzzTargets(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), filepath.Join(root, "hack/fuzz"), "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	listed := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(listed)
	if want := declared(t); !slices.Equal(listed, want) || len(want) < 10 {
		t.Errorf("hack/fuzz lists\n%s\nand the tests declare\n%s", strings.Join(listed, "\n"), strings.Join(want, "\n"))
	}
}

// TestClusterFuzzLite runs the build script with a compiler that only records its arguments: the base image, with the real one,
// is not run here. Each target is a program with a name of its own.
func TestClusterFuzzLite(t *testing.T) {
	sources, out, tools := t.TempDir(), t.TempDir(), t.TempDir()
	whole, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(whole, filepath.Join(sources, "refreshkeys")); err != nil {
		t.Fatal(err)
	}
	compiler := "#!/bin/sh\n[ $# = 3 ] || exit 1\necho \"$1 $2\" >>\"$OUT/compiled\"\n[ ! -e \"$OUT/$3\" ] && : >\"$OUT/$3\"\n"
	if err := os.WriteFile(filepath.Join(tools, "compile_native_go_fuzzer_v2"), []byte(compiler), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	script := exec.CommandContext(t.Context(), filepath.Join(whole, ".clusterfuzzlite/build.sh"))
	script.Env = append(os.Environ(), "SRC="+sources, "OUT="+out, "PATH="+tools+":"+os.Getenv("PATH"))
	if said, err := script.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	compiled := strings.Split(strings.TrimSpace(read(t, filepath.Join(out, "compiled"))), "\n")
	slices.Sort(compiled)
	var want []string
	for _, target := range declared(t) {
		want = append(want, "github.com/refreshkeys/refreshkeys/"+strings.TrimPrefix(target, "./"))
	}
	if !slices.Equal(compiled, want) {
		t.Errorf("the script builds\n%s\nwant\n%s", strings.Join(compiled, "\n"), strings.Join(want, "\n"))
	}
}
