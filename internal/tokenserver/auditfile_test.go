package tokenserver

import (
	"os"
	"path/filepath"
	"testing"
)

// TestAuditFile checks that no line is lost when the file is renamed, truncated or removed, without a signal to
// the process.
func TestAuditFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	path, rotated := filepath.Join(dir, "audit"), filepath.Join(dir, "audit.1")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := OpenAuditFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(line string) {
		t.Helper()
		if _, err := f.Write([]byte(line + "\n")); err != nil {
			t.Error(err)
		}
	}
	holds := func(file, want string) {
		t.Helper()
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s holds %q (%v), want %q", filepath.Base(file), got, err, want)
		}
	}
	write("one")
	if err := os.Rename(path, rotated); err != nil {
		t.Fatal(err)
	}
	write("two")
	holds(rotated, "one\n")
	holds(path, "two\n")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is readable by others: %v %v", info.Mode(), err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	write("three")
	holds(path, "three\n")

	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("lost\n")); err == nil {
		t.Error("a lost line returns no error")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write("four")
	holds(path, "four\n")
	f.torn = true
	write("five")
	holds(path, "four\n\nfive\n")
}
