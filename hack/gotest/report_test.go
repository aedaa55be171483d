package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const faults = module + "test/faults"

// passes returns the events of a package with one test that passes.
func passes(pkg, test string, seconds float64, result string) []event {
	return []event{
		{Action: "run", Package: pkg, Test: test},
		{Action: "output", Package: pkg, Test: test, Output: "=== RUN   " + test + "\n"},
		{Action: "output", Package: pkg, Test: test, Output: "a log line of " + test + "\n"},
		{Action: "pass", Package: pkg, Test: test, Elapsed: seconds},
		{Action: "output", Package: pkg, Output: "PASS\n"},
		{Action: "output", Package: pkg, Output: "ok  \t" + pkg + "\t" + result + "\n"},
		{Action: "pass", Package: pkg},
	}
}

// printed returns what a report of these events prints.
func printed(t *testing.T, all ...event) string {
	t.Helper()
	var out strings.Builder
	r := newReport(&out)
	for _, e := range all {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		r.line(line)
	}
	r.end(90 * time.Second)
	return out.String()
}

// TestReportOfPasses checks that packages that pass take one line each, and that the slowest tests follow.
func TestReportOfPasses(t *testing.T) {
	var all []event
	for i := range 12 {
		all = append(all, passes(fmt.Sprintf("%s%d", faults, i), "TestA", float64(i), "1.0s")...)
	}
	all = append(all, passes(module+"internal/token", "TestCached", 99, "(cached)")...)
	got := printed(t, all...)
	if strings.Contains(got, "log line") || strings.Contains(got, "PASS") {
		t.Errorf("the output of tests that pass is printed:\n%s", got)
	}
	if !strings.HasPrefix(got, "ok  \t"+faults+"0\t1.0s\nok  \t"+faults+"1\t1.0s\n") {
		t.Errorf("the packages are not first:\n%s", got)
	}
	_, slow, _ := strings.Cut(got, "\nslowest tests of 1m30s:\n")
	lines := strings.Split(strings.TrimSpace(slow), "\n")
	if len(lines) != shownSlow || lines[0] != "11.0 s  test/faults11 TestA" || lines[9] != "    2.0 s  test/faults2 TestA" {
		t.Errorf("slowest tests:\n%s", slow)
	}
	if strings.Contains(slow, "TestCached") {
		t.Error("a test that did not run now counts as slow")
	}
}

// TestSlowSubtests checks that the innermost subtests are among the slowest tests: the time of a parent ends before that of its
// parallel subtests.
func TestSlowSubtests(t *testing.T) {
	var all []event
	for _, name := range []string{"TestA", "TestA/group", "TestA/group/slow", "TestA/group/quick"} {
		all = append(all, event{Action: "run", Package: faults, Test: name})
	}
	for _, ended := range []event{
		{Test: "TestA/group/slow", Elapsed: 30}, {Test: "TestA/group/quick", Elapsed: 0.5}, {Test: "TestA/group", Elapsed: 2}, {Test: "TestA", Elapsed: 3},
	} {
		ended.Action, ended.Package = "pass", faults
		all = append(all, ended)
	}
	all = append(all, event{Action: "pass", Package: faults})
	_, slow, _ := strings.Cut(printed(t, all...), "\nslowest tests of 1m30s:\n")
	if want := "   30.0 s  test/faults TestA/group/slow\n    3.0 s  test/faults TestA\n"; slow != want {
		t.Errorf("got:\n%s\nwant:\n%s", slow, want)
	}
}

