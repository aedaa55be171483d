package isolation

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The arguments of the test program when it runs again.
const (
	insideOnce    = "inside-once"
	insideForever = "inside-forever"
	outside       = "outside"
	marker        = "refreshkeys-isolation-test-marker"
)

func TestMain(m *testing.M) {
	Hook()
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case insideOnce, insideForever:
			os.Exit(makeAMess(os.Args[1] == insideForever))
		case outside:
			err := Run(context.Background(), Options{Dir: os.Args[2], Args: []string{insideForever}, Stdout: os.Stdout, Stderr: os.Stderr})
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// makeAMess changes a machine as a node does: mounts, groups, links, files, and a process
// without a parent.
func makeAMess(forever bool) int {
	script := `set -e
mkdir -p "$TMPDIR/mounted"
mount -t tmpfs none "$TMPDIR/mounted"
mount -t tmpfs none /opt
for group in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do
  [ -e "$group" ] && mkdir -p "$(dirname "$group")/kubepods/` + marker + `"
done
ip link add rktest0 type veth peer name rktest1
touch /run/` + marker + ` /var/lib/` + marker + ` /var/log/` + marker + `
! touch /usr/` + marker + ` 2>/dev/null
! touch /etc/` + marker + ` 2>/dev/null
[ "$(ls -d /proc/[0-9]* | wc -l)" -lt 10 ]
setsid sh -c 'exec sleep 7200.1234' >/dev/null 2>&1 &
`
	if out, err := exec.Command("bash", "-c", script).CombinedOutput(); err != nil {
		fmt.Printf("inside: %v\n%s\n", err, out)
		return 3
	}
	fmt.Println("the mess is made")
	if forever {
		time.Sleep(time.Hour)
	}
	return 7
}

func TestNothingIsLeft(t *testing.T) {
	needIsolation(t)
	for name, end := range map[string]func(t *testing.T, dir string){
		"by its own end":               endByItself,
		"by the end of a context":      endByContext,
		"by a kill of who started it":  endByKill,
		"by a kill of the first of it": endByKillOfInit,
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "node")
			before := mounts(t)
			end(t, dir)
			waitUntilGone(t, dir)
			if after := mounts(t); after != before {
				t.Errorf("mounts before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

func endByItself(t *testing.T, dir string) {
	var out bytes.Buffer
	err := Run(t.Context(), Options{Dir: dir, Args: []string{insideOnce}, Stdout: &out, Stderr: &out})
	var status *exec.ExitError
	if !errors.As(err, &status) || status.ExitCode() != 7 {
		t.Fatalf("got %v, want the status of the program inside, 7\n%s", err, &out)
	}
}

func endByContext(t *testing.T, dir string) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{Dir: dir, Args: []string{insideForever}, Stdout: write, Stderr: write})
	}()
	awaitMess(t, read)
	cancel()
	if err := <-ended; err == nil {
		t.Error("Run succeeds after the context was cancelled")
	}
}

func endByKill(t *testing.T, dir string) {
	command := startOutside(t, dir)
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
}

func endByKillOfInit(t *testing.T, dir string) {
	command := startOutside(t, dir)
	for _, pid := range processes(t, initName, dir) {
		found, err := os.FindProcess(pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := found.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	if err := command.Wait(); err == nil {
		t.Error("the change was not detected")
	}
}

func startOutside(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	command := exec.Command(self)
	command.Args = []string{os.Args[0], outside, dir}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = write, write
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	awaitMess(t, read)
	return command
}

func awaitMess(t *testing.T, output io.Reader) {
	t.Helper()
	lines := bufio.NewReader(output)
	line, err := lines.ReadString('\n')
	if err != nil || !strings.Contains(line, "the mess is made") {
		t.Fatalf("the program inside printed %q (%v)", line, err)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
}

// waitUntilGone checks that everything from makeAMess is removed. It waits, since a killed process
// does not wait for its sweeper.
func waitUntilGone(t *testing.T, dir string) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if left = leftOvers(t, dir); len(left) == 0 {
			return
		}
	}
	t.Errorf("left over:\n%s", strings.Join(left, "\n"))
}

func leftOvers(t *testing.T, dir string) []string {
	t.Helper()
	left := []string{}
	for _, path := range []string{dir, "/run/" + marker, "/var/lib/" + marker, "/var/log/" + marker, "/usr/" + marker, "/etc/" + marker, "/sys/class/net/rktest0"} {
		if _, err := os.Lstat(path); err == nil {
			left = append(left, path)
		}
	}
	_ = filepath.WalkDir(cgroupRoot, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && entry.Name() == marker {
			left = append(left, path)
		}
		return nil
	})
	for _, pid := range append(processes(t, "7200.1234", ""), processes(t, sweepName, dir)...) {
		left = append(left, fmt.Sprint("process ", pid))
	}
	return left
}

// processes returns the processes with both words in their command line.
func processes(t *testing.T, word, other string) []int {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, path := range lines {
		line, err := os.ReadFile(path)
		if err == nil && bytes.Contains(line, []byte(word)) && bytes.Contains(line, []byte(other)) {
			var pid int
			if _, err := fmt.Sscanf(path, "/proc/%d/cmdline", &pid); err != nil {
				t.Fatal(err)
			}
			found = append(found, pid)
		}
	}
	return found
}

func mounts(t *testing.T) string {
	t.Helper()
	all, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

func needIsolation(t *testing.T) {
	t.Helper()
	if err := Available(t.Context()); err != nil {
		t.Skip(err)
	}
}
