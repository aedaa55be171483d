// Command gotest runs `go test`, prints what `go test` prints, and adds two lists at the end: the slowest tests and, after
// a failure, the output of the tests that failed.
//
// Usage: gotest ARGUMENT... [-- ARGUMENT...]
//
// Each group of arguments is passed to a `go test` of its own. All groups run at once and are reported together, so that some
// packages can be tested with the race detector and others without. The exit status is 1 if a group fails.
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"sync"
	"time"
)

func main() {
	// After Ctrl-C, which also reaches `go test`, print what has ended until then.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	began := time.Now()
	result := newReport(os.Stdout)
	good := runAll(groups(os.Args[1:]), result)
	result.end(time.Since(began))
	if !good {
		os.Exit(1)
	}
}

// groups splits the arguments at "--".
func groups(arguments []string) [][]string {
	all := [][]string{nil}
	for _, argument := range arguments {
		if argument == "--" {
			all = append(all, nil)
			continue
		}
		all[len(all)-1] = append(all[len(all)-1], argument)
	}
	return all
}

// runAll runs all groups at once, and reports whether all of them pass.
func runAll(all [][]string, result *report) bool {
	lines := make(chan []byte)
	passed := make([]bool, len(all))
	var running sync.WaitGroup
	for i, arguments := range all {
		running.Go(func() {
			err := run(arguments, lines)
			if err != nil {
				fmt.Fprintln(os.Stderr, "gotest: go test:", err)
			}
			passed[i] = err == nil
		})
	}
	go func() {
		running.Wait()
		close(lines)
	}()
	for line := range lines {
		result.line(line)
	}
	return !slices.Contains(passed, false)
}

// run sends the lines of one `go test -json`. It returns an error if that fails.
func run(arguments []string, lines chan<- []byte) error {
	command := exec.Command("go", append([]string{"test", "-json"}, arguments...)...)
	command.Stderr = os.Stderr
	if slices.Contains(arguments, "-race") {
		command.Env = append(os.Environ(), "CGO_ENABLED=1")
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	reader := bufio.NewReader(output)
	for {
		line, err := reader.ReadBytes('\n')
		if len(line) > 0 {
			lines <- line
		}
		if err != nil {
			return command.Wait()
		}
	}
}
