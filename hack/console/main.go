// Command console builds the page of the console: the TypeScript types of internal/console/wire, and the bundle in
// internal/console/dist from the sources in internal/console/ui. The same sources give the same bytes.
//
// Run it in this folder. The packages of npm are in bin/console-ui, installed from the lock file. Where npm is missing, the page is
// not built: in CI (CI=true) that is an error, elsewhere the command says so.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// paths are the folders that the command works with.
type paths struct {
	root, ui, dist, packages string
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "console:", err)
		os.Exit(1)
	}
}

func run() error {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return err
	}
	console := filepath.Join(root, "internal", "console")
	p := paths{root: root, ui: filepath.Join(console, "ui"), dist: filepath.Join(console, "dist"), packages: filepath.Join(root, "bin", "console-ui")}
	if err := writeWire(p); err != nil {
		return err
	}
	if err := lint(p); err != nil {
		return err
	}
	if err := install(p); err != nil {
		if errors.Is(err, errNoNPM) && os.Getenv("CI") != "true" {
			fmt.Fprintln(os.Stderr, "skipped: the page of the console:", err)
			return nil
		}
		return err
	}
	if err := check(p); err != nil {
		return err
	}
	return bundle(p)
}

// check runs the TypeScript compiler over the sources. It writes nothing.
func check(p paths) error {
	tsc := exec.Command("node", filepath.Join(p.packages, "node_modules", "typescript", "bin", "tsc"), "--noEmit", "--project", p.ui)
	tsc.Dir = p.ui
	out, err := tsc.CombinedOutput()
	if err != nil {
		return fmt.Errorf("tsc: %w\n%s", err, strings.ReplaceAll(string(out), p.root+string(filepath.Separator), ""))
	}
	return nil
}
