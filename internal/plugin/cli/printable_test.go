package cli

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	clocktesting "k8s.io/utils/clock/testing"
)

// TestPrintable checks that no text can move the cursor, change colours or the order of characters, or begin another line.
func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"Grüße, 日本 ✓ 🙂":         "Grüße, 日本 ✓ 🙂",
		"a\x1b[2Jb":             `a\x1b[2Jb`,
		"a\u009b2Jb":            `a\u009b2Jb`,
		"a\x07\x08\x7fb":        `a\a\b\x7fb`,
		"a\nb\r\nc\td\re":       "a b c d e",
		"a\u202eb\u2066c\u200b": `a\u202eb\u2066c\u200b`,
		"a\u2028b":              `a\u2028b`,
		"a\xffb":                "a\ufffdb",
		"it's":                  "it's",
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// TestWhatIsWrittenIsPrintable checks the ways of a text to a terminal: a table, stderr and the progress.
func TestWhatIsWrittenIsPrintable(t *testing.T) {
	const hostile = "a\x1b[2Jb"
	var table, stderr bytes.Buffer
	WriteTable(&table, true, "", []string{"ONE", "TWO"}, [][]Cell{{Painted(hostile, Green), Text("x\ny")}})
	if want := "ONE         TWO\n\x1b[32ma\\x1b[2Jb\x1b[0m   x y\n"; table.String() != want {
		t.Errorf("the table is %q, want %q", table.String(), want)
	}
	run := New(Options{IOStreams: genericiooptions.IOStreams{Out: &table, ErrOut: &stderr}, Clock: clocktesting.NewFakeClock(time.Time{})})
	fmt.Fprintf(run.ErrOut, "error: %s\n\tmore\n", hostile)
	run.Progress.Update(hostile)
	run.Progress.show("", 0)
	if want := "error: a\\x1b[2Jb\n\tmore\na\\x1b[2Jb ...\n"; stderr.String() != want {
		t.Errorf("stderr has %q, want %q", stderr.String(), want)
	}
}
