// Package isolation runs this very program again in mount, process, network, IPC, host name
// and cgroup namespaces of its own, as root, so that it can be a whole Kubernetes node and
// leave nothing of it behind: whatever ends the program that called Run ends all that runs
// inside, and then its cgroups and its folder are removed.
//
// Inside, every file system of the host is read-only but the folders given to Run; /run,
// /var/lib and /var/log are empty ones of its own, and there is no network but loopback.
package isolation

import (
	"errors"
	"io"
)

// ErrUnavailable says that this machine does not let us have what is needed. The error that
// wraps it says what.
var ErrUnavailable = errors.New("no isolated node can run here")

// Options say what is run inside.
type Options struct {
	// Dir is a folder that can be written inside, and seen from outside. It is made, and removed
	// in the end with all that is in it, however that end comes about.
	Dir string
	// Kept is a folder that is there already, can be written inside as well, and stays; none
	// when empty.
	Kept string
	// Args are what this program gets as arguments inside.
	Args []string
	// Env is added to its environment.
	Env []string
	// Stdout and Stderr are where it writes to.
	Stdout, Stderr io.Writer
}

// How the program that runs again knows what it is: the name it is started under. It shows in
// a list of processes too.
const (
	initName  = "refreshkeys-isolation-init"
	sweepName = "refreshkeys-isolation-sweep"
	probeName = "refreshkeys-isolation-probe"
)
