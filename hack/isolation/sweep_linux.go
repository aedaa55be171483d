package isolation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	sweepEvery  = 50 * time.Millisecond
	sweepWithin = 30 * time.Second
)

// rubbish is what the sweeper removes.
type rubbish struct {
	Dir     string
	Cgroups []cgroup
}

// sweeper is a process of its own that outlives this one, however this one ends: it removes
// what namespaces do not take with them.
type sweeper struct {
	command *exec.Cmd
	// alive is closed by our end at the latest.
	alive io.Closer
	said  tail
}

func startSweeper(options Options, groups []cgroup) (*sweeper, error) {
	told, err := json.Marshal(rubbish{Dir: options.Dir, Cgroups: groups})
	if err != nil {
		return nil, err
	}
	s := &sweeper{command: exec.Command(self)}
	s.command.Args = []string{sweepName, string(told)}
	s.command.Stderr = &s.said
	// A session of its own: neither Ctrl-C nor the end of a terminal reaches it.
	s.command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if s.alive, err = s.command.StdinPipe(); err != nil {
		return nil, err
	}
	return s, s.command.Start()
}

func (s *sweeper) finish() error {
	_ = s.alive.Close()
	if err := s.command.Wait(); err != nil {
		return fmt.Errorf("clean up: %w: %s", err, s.said.text())
	}
	return nil
}

func runSweep() int {
	var duty rubbish
	if err := json.Unmarshal([]byte(os.Args[1]), &duty); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Ends when whoever started us closes it or is no more.
	_, _ = io.Copy(io.Discard, os.Stdin)
	var failed []error
	for _, group := range duty.Cgroups {
		failed = append(failed, sweepCgroup(group.Path))
	}
	failed = append(failed, os.RemoveAll(duty.Dir))
	if err := errors.Join(failed...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// sweepCgroup waits for the last process of a group to be gone: the kernel ends a whole process
// namespace with its init, but not in an instant.
func sweepCgroup(path string) error {
	for deadline := time.Now().Add(sweepWithin); ; time.Sleep(sweepEvery) {
		err := removeCgroup(path)
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
