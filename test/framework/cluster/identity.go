package cluster

import (
	"errors"
	"os"
	"syscall"
)

// identity identifies one run of a process. A pid alone does not: the system reuses it for
// another process, which must never be signalled.
type identity struct {
	Pid int `json:"pid,omitempty"`
	// Started is the result of birth when the process was started.
	Started string `json:"started,omitempty"`
}

func (i identity) alive() bool {
	return i.Pid > 0 && i.Started != "" && birth(i.Pid) == i.Started
}

// signal sends a signal to this process only. It returns nil if the process has ended.
func (i identity) signal(signal syscall.Signal) error {
	if i.Pid <= 0 {
		return nil
	}
	// Get the handle before the identity is checked: if the system has
	// process descriptors, the handle then cannot refer to a later process.
	handle, err := os.FindProcess(i.Pid)
	if err != nil {
		return err
	}
	defer func() { _ = handle.Release() }()
	if !i.alive() {
		return nil
	}
	if err := handle.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}
