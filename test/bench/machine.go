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

// The state of this machine and its processes, from Linux' /proc.

func cores() int { return runtime.NumCPU() }

// describeMachine describes the machine, the time and the load before the measurement.
func describeMachine(l *lab) string {
	return fmt.Sprintf("Measured on %s: %s, %d cores, %s of memory, %s/%s; %s, kube-apiserver %s; control plane and operator on the same cores. "+
		"Load average %s at the start, %s at the end, the bench's own work included.",
		time.Now().UTC().Format(time.DateOnly), processor(), cores(), memory(), runtime.GOOS, runtime.GOARCH,
		runtime.Version(), filepath.Base(filepath.Dir(l.cluster.KubectlPath())), l.loadAtStart, loadAverage())
}

// loadAverage returns the load average of the last minute.
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

// residentPeak returns the peak resident memory of a process, in bytes.
func residentPeak(pid int) (float64, error) { return procBytes(procPath(pid, "status"), "VmHWM") }

// processorTime is the time that the processes of an issue have used of the
// processors, in seconds. Unlike wall-clock time, it hardly depends on other load.
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

// perKey formats it per key.
func (t processorTime) perKey(keys int) string {
	milliseconds := func(seconds float64) float64 { return 1000 * seconds / float64(keys) }
	return fmt.Sprintf("%.1f ms (etcd %.1f, API server %.1f, client %.1f)",
		milliseconds(t.sum()), milliseconds(t.etcd), milliseconds(t.apiServer), milliseconds(t.client))
}

// processorTime omits a client that has not started yet.
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
	// The kernel's USER_HZ, which is the same on every architecture that Go supports.
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
	return "", fmt.Errorf("%s does not contain %s", path, name)
}
