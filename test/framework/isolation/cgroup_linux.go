package isolation

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const cgroupRoot = "/sys/fs/cgroup"

// cgroup is one cgroup hierarchy of the machine and this program's group in it. Version 1 has many hierarchies, one
// for one or a few controllers; version 2 has one, with Controllers empty.
type cgroup struct {
	Controllers string
	// Mount is the mount point on the host and inside.
	Mount string
	// Path is the group's path on the host.
	Path string
}

func (g cgroup) unified() bool { return g.Controllers == "" }

// planCgroups returns the groups to create: below the groups of this process.
func planCgroups(name string) ([]cgroup, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("%w: no cgroups: %w", ErrUnavailable, err)
	}
	mounts, err := cgroupMounts()
	if err != nil {
		return nil, err
	}
	var groups []cgroup
	for line := range strings.Lines(string(own)) {
		// See cgroups(7): id, controllers, path.
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		mount, mounted := mounts[canonicalControllers(fields[1])]
		if !mounted {
			continue
		}
		group := cgroup{Controllers: fields[1], Mount: mount.point}
		below, err := filepath.Rel(mount.root, fields[2])
		if err != nil || strings.HasPrefix(below, "..") {
			below = ""
		}
		if group.unified() && mount.point == cgroupRoot {
			// In version 2, a group with processes cannot delegate controllers, except the root.
			below = ""
		}
		group.Path = filepath.Join(mount.point, below, name)
		groups = append(groups, group)
	}
	if len(groups) == 0 {
		return nil, fmt.Errorf("%w: no cgroup hierarchy is mounted under %s", ErrUnavailable, cgroupRoot)
	}
	return groups, nil
}

func makeCgroups(groups []cgroup) error {
	for _, group := range groups {
		if err := os.Mkdir(group.Path, 0o755); err != nil {
			return fmt.Errorf("%w: make a cgroup: %w", ErrUnavailable, err)
		}
		if slices.Contains(strings.Split(group.Controllers, ","), "cpuset") {
			if err := inheritCpuset(group.Path); err != nil {
				return err
			}
		}
	}
	return nil
}

// inheritCpuset copies the parent's cpuset, which a group of version 1 needs before a process can enter it.
func inheritCpuset(path string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(filepath.Dir(path), name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(path, name), value, 0o644); err != nil {
			return err
		}
	}
	return nil
}

type mountedCgroup struct{ point, root string }

// cgroupMounts returns the mount points of the hierarchies, by controllers.
func cgroupMounts() (map[string]mountedCgroup, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	mounts := map[string]mountedCgroup{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		// See proc_pid_mountinfo(5): root and mount point are fields 4 and 5; after the dash
		// come type, source and the options of the superblock.
		before, after, _ := strings.Cut(lines.Text(), " - ")
		where, what := strings.Fields(before), strings.Fields(after)
		if len(where) < 5 || len(what) < 3 || !strings.HasPrefix(where[4], cgroupRoot) {
			continue
		}
		switch what[0] {
		case "cgroup2":
			mounts[""] = mountedCgroup{root: where[3], point: where[4]}
		case "cgroup":
			mounts[canonicalControllers(what[2])] = mountedCgroup{root: where[3], point: where[4]}
		}
	}
	return mounts, lines.Err()
}

// canonicalControllers returns the controllers or the name in a hierarchy's mount options.
func canonicalControllers(options string) string {
	all := strings.Split(options, ",")
	all = slices.DeleteFunc(all, func(option string) bool {
		return slices.Contains([]string{"", "rw", "xattr", "clone_children"}, option) || strings.HasPrefix(option, "release_agent=")
	})
	slices.Sort(all)
	return strings.Join(all, ",")
}

// enterCgroups moves this process, with all threads, into the groups.
func enterCgroups(groups []cgroup) error {
	for _, group := range groups {
		if err := os.WriteFile(filepath.Join(group.Path, "cgroup.procs"), []byte("0"), 0); err != nil {
			return fmt.Errorf("%w: enter a cgroup: %w", ErrUnavailable, err)
		}
	}
	return nil
}

// handDown enables the controllers of version 2 in the groups below this one, which therefore must
// not hold a process.
func handDown(group cgroup) error {
	available, err := os.ReadFile(filepath.Join(group.Mount, "cgroup.controllers"))
	if err != nil || len(strings.TrimSpace(string(available))) == 0 {
		return err
	}
	leaf := filepath.Join(group.Mount, "init")
	if err := os.Mkdir(leaf, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte("0"), 0); err != nil {
		return err
	}
	wanted := "+" + strings.Join(strings.Fields(string(available)), " +")
	return os.WriteFile(filepath.Join(group.Mount, "cgroup.subtree_control"), []byte(wanted), 0)
}

// removeCgroup removes a group and the groups below it. No process may run in them.
func removeCgroup(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeCgroup(filepath.Join(path, entry.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(path)
}
