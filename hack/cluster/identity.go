package cluster

import (
	"errors"
	"os"
	"syscall"
)

// identity names one life of a process. A pid alone does not: it is given to
// another process sooner or later, and that one must never be signalled.
type identity struct {
	Pid int `json:"pid,omitempty"`
	// Started is what birth said when the process was started.
	Started string `json:"started,omitempty"`
}

func (i identity) alive() bool {
	return i.Pid > 0 && i.Started != "" && birth(i.Pid) == i.Started
}

// signal reaches this process or none. A process that has ended is no error.
func (i identity) signal(signal syscall.Signal) error {
	if i.Pid <= 0 {
		return nil
	}
	// The handle is taken before the identity is checked: where the system has
	// process descriptors, it then cannot come to mean a later process.
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
