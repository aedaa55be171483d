// Command mutants proves that the tests of the invariants can fail: it applies each stored patch to a copy of the
// repository, runs the test that must catch it, and reports the patches that no test catches.
//
// Usage: mutants [-list] [name ...]. A name selects an invariant (I7) or one patch (I7-any-typ).
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

const (
	folder = "hack/mutants"
	list   = folder + "/mutants.txt"
	// copyAt is below bin/, which git ignores. The place is always the same, so that Go's build cache is of use to the next run.
	copyAt = "bin/mutants"
	// testLimit is longer than any test of the list takes.
	testLimit = 5 * time.Minute
)

// mutant is one line of the list.
type mutant struct {
	// patch is the name of the patch file, below hack/mutants.
	patch string
	// pkg is the package of the test, and run the pattern for -run.
	pkg, run string
}

// name returns the name of the patch without its suffix.
func (m mutant) name() string { return strings.TrimSuffix(m.patch, ".patch") }

// selectedBy reports whether one of the names selects the mutant. Without names all are selected.
func (m mutant) selectedBy(names []string) bool {
	return len(names) == 0 || slices.ContainsFunc(names, func(name string) bool {
		return m.name() == name || strings.HasPrefix(m.name(), name+"-")
	})
}

// parse reads the list: three fields a line; empty lines and comments (#) are skipped.
func parse(text string) ([]mutant, error) {
	var all []mutant
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) != 3 || !strings.HasSuffix(fields[0], ".patch") {
			return nil, fmt.Errorf("line %d is not a patch, a package and a pattern: %q", i+1, line)
		}
		m := mutant{patch: fields[0], pkg: fields[1], run: fields[2]}
		if slices.ContainsFunc(all, func(other mutant) bool { return other.patch == m.patch }) {
			return nil, fmt.Errorf("line %d repeats %s", i+1, m.patch)
		}
		all = append(all, m)
	}
	return all, nil
}

// Results of a mutant. Only killed is good.
const (
	killed   = "killed"
	survived = "SURVIVED"
	unfit    = "UNFIT"
)

func main() {
	only := flag.Bool("list", false, "print the mutants that the names select, and run nothing")
	flag.Parse()
	good, err := run(flag.Args(), *only, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
	}
	if err != nil || !good {
		os.Exit(1)
	}
}

// run tries the selected mutants one after the other, and prints a table. It returns false if a mutant is not killed.
func run(names []string, only bool, out io.Writer) (good bool, err error) {
	text, err := os.ReadFile(list)
	if err != nil {
		return false, err
	}
	all, err := parse(string(text))
	if err != nil {
		return false, fmt.Errorf("%s: %w", list, err)
	}
	all = slices.DeleteFunc(all, func(m mutant) bool { return !m.selectedBy(names) })
	if len(all) == 0 {
		return false, fmt.Errorf("no mutant is called %s", strings.Join(names, ", "))
	}
	if !only {
		if err := copyTree(); err != nil {
			return false, fmt.Errorf("copy the repository: %w", err)
		}
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	table := tabwriter.NewWriter(out, 52, 0, 2, ' ', 0)
	failures := 0
	for _, m := range all {
		if only {
			fmt.Fprintf(table, "%s\t%s\t%s\n", m.name(), m.pkg, m.run)
			continue
		}
		began := time.Now()
		result, detail := m.try()
		if result != killed {
			failures++
		}
		fmt.Fprintf(table, "%s\t%-8s %5.0f s  %s %s\n%s", m.name(), result, time.Since(began).Seconds(), m.pkg, m.run, detail)
		if err := table.Flush(); err != nil {
			return false, err
		}
		if len(interrupted) > 0 {
			return false, errors.New("interrupted")
		}
	}
	if !only {
		fmt.Fprintf(table, "%d of %d mutants are killed\n", len(all)-failures, len(all))
	}
	return failures == 0, table.Flush()
}

// try applies the patch in the copy, runs the test, and takes the patch back.
func (m mutant) try() (result, detail string) {
	patch, err := filepath.Abs(filepath.Join(folder, m.patch))
	if err != nil {
		return unfit, err.Error() + "\n"
	}
	// The removed lines decide where a patch applies; a reworded comment beside them does not matter.
	if said, err := command("git", "apply", "-C0", "--directory="+copyAt, patch); err != nil {
		return unfit, "the patch does not apply; make it again for the present code\n" + said
	}
	defer func() {
		if said, err := command("git", "apply", "-C0", "--reverse", "--directory="+copyAt, patch); err != nil {
			panic("take the patch back: " + said)
		}
	}()
	// Building is a step of its own: code that does not compile proves nothing about the test.
	binary, err := filepath.Abs(filepath.Join(copyAt, "bin", "mutant.test"))
	if err != nil {
		return unfit, err.Error() + "\n"
	}
	if said, err := command("go", "-C", copyAt, "test", "-c", "-vet=off", "-o", binary, m.pkg); err != nil {
		return unfit, "the mutant does not build\n" + said
	}
	test := exec.Command(binary, "-test.count=1", "-test.failfast", "-test.timeout="+testLimit.String(), "-test.run=^("+m.run+")$")
	test.Dir = filepath.Join(copyAt, m.pkg)
	said, err := test.CombinedOutput()
	switch text := string(said); {
	case err == nil:
		return survived, ""
	case strings.Contains(text, "--- FAIL: "), strings.Contains(text, "panic: test timed out"):
		return killed, ""
	default:
		return unfit, "the test could not run\n" + text
	}
}

// copyTree copies what git knows of, as it is in the work tree, and links what was built for the tests.
func copyTree() error {
	script := `set -eu
rm -rf "$0"; mkdir -p "$0/bin"
git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- --create --ignore-failed-read 2>/dev/null | tar --extract --directory "$0"
for built in bin/k8s bin/tools; do [ ! -d "$built" ] || ln -s "$PWD/$built" "$0/$built"; done`
	said, err := command("bash", "-c", script, copyAt)
	if err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

func command(name string, arguments ...string) (string, error) {
	said, err := exec.Command(name, arguments...).CombinedOutput()
	return string(said), err
}
