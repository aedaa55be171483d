package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
)

// minified returns a script in fewer bytes: terser uses the short names again in each function, where esbuild has one set of names for all,
// so that the compressed script is a fortieth smaller.
func minified(p paths, script []byte) ([]byte, error) {
	terser := exec.Command("node", filepath.Join(p.packages, "node_modules", "terser", "bin", "terser"),
		"--module", "--ecma", "2020", "--compress", "passes=2", "--mangle", "--comments", "some")
	terser.Stdin = bytes.NewReader(script)
	var faults bytes.Buffer
	terser.Stderr = &faults
	out, err := terser.Output()
	if err != nil {
		return nil, fmt.Errorf("terser: %w\n%s", err, faults.String())
	}
	return out, nil
}
