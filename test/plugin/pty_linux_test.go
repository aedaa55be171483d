package plugin

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is a run of the plugin on a terminal of its own.
type terminal struct {
	t       *testing.T
	master  *os.File
	command *exec.Cmd
	said    bytes.Buffer
}

func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

func onTerminal(t *testing.T, environment []string, args ...string) *terminal {
	t.Helper()
	master, slave := openTerminal(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	command := exec.CommandContext(ctx, lookPath(environment, "kubectl-refreshkey"), args...)
	command.Env, command.Stdin, command.Stdout, command.Stderr = environment, slave, slave, slave
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if err := slave.Close(); err != nil {
		t.Fatal(err)
	}
	return &terminal{t: t, master: master, command: command}
}

// until reads until the output contains the text, or the command has ended.
func (r *terminal) until(text string) {
	r.t.Helper()
	piece := make([]byte, 1024)
	for text == "" || !strings.Contains(r.said.String(), text) {
		n, err := r.master.Read(piece)
		r.said.Write(piece[:n])
		if err != nil {
			return
		}
	}
}

// ended returns the whole output and the exit code.
func (r *terminal) ended() (string, int) {
	r.t.Helper()
	r.until("")
	_ = r.command.Wait()
	return r.said.String(), r.command.ProcessState.ExitCode()
}

func init() { others["OnATerminal"] = (*harness).testOnATerminal }

// testOnATerminal checks that the plugin prints colours only on a terminal, does not echo a password, and prints and removes
// a line about what it waits for.
func (h *harness) testOnATerminal(t *testing.T) {
	namespace, kubeconfig := h.newNamespace()
	usual := h.variables(namespace, kubeconfig, "TERM=xterm")
	slow := h.newSlowReplica()
	said, code := onTerminal(t, usual, "create", "orders", "--audience", "https://orders.example.com", "--wait").ended()
	if code != 0 {
		t.Fatalf("create: %s", said)
	}
	const green = "\033[32mIssued\033[0m"
	for _, c := range []struct {
		name        string
		environment []string
		coloured    bool
	}{
		{"on a terminal", usual, true},
		{"with NO_COLOR", append(usual[:len(usual):len(usual)], "NO_COLOR=1"), false},
		{"on a terminal without colours", h.variables(namespace, kubeconfig, "TERM=dumb"), false},
	} {
		said, code := onTerminal(t, c.environment, "list").ended()
		if code != 0 || strings.Contains(said, green) != c.coloured || strings.Contains(said, "\033") != c.coloured {
			t.Errorf("%s: exit code %d, colours %v: %q", c.name, code, !c.coloured, said)
		}
	}
	if out, _, _ := run(t.TempDir(), usual, "", "kubectl-refreshkey", "list"); strings.Contains(out, "\033") || !strings.Contains(out, "Issued") {
		t.Errorf("in a pipe: %q", out)
	}

	const password = "correct horse"
	login := onTerminal(t, usual, "login", "--audience", "https://orders.example.com", "--username", "jane", "--ca-file", filepath.Join(h.dir, "ca.crt"))
	login.until("Password of jane: ")
	if _, err := login.master.WriteString(password + "\n"); err != nil {
		t.Fatal(err)
	}
	if said, code = login.ended(); code != 0 || strings.Contains(said, password) || !strings.Contains(said, "signed in") {
		t.Errorf("login: exit code %d, and the password was shown: %v: %q", code, strings.Contains(said, password), said)
	}

	slow.hang(true)
	defer slow.hang(false)
	said, code = onTerminal(t, usual, "revoke", "orders", "--wait", "--timeout", "4s", "--replica", slow.Server.URL, "--ca-file", filepath.Join(h.dir, "ca.crt")).ended()
	if code != 5 || !strings.Contains(said, "\r\033[K1 of 1 replicas have not refused: ") || !strings.Contains(said, "\r\033[Kjwtrefreshkey.jwt.refreshkeys.dev/orders revoked") {
		t.Errorf("revoke: exit code %d: %q", code, said)
	}
}
