package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	module = "github.com/refreshkeys/refreshkeys/"
	// shownSlow is the number of slow tests that the report names.
	shownSlow = 10
	// leastSlow is the duration from which on a test counts as slow.
	leastSlow = time.Second
)

// event is one line of `go test -json`; see `go doc test2json` and `go help buildjson`.
type event struct {
	Action, Package, ImportPath, Test, Output, FailedBuild string
	// Elapsed is in seconds.
	Elapsed float64
}

// report prints the results of packages as they end, and keeps what it prints at the end.
type report struct {
	out      io.Writer
	packages map[string]*packageRun
	// builds is the output of the compiler, by import path.
	builds map[string]string
	slow   []duration
	// failures is the output of failed packages, each with its failed tests.
	failures []string
	// low says which packages are below the floor of coverage.
	low []string
}

// duration is the time that one test took, without its subtests if they are parallel. Those count as tests of their own.
type duration struct {
	test string
	took time.Duration
}

// packageRun is a package whose tests run.
type packageRun struct {
	// tests is in the order of their starts.
	tests  []*testRun
	output strings.Builder
	ended  []duration
	// parents are the tests that have subtests.
	parents map[string]bool
}

// testRun is a test that has not passed yet.
type testRun struct {
	name   string
	output strings.Builder
}

func newReport(out io.Writer) *report {
	return &report{out: out, packages: map[string]*packageRun{}, builds: map[string]string{}}
}

// line adds one line of output. A line that is no event is printed as it is.
func (r *report) line(text []byte) {
	var e event
	if err := json.Unmarshal(text, &e); err != nil || e.Action == "" {
		_, _ = r.out.Write(text)
		return
	}
	switch {
	case e.Action == "build-output":
		r.builds[e.ImportPath] += e.Output
	case e.Test != "":
		r.running(e.Package).add(e)
	case e.Action == "output":
		r.running(e.Package).output.WriteString(e.Output)
	case e.Action == "pass" || e.Action == "fail" || e.Action == "skip":
		r.ended(e)
	}
}

func (r *report) running(name string) *packageRun {
	if r.packages[name] == nil {
		r.packages[name] = &packageRun{parents: map[string]bool{}}
	}
	return r.packages[name]
}

// ended prints the result of a package.
func (r *report) ended(e event) {
	p := r.running(e.Package)
	delete(r.packages, e.Package)
	result := p.output.String()
	if !strings.Contains(result, "\t(cached)") {
		r.slow = append(r.slow, p.ended...)
	}
	if e.Action != "fail" {
		fmt.Fprint(r.out, summaryOf(result))
		if low := belowFloor(result); low != "" {
			r.low = append(r.low, low)
		}
		return
	}
	failure := r.builds[e.FailedBuild] + p.failures() + result
	r.failures = append(r.failures, failure)
	fmt.Fprint(r.out, failure)
}

// summaryOf returns the lines that `go test` prints about a package that passes, without the output of the package itself.
func summaryOf(result string) string {
	var kept strings.Builder
	for line := range strings.Lines(result) {
		if strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "?   \t") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// add adds an event of a test. The times of top-level tests and of the innermost subtests count.
func (p *packageRun) add(e event) {
	i := slices.IndexFunc(p.tests, func(t *testRun) bool { return t.name == e.Test })
	if i < 0 {
		i = len(p.tests)
		p.tests = append(p.tests, &testRun{name: e.Test})
	}
	parent := e.Test
	for cut := strings.LastIndexByte(parent, '/'); cut >= 0; cut = strings.LastIndexByte(parent, '/') {
		parent = parent[:cut]
		p.parents[parent] = true
	}
	switch e.Action {
	case "output":
		if !strings.HasPrefix(e.Output, "=== ") {
			p.tests[i].output.WriteString(e.Output)
		}
	case "pass", "skip", "fail":
		if !strings.Contains(e.Test, "/") || !p.parents[e.Test] {
			took := time.Duration(e.Elapsed * float64(time.Second))
			p.ended = append(p.ended, duration{strings.TrimPrefix(e.Package, module) + " " + e.Test, took})
		}
		if e.Action != "fail" {
			p.tests = slices.Delete(p.tests, i, i+1)
		}
	}
}

// failures returns the output of the tests that failed, or that had not ended when their package did.
func (p *packageRun) failures() string {
	var all strings.Builder
	for _, t := range p.tests {
		all.WriteString(t.output.String())
	}
	return all.String()
}

// unended returns the output of the packages that run when `go test` dies or is interrupted.
func (r *report) unended() []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(r.packages)) {
		p := r.packages[name]
		all = append(all, p.failures()+p.output.String()+"FAIL\t"+name+" [did not end]\n")
	}
	return all
}

// end prints the slowest tests, and again what failed or did not end.
func (r *report) end(took time.Duration) {
	r.failures = append(r.failures, r.unended()...)
	slices.SortStableFunc(r.slow, func(a, b duration) int { return cmp.Compare(b.took, a.took) })
	slow := slices.DeleteFunc(r.slow, func(d duration) bool { return d.took < leastSlow })
	if slow = slow[:min(len(slow), shownSlow)]; len(slow) > 0 {
		fmt.Fprintf(r.out, "\nslowest tests of %s:\n", took.Round(time.Second))
	}
	for _, d := range slow {
		fmt.Fprintf(r.out, "%7.1f s  %s\n", d.took.Seconds(), d.test)
	}
	if len(r.failures) > 0 {
		fmt.Fprintf(r.out, "\nfailed:\n%s", strings.Join(r.failures, ""))
	}
	if len(r.low) > 0 {
		fmt.Fprintf(r.out, "\nfailed:\n%s", strings.Join(r.low, ""))
	}
}
