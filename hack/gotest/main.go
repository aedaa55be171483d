// Command gotest runs `go test`, prints what `go test` prints, and adds two lists at the end: the slowest tests and, after
// a failure, the output of the tests that failed or did not end. With -cover it fails if a package of the list in floor.go
// is below its floor.
//
// Usage: gotest ARGUMENT... [-- ARGUMENT...]
//
// Each group of arguments is passed to a `go test` of its own. All groups run at once and are reported together, so that some
// packages can be tested with the race detector and others without. The exit status is 1 if a group fails.
//
// SIGINT and SIGTERM end the tests, and then the report of what has run until then is printed.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"
)

func main() {
	stops := make(chan os.Signal, 1)
	signal.Notify(stops, os.Interrupt, syscall.SIGTERM)
	began := time.Now()
	result := newReport(os.Stdout)
	good := runAll(groups(os.Args[1:]), stops, result)
	result.end(time.Since(began))
	if !good || len(result.low) > 0 {
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

// runAll runs all groups at once, and reports whether all of them pass. A signal interrupts those that run.
func runAll(all [][]string, stops <-chan os.Signal, result *report) bool {
	lines := make(chan []byte)
	passed := make([]bool, len(all))
	stop, interrupt := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for i, arguments := range all {
		running.Go(func() {
			err := run(stop, arguments, lines)
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
	for {
		select {
		case line, more := <-lines:
			if !more {
				interrupt()
				return !slices.Contains(passed, false)
			}
			result.line(line)
		case <-stops:
			interrupt()
		}
	}
}

// run sends the lines of one `go test -json`. It returns an error if that fails.
func run(stop context.Context, arguments []string, lines chan<- []byte) error {
	command := exec.CommandContext(stop, "go", append([]string{"test", "-json"}, arguments...)...)
	command.Stderr = os.Stderr
	// In a process group of its own, `go test` and its test binaries get the interrupt once, whether it comes from a
	// terminal or from a process that knows gotest only.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGINT) }
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
