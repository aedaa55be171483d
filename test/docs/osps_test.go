package docs

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// baseline are the controls of levels 1 and 2 of the OSPS Baseline, each as family, control and requirements.
const baseline = `AC-01.01 AC-02.01 AC-03.01 AC-03.02 AC-04.01 BR-01.01 BR-01.03 BR-02.01 BR-03.01 BR-03.02 BR-04.01 BR-05.01 BR-06.01
DO-01.01 DO-02.01 DO-06.01 DO-07.01 GV-01.01 GV-01.02 GV-02.01 GV-03.01 GV-03.02 LE-01.01 LE-02.01 LE-02.02 LE-03.01 LE-03.02
QA-01.01 QA-01.02 QA-02.01 QA-03.01 QA-04.01 QA-05.01 QA-05.02 QA-06.01 SA-01.01 SA-02.01 SA-03.01 VM-01.01 VM-03.01 VM-04.01`

// TestEachControlHasAState checks that docs/osps-baseline.md has each control once, with a state and evidence, and that the tests that it
// names exist. TestLinks checks the files.
func TestEachControlHasAState(t *testing.T) {
	page := text(t, "docs/osps-baseline.md")
	for _, control := range strings.Fields(baseline) {
		row := regexp.MustCompile(`(?m)^\| OSPS-`+regexp.QuoteMeta(control)+` .+ \| [12] \| (met|release|platform|open) \| .{10,} \|$`).FindAllString(page, -1)
		if len(row) != 1 {
			t.Errorf("OSPS-%s has %d rows with a state and evidence, want 1", control, len(row))
		}
	}
	defined := definedTests(t)
	for _, name := range regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(page, -1) {
		if !defined[name[1]] {
			t.Errorf("there is no %s", name[1])
		}
	}
}

// TestNoExecutablesAreStored checks that every file of the repository is text or a picture.
func TestNoExecutablesAreStored(t *testing.T) {
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "bin" || entry.Name() == ".git" || entry.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if picture := bytes.HasPrefix(content, []byte("\x89PNG\r\n")) && strings.HasSuffix(path, ".png"); !picture && bytes.IndexByte(content, 0) >= 0 {
			t.Errorf("%s is neither text nor a picture", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
