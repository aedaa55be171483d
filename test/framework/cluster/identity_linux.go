package cluster

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// birth returns when the process started, in clock ticks of this boot; empty if
// the process does not exist or is a zombie.
func birth(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	ticks := startTicks(string(stat))
	if ticks == "" {
		return ""
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ticks
	}
	return strings.TrimSpace(string(boot)) + "/" + ticks
}

// startTicks reads field 22 of /proc/<pid>/stat (see proc_pid_stat(5)). Field 2
// is the program's name in parentheses, which may hold spaces and parentheses.
func startTicks(stat string) string {
	nameEnd := strings.LastIndexByte(stat, ')')
	if nameEnd < 0 {
		return ""
	}
	fields := strings.Fields(stat[nameEnd+1:])
	const state, start = 0, 22 - 3
	if len(fields) <= start {
		return ""
	}
	switch fields[state] {
	case "Z", "X":
		return ""
	}
	return fields[start]
}

func processAttributes(detached bool) *syscall.SysProcAttr {
	if detached {
		return &syscall.SysProcAttr{Setsid: true}
	}
	// In their own process groups, the children do not receive the terminal's Ctrl-C
	// at the same time: this process stops them in order.
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
