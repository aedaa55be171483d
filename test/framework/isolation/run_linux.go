package isolation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

const (
	self = "/proc/self/exe"
	// stopGrace is the time that the program inside has for an orderly end.
	stopGrace = 30 * time.Second
)

// setup is the configuration that is passed to init.
type setup struct {
	Dir     string
	Kept    string
	Cgroups []cgroup
	Args    []string
}

// Hook must be the first call of main: in a program that was started by Run it takes over and
// does not return.
func Hook() {
	switch os.Args[0] {
	case initName:
		os.Exit(runInit())
	case sweepName:
		os.Exit(runSweep())
	case probeName:
		os.Exit(0)
	}
}

// Available makes an attempt and returns why Run would fail; the error wraps ErrUnavailable.
func Available(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "refreshkeys-probe-")
	if err != nil {
		return err
	}
	var said tail
	err = run(ctx, Options{Dir: dir, Stdout: &said, Stderr: &said}, probeName)
	if err != nil && !errors.Is(err, ErrUnavailable) {
		err = fmt.Errorf("%w: %w: %s", ErrUnavailable, err, said.text())
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// Run runs this program again, isolated, and returns when it has ended and everything that it left
// is removed. When ctx is done, Run sends it SIGTERM, and kills it after stopGrace.
func Run(ctx context.Context, options Options) error {
	return run(ctx, options, filepath.Base(os.Args[0]))
}

func run(ctx context.Context, options Options, name string) (err error) {
	if uid := os.Geteuid(); uid != 0 {
		return fmt.Errorf("%w: it needs root, and this is user %d", ErrUnavailable, uid)
	}
	if err := os.MkdirAll(options.Dir, 0o700); err != nil {
		return err
	}
	groups, err := planCgroups(fmt.Sprintf("%s-%08x", filepath.Base(options.Dir), rand.Uint32()))
	if err != nil {
		return err
	}
	// Start the sweeper before anything is created that it must remove.
	sweeper, err := startSweeper(options, groups)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sweeper.finish()) }()
	if err := makeCgroups(groups); err != nil {
		return err
	}
	encoded, err := json.Marshal(setup{
		Dir: options.Dir, Kept: options.Kept, Cgroups: groups, Args: append([]string{name}, options.Args...),
	})
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, self)
	command.Args = []string{initName, string(encoded)}
	command.Env = append(os.Environ(), options.Env...)
	command.Stdout, command.Stderr = options.Stdout, options.Stderr
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = stopGrace
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		// If this process is killed, the kernel also kills init, and with it all processes of its namespace.
		Pdeathsig: syscall.SIGKILL,
		// A terminal's Ctrl-C must reach only this process, which ends the program inside in order.
		Setpgid: true,
	}
	return runOnThread(command)
}

// runOnThread keeps the thread that forks: a child gets its parent-death signal when that
// thread ends.
func runOnThread(command *exec.Cmd) error {
	ended := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		ended <- command.Run()
	}()
	return <-ended
}

// tail keeps the last bytes that are written to it.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	const most = 1000
	t.kept = append(t.kept, p...)
	t.kept = t.kept[max(0, len(t.kept)-most):]
	return len(p), nil
}

func (t *tail) text() string { return string(t.kept) }