// TestReportOfAnEnd checks that the output of a package that runs when `go test` dies is not lost.
func TestReportOfAnEnd(t *testing.T) {
	got := printed(t,
		event{Action: "run", Package: faults, Test: "TestA"},
		event{Action: "output", Package: faults, Test: "TestA", Output: "    a_test.go:1: waits for a Secret\n"},
		event{Action: "output", Package: faults, Output: "signal: terminated\n"},
	)
	if want := "\nfailed:\n    a_test.go:1: waits for a Secret\nsignal: terminated\nFAIL\t" + faults + " [did not end]\n"; got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestFloor checks which coverage is too low.
func TestFloor(t *testing.T) {
	for name, c := range map[string]struct {
		pkg, result string
		low         bool
	}{
		"above":            {"internal/grant", "1.0s\tcoverage: 70.0% of statements", false},
		"below":            {"internal/grant", "1.0s\tcoverage: 69.9% of statements", true},
		"below and cached": {"internal/plugin/cli", "(cached)\tcoverage: 7.0% of statements", true},
		"without a floor":  {"internal/logline", "1.0s\tcoverage: 10.0% of statements", false},
		"not measured":     {"internal/grant", "1.0s", false},
	} {
		got := printed(t, passes(module+c.pkg, "TestA", 0, c.result)...)
		if low := strings.Contains(got, "\nfailed:\n"+c.pkg+": its tests cover "); low != c.low {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestFlooredPackagesExist checks that no package loses its floor by a new name.
func TestFlooredPackagesExist(t *testing.T) {
	for _, name := range floored {
		if tests, err := filepath.Glob(filepath.Join("..", "..", name, "*_test.go")); err != nil || len(tests) == 0 {
			t.Errorf("%s has no tests: %v", name, err)
		}
	}
}

// TestReportOfAFailure checks that the output of what failed, and no other, is printed at once and at the end.
func TestReportOfAFailure(t *testing.T) {
	for name, c := range map[string]struct {
		events []event
		want   string
	}{
		"a subtest fails": {
			events: []event{
				{Action: "output", Package: faults, Test: "TestB", Output: "=== RUN   TestB\n"},
				{Action: "output", Package: faults, Test: "TestB/one", Output: "    one is well\n"},
				{Action: "pass", Package: faults, Test: "TestB/one"},
				{Action: "output", Package: faults, Test: "TestB/two", Output: "    two is wrong\n"},
				{Action: "output", Package: faults, Test: "TestB/two", Output: "    --- FAIL: TestB/two (0.00s)\n"},
				{Action: "fail", Package: faults, Test: "TestB/two"},
				{Action: "output", Package: faults, Test: "TestB", Output: "--- FAIL: TestB (0.00s)\n"},
				{Action: "fail", Package: faults, Test: "TestB"},
				{Action: "output", Package: faults, Output: "FAIL\n"},
				{Action: "fail", Package: faults},
			},
			want: "--- FAIL: TestB (0.00s)\n    two is wrong\n    --- FAIL: TestB/two (0.00s)\nFAIL\n",
		},
		"a test does not end": {
			events: []event{
				{Action: "output", Package: faults, Test: "TestB", Output: "panic: test timed out\n"},
				{Action: "output", Package: faults, Output: "FAIL\n"},
				{Action: "fail", Package: faults},
			},
			want: "panic: test timed out\nFAIL\n",
		},
		"a package does not compile": {
			events: []event{
				{Action: "build-output", ImportPath: faults + " [test]", Output: "a_test.go:1:1: expected 'package'\n"},
				{Action: "build-fail", ImportPath: faults + " [test]"},
				{Action: "output", Package: faults, Output: "FAIL\t" + faults + " [build failed]\n"},
				{Action: "fail", Package: faults, FailedBuild: faults + " [test]"},
			},
			want: "a_test.go:1:1: expected 'package'\nFAIL\t" + faults + " [build failed]\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			later := passes(module+"test/service", "TestC", 0, "1.0s")
			ok := "ok  \t" + module + "test/service\t1.0s\n"
			want := c.want + ok + "\nfailed:\n" + c.want
			if got := printed(t, slices.Concat(c.events, later)...); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// TestReportKeepsOtherLines checks that a line that is no event is not lost.
func TestReportKeepsOtherLines(t *testing.T) {
	var out strings.Builder
	newReport(&out).line([]byte("go: downloading something\n"))
	if out.String() != "go: downloading something\n" {
		t.Errorf("got %q", out.String())
	}
}

// TestGroups checks how the arguments are split.
func TestGroups(t *testing.T) {
	got := fmt.Sprint(groups([]string{"-race", "./a", "--", "./b", "./c"}))
	if want := "[[-race ./a] [./b ./c]]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
