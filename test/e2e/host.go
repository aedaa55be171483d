package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// host is the state of the machine that a node would change without isolation.
type host map[string]string

// settings are kernel settings that kubelet, kube-proxy and CNI plugins change.
var settings = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes", "net/ipv4/ip_forward",
	"net/ipv4/conf/all/route_localnet", "net/netfilter/nf_conntrack_max", "kernel/hostname",
}

func lookAtHost() (host, error) {
	seen := host{}
	for _, name := range settings {
		value, err := os.ReadFile(filepath.Join("/proc/sys", name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		seen["kernel setting "+name] = string(value)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	seen["mounts"] = string(mounts)
	links, err := filepath.Glob("/sys/class/net/*")
	if err != nil {
		return nil, err
	}
	seen["network links"] = strings.Join(links, " ")
	for _, folder := range []string{"/run", "/var/lib", "/var/log", "/etc", "/opt", "/usr/libexec"} {
		entries, err := filepath.Glob(filepath.Join(folder, "*"))
		if err != nil {
			return nil, err
		}
		seen["files in "+folder] = strings.Join(entries, " ")
	}
	return seen, nil
}

// compare returns an error about changes of the machine, and about remains of a node that ran in dir.
func (h host) compare(dir string) error {
	now, err := lookAtHost()
	if err != nil {
		return err
	}
	var left []error
	for what, before := range h {
		if now[what] != before {
			left = append(left, fmt.Errorf("%s before:\n%s\nand after:\n%s", what, before, now[what]))
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		left = append(left, fmt.Errorf("%s still exists", dir))
	}
	left = append(left, leftGroups(dir), leftProcesses(dir))
	if err := errors.Join(left...); err != nil {
		return fmt.Errorf("the node left something behind: %w", err)
	}
	return nil
}

// leftGroups finds the node's cgroups, which are named after the folder.
func leftGroups(dir string) error {
	var left []error
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && strings.HasPrefix(entry.Name(), filepath.Base(dir)) {
			left = append(left, errors.New("cgroup "+path))
		}
		return nil
	})
	return errors.Join(left...)
}

func leftProcesses(dir string) error {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	var left []error
	for _, path := range lines {
		line, err := os.ReadFile(path)
		if err == nil && bytes.Contains(line, []byte(dir)) {
			left = append(left, fmt.Errorf("process %s: %s", filepath.Base(filepath.Dir(path)), bytes.ReplaceAll(line, []byte{0}, []byte(" "))))
		}
	}
	return errors.Join(left...)
}
