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

// rubbish lists the folder and the groups that the sweeper removes.
type rubbish struct {
	Dir     string
	Cgroups []cgroup
}

// sweeper is a separate process that outlives this one, also if this one is killed. It removes
// what does not end with the namespaces.
type sweeper struct {
	command *exec.Cmd
	// alive is closed at the latest when this process ends.
	alive io.Closer
	said  tail
}

func startSweeper(options Options, groups []cgroup) (*sweeper, error) {
	encoded, err := json.Marshal(rubbish{Dir: options.Dir, Cgroups: groups})
	if err != nil {
		return nil, err
	}
	s := &sweeper{command: exec.Command(self)}
	s.command.Args = []string{sweepName, string(encoded)}
	s.command.Stderr = &s.said
	// In its own session, it receives neither Ctrl-C nor the hangup of a terminal.
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
	// The read ends when the parent closes the pipe or ends.
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

// sweepCgroup waits until the last process of a group has ended: the kernel ends a process
// namespace with its init, but not at once.
func sweepCgroup(path string) error {
	for deadline := time.Now().Add(sweepWithin); ; time.Sleep(sweepEvery) {
		err := removeCgroup(path)
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
