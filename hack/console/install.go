package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

var errNoNPM = errors.New("npm is not installed")

// install puts the packages of the lock file into bin/console-ui, once for each lock file, and links them to where the sources are.
func install(p paths) error {
	if err := os.MkdirAll(p.packages, 0o755); err != nil {
		return err
	}
	if err := link(p); err != nil {
		return err
	}
	lock, err := os.ReadFile(filepath.Join(p.ui, "package-lock.json"))
	if err != nil {
		return err
	}
	installed := filepath.Join(p.packages, "installed-lock.json")
	if had, err := os.ReadFile(installed); err == nil && bytes.Equal(had, lock) {
		return nil
	}
	if _, err := exec.LookPath("npm"); err != nil {
		return errNoNPM
	}
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		text, err := os.ReadFile(filepath.Join(p.ui, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(p.packages, name), text, 0o644); err != nil {
			return err
		}
	}
	npm := exec.Command("npm", "ci")
	npm.Dir = p.packages
	if out, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return os.WriteFile(installed, lock, 0o644)
}

// link makes node_modules beside the sources, which TypeScript and esbuild look for.
func link(p paths) error {
	beside := filepath.Join(p.ui, "node_modules")
	if _, err := os.Lstat(beside); err == nil {
		return nil
	}
	return os.Symlink(filepath.Join("..", "..", "..", "bin", "console-ui", "node_modules"), beside)
}
