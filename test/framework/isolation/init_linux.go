package isolation

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// runInit is process 1 of the namespaces: it sets them up, starts the program, and reaps
// orphaned processes, such as container shims.
func runInit() int {
	// The cgroup namespace belongs only to this thread; the processes that it starts inherit it.
	runtime.LockOSThread()
	var config setup
	if err := json.Unmarshal([]byte(os.Args[1]), &config); err != nil {
		return complain(err)
	}
	if err := prepare(config); err != nil {
		return complain(err)
	}
	program, err := start(config)
	if err != nil {
		return complain(err)
	}
	forwardSignals(program)
	return bury(program)
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func prepare(config setup) error {
	if err := enterCgroups(config.Cgroups); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("%w: a cgroup namespace: %w", ErrUnavailable, err)
	}
	if err := mountAll(config); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err := unix.Sethostname([]byte("node")); err != nil {
		return err
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: loopback: %w: %s (apt-get install iproute2)", ErrUnavailable, err, out)
	}
	return nil
}

func start(config setup) (*os.Process, error) {
	temporary := filepath.Join(config.Dir, "tmp")
	if err := os.MkdirAll(temporary, 0o700); err != nil {
		return nil, err
	}
	environment := append(os.Environ(), "TMPDIR="+temporary, "HOME="+config.Dir)
	return os.StartProcess(self, config.Args, &os.ProcAttr{Env: environment, Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
}

func forwardSignals(program *os.Process) {
	received := make(chan os.Signal, 1)
	signal.Notify(received, unix.SIGTERM, unix.SIGINT)
	go func() {
		for s := range received {
			_ = program.Signal(s)
		}
	}()
}

// bury reaps every process that ends, and returns the program's status when the program ends.
func bury(program *os.Process) int {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return complain(err)
		case pid != program.Pid:
			continue
		case status.Signaled():
			return 128 + int(status.Signal())
		default:
			return status.ExitStatus()
		}
	}
}

func mountAll(config setup) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	readOnly := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, readOnly); err != nil {
		return fmt.Errorf("make the host's file systems read-only: %w", err)
	}
	for _, folder := range []string{config.Dir, config.Kept} {
		if folder == "" {
			continue
		}
		if err := writable(folder); err != nil {
			return err
		}
	}
	if err := freshMount("proc", "/proc", ""); err != nil {
		return err
	}
	// A new sysfs shows the devices of the new network namespace.
	if err := freshMount("sysfs", "/sys", ""); err != nil {
		return err
	}
	if err := mountCgroups(config.Cgroups); err != nil {
		return err
	}
	for _, folder := range []string{"/run", "/var/lib", "/var/log", "/dev/shm"} {
		if err := freshMount("tmpfs", folder, "mode=0755"); err != nil {
			return err
		}
	}
	return nil
}

// writable makes one folder writable.
func writable(dir string) error {
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	attributes := &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_NOSUID}
	if err := unix.MountSetattr(unix.AT_FDCWD, dir, 0, attributes); err != nil {
		return fmt.Errorf("make %s writable: %w", dir, err)
	}
	return nil
}

func freshMount(kind, target, options string) error {
	if err := unix.Mount(kind, target, kind, 0, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", kind, target, err)
	}
	return nil
}

// mountCgroups mounts the host's hierarchies inside, with this program's group as the root of each.
func mountCgroups(groups []cgroup) error {
	if groups[0].Mount != cgroupRoot {
		if err := freshMount("tmpfs", cgroupRoot, "mode=0755"); err != nil {
			return err
		}
	}
	for _, group := range groups {
		if err := os.MkdirAll(group.Mount, 0o755); err != nil {
			return err
		}
		if group.unified() {
			if err := freshMount("cgroup2", group.Mount, ""); err != nil {
				return err
			}
			if err := handDown(group); err != nil {
				return fmt.Errorf("hand cgroup controllers down: %w", err)
			}
			continue
		}
		if err := freshMount("cgroup", group.Mount, group.Controllers); err != nil {
			return err
		}
		linkControllers(group)
	}
	return nil
}

// linkControllers links each controller of a joint hierarchy under its own name, as Linux systems do.
func linkControllers(group cgroup) {
	all := strings.Split(group.Controllers, ",")
	if len(all) == 1 {
		return
	}
	for _, one := range all {
		_ = os.Symlink(filepath.Base(group.Mount), filepath.Join(cgroupRoot, one))
	}
}
