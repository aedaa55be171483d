// Package isolation runs this program again in mount, process, network, IPC, host name
// and cgroup namespaces of its own, as root. The program can then be a whole Kubernetes node and
// leave nothing behind: when the program that called Run ends for any reason, all processes
// inside end, and their cgroups and folder are removed.
//
// Inside, every file system of the host is read-only except the folders in Options; /run,
// /var/lib and /var/log are new and empty, and the only network is loopback.
package isolation

import (
	"errors"
	"io"
)

// ErrUnavailable is returned if this machine does not support or permit the isolation. The error that
// wraps it names the cause.
var ErrUnavailable = errors.New("no isolated node can run here")

// Options configure the program inside.
type Options struct {
	// Dir is a folder that is writable inside and visible outside. Run creates it, and it is always removed
	// at the end with its content.
	Dir string
	// Kept is an existing folder that is also writable inside, and that remains; none
	// if empty.
	Kept string
	// Args are the program's arguments inside.
	Args []string
	// Env is added to its environment.
	Env []string
	// Stdout and Stderr are its output streams.
	Stdout, Stderr io.Writer
}

// The names under which the program is started again, by which it recognises its role. They are visible in
// a list of processes.
const (
	initName  = "refreshkeys-isolation-init"
	sweepName = "refreshkeys-isolation-sweep"
	probeName = "refreshkeys-isolation-probe"
)
