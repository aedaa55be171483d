package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// asProgram makes the test binary act as the program.
const asProgram = "E2E_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Args = os.Args[:1]
		main()
	}
	os.Exit(m.Run())
}

// On a machine that cannot run it, the program prints why and succeeds, unless E2E is required.
func TestWithoutRoot(t *testing.T) {
	for name, want := range map[string]struct {
		variable string
		status   int
		says     string
	}{
		"skips":             {"", 0, "SKIP: "},
		"fails if required": {required, 1, failed},
	} {
		t.Run(name, func(t *testing.T) {
			said, status := runUnprivileged(t, "E2E="+want.variable)
			if status != want.status || !strings.HasPrefix(said, want.says) {
				t.Errorf("status %d, want %d, and the output is %q", status, want.status, said)
			}
			if runtime.GOOS == "linux" && !strings.Contains(said, "it needs root") {
				t.Errorf("the output does not contain the cause: %q", said)
			}
		})
	}
}

func runUnprivileged(t *testing.T, variable string) (string, int) {
	t.Helper()
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// The unprivileged user must be able to reach and run the binary.
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "e2e")
	if err := os.WriteFile(copied, program, 0o755); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(copied)
	command.Dir = "/"
	command.Env = append(os.Environ(), asProgram+"=1", variable)
	if os.Geteuid() == 0 {
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	err = command.Run()
	if status := command.ProcessState; status != nil {
		return said.String(), status.ExitCode()
	}
	t.Fatal(err)
	return "", 0
}
