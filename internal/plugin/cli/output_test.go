package cli

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clocktesting "k8s.io/utils/clock/testing"
)

// TestOutput prints an API object or a document in each format, and wants a usage error for other formats.
func TestOutput(t *testing.T) {
	object := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: "orders"}}
	wide := func() *Output {
		o := NewOutput("made")
		o.Wide = true
		return o
	}
	plain, document := func() *Output { return NewOutput("made") }, func() *Output { return NewDocument("name") }
	for _, c := range []struct {
		name   string
		output func() *Output
		format string
		// print prints the object, or a document.
		print func(*Output, io.Writer) error
		want  string
		code  int
	}{
		{"text", plain, "", nil, "text", ExitDone},
		{"wide", wide, "wide", nil, "wide text", ExitDone},
		{"wide where there is none", plain, "wide", nil, "", ExitUsage},
		{"a name", plain, "name", printed(object), "configmap/orders\n", ExitDone},
		{"a template", plain, "jsonpath={.metadata.name}", printed(object), "orders", ExitDone},
		{"a wrong template", plain, "jsonpath={", nil, "", ExitUsage},
		{"an unknown format", plain, "picture", nil, "", ExitUsage},
		{"a document in JSON", document, "json", documented, "{\n    \"a\": 1\n}\n", ExitDone},
		{"a document in YAML", document, "yaml", documented, "a: 1\n", ExitDone},
		{"the names of a document", document, "name", nil, "names", ExitDone},
		{"a document in a template", document, "jsonpath={.a}", nil, "", ExitUsage},
		{"a document that has no such format", document, "name", documented, "", ExitError},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, cmd, out := c.output(), &cobra.Command{}, &bytes.Buffer{}
			o.Add(cmd)
			if err := cmd.Flags().Set("output", c.format); err != nil {
				t.Fatal(err)
			}
			err := o.Check()
			switch {
			case err != nil:
			case c.print != nil:
				err = c.print(o, out)
			case o.IsWide():
				out.WriteString("wide text")
			case o.IsText():
				out.WriteString("text")
			case o.IsName():
				out.WriteString("names")
			}
			if code := ExitCode(err); code != c.code || (c.code == ExitDone && out.String() != c.want) {
				t.Errorf("exit code %d (%v), %q; want %d, %q", code, err, out, c.code, c.want)
			}
		})
	}
}

func printed(object *corev1.ConfigMap) func(*Output, io.Writer) error {
	return func(o *Output, to io.Writer) error { return o.Print(to, object) }
}

func documented(o *Output, to io.Writer) error { return o.Document(to, map[string]int{"a": 1}) }

func TestTable(t *testing.T) {
	rows := [][]Cell{{Text("a"), Painted("Issued", Green), Text("x")}, {Text("längere"), Text("-"), Text("")}}
	for _, c := range []struct {
		name    string
		colours bool
		indent  string
		header  []string
		want    string
	}{
		{"with a header", false, "", []string{"NAME", "STATUS", "X"}, "NAME      STATUS   X\na         Issued   x\nlängere   -\n"},
		{"without a header", false, "  ", []string{"", "", ""}, "  a         Issued   x\n  längere   -\n"},
		{"in colours", true, "", []string{"", "", ""}, "a         \033[32mIssued\033[0m   x\nlängere   -\n"},
	} {
		var out bytes.Buffer
		WriteTable(&out, c.colours, c.indent, c.header, rows)
		if diff := cmp.Diff(c.want, out.String()); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	for want, got := range map[string]string{"abc": Truncate("abc", 3), "äb…": Truncate("äbcd", 3), "-": OrDash(""), "a": OrDash("a")} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func newRun(stdin string, variables map[string]string) *Run {
	return New(Options{
		IOStreams: genericiooptions.IOStreams{In: strings.NewReader(stdin), Out: io.Discard, ErrOut: io.Discard},
		Clock:     clocktesting.NewFakeClock(noon), Getenv: func(name string) string { return variables[name] },
	})
}

// TestRead reads a secret of a file or of stdin.
func TestRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("of the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("x", MaxSecret)
	for _, c := range []struct{ name, file, stdin, want, wrong string }{
		{"a file", file, "", "of the file", ""},
		{"stdin", "-", " of stdin \n", "of stdin", ""},
		{"the largest", "-", large, large, ""},
		{"too large", "-", large + "x", "", "larger than 64 KiB"},
		{"nothing", "-", " \n", "", "- is empty"},
		{"no file", file + "s", "", "", "no such file"},
		{"a directory", filepath.Dir(file), "", "", "is a directory"},
	} {
		got, err := newRun(c.stdin, nil).Read(c.file)
		if got != c.want || (err != nil) != (c.wrong != "") || (err != nil && !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%s: %.20q, %v", c.name, got, err)
		}
	}
}

func TestColours(t *testing.T) {
	if newRun("", nil).Colours() {
		t.Error("a pipe has colours")
	}
	if IsTerminal(os.NewFile(^uintptr(0), "closed")) || IsTerminal(&bytes.Buffer{}) {
		t.Error("a buffer or a closed file is a terminal")
	}
}

func TestArguments(t *testing.T) {
	check, cmd := Arguments(1, 2, "one or two names"), &cobra.Command{Use: "rotate"}
	for count, code := range map[int]int{0: ExitUsage, 1: ExitDone, 2: ExitDone, 3: ExitUsage} {
		if err := check(cmd, make([]string, count)); ExitCode(err) != code {
			t.Errorf("%d arguments: %v", count, err)
		}
	}
}
