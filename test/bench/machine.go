package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// What is known of this machine and its processes, as Linux tells it.

func cores() int { return runtime.NumCPU() }

// describeMachine says on what and when it was measured, and how busy that was before.
func describeMachine(l *lab) string {
	return fmt.Sprintf("Measured on %s: %s, %d cores, %s of memory, %s/%s; %s, kube-apiserver %s; control plane and operator on the same cores. "+
		"Load average %s at the start, %s at the end, the bench's own work included.",
		time.Now().UTC().Format(time.DateOnly), processor(), cores(), memory(), runtime.GOOS, runtime.GOARCH,
		runtime.Version(), filepath.Base(filepath.Dir(l.cluster.KubectlPath())), l.loadAtStart, loadAverage())
}

// loadAverage is how many processes wanted a processor during the last minute.
func loadAverage() string {
	averages, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	lastMinute, _, _ := strings.Cut(string(averages), " ")
	return lastMinute
}

func processor() string {
	if model, err := procField("/proc/cpuinfo", "model name"); err == nil {
		return model
	}
	return "an unknown processor"
}

func memory() string {
	bytes, err := procBytes("/proc/meminfo", "MemTotal")
	if err != nil {
		return "an unknown amount"
	}
	return fmt.Sprintf("%.0f GiB", bytes/(1<<30))
}

// residentPeak is the most memory that a process has had resident, in bytes.
func residentPeak(pid int) (float64, error) { return procBytes(procPath(pid, "status"), "VmHWM") }

// processorTime is what the processes that take part in an issue have used of the
// processors, in seconds. Unlike time on a clock it hardly depends on what else the machine does.
type processorTime struct {
	etcd, apiServer, client float64
}

func (t processorTime) sum() float64 { return t.etcd + t.apiServer + t.client }

func (t processorTime) since(before processorTime) processorTime {
	return processorTime{t.etcd - before.etcd, t.apiServer - before.apiServer, t.client - before.client}
}

func (t processorTime) plus(more processorTime) processorTime {
	return processorTime{t.etcd + more.etcd, t.apiServer + more.apiServer, t.client + more.client}
}

// perKey tells it in words.
func (t processorTime) perKey(keys int) string {
	milliseconds := func(seconds float64) float64 { return 1000 * seconds / float64(keys) }
	return fmt.Sprintf("%.1f ms (etcd %.1f, API server %.1f, client %.1f)",
		milliseconds(t.sum()), milliseconds(t.etcd), milliseconds(t.apiServer), milliseconds(t.client))
}

// processorTime has no client that has not started yet.
func (l *lab) processorTime(client int) (t processorTime, err error) {
	for pid, used := range map[int]*float64{l.cluster.Etcd.Pid(): &t.etcd, l.cluster.APIServer.Pid(): &t.apiServer, client: &t.client} {
		if pid == 0 {
			continue
		}
		if *used, err = processorSeconds(pid); err != nil {
			return t, err
		}
	}
	return t, nil
}

func processorSeconds(pid int) (float64, error) {
	// The kernel's USER_HZ, the same on every architecture that Go runs on.
	const ticksPerSecond = 100
	stat, err := os.ReadFile(procPath(pid, "stat"))
	if err != nil {
		return 0, err
	}
	// The name, in brackets, may hold spaces; utime and stime are fields 14 and 15 (proc(5)).
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const utime, stime = 11, 12
	if len(fields) <= stime {
		return 0, fmt.Errorf("%s cannot be read", procPath(pid, "stat"))
	}
	var ticks float64
	for _, field := range []int{utime, stime} {
		value, err := strconv.ParseFloat(fields[field], 64)
		if err != nil {
			return 0, err
		}
		ticks += value
	}
	return ticks / ticksPerSecond, nil
}

func procPath(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }

func procBytes(path, name string) (float64, error) {
	value, err := procField(path, name)
	if err != nil {
		return 0, err
	}
	kilobytes, err := strconv.ParseFloat(strings.TrimSuffix(value, " kB"), 64)
	return kilobytes * 1024, err
}

func procField(path, name string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(content)) {
		if field, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(field) == name {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("%s does not tell %s", path, name)
}
