package guide

import (
	"bytes"
	"regexp"
	"strconv"
)

// follower collects what a shell prints while it runs steps, and calls the functions of the shell as steps begin and end.
type follower struct {
	shell Shell
	steps []Step
	out   bytes.Buffer
	// begun and over are the numbers of steps that have begun and ended.
	begun, over int
}

// Write makes a follower an io.Writer. One goroutine copies the output of a shell.
func (f *follower) Write(text []byte) (int, error) {
	f.out.Write(text)
	f.report(false)
	return len(text), nil
}

// report calls the functions of the shell for what has begun and ended. The last step has ended with the shell.
func (f *follower) report(ended bool) {
	printed := f.outputs()
	for i := range printed {
		if i == f.begun {
			f.begun++
			if f.shell.Begins != nil {
				f.shell.Begins(f.steps[i])
			}
		}
		if i == f.over && (ended || i < len(printed)-1) {
			f.over++
			if f.shell.Ends != nil {
				f.shell.Ends(f.steps[i], printed[i])
			}
		}
	}
}

var separator = regexp.MustCompile(`\n@@(\d+)@@\n`)

// outputs splits what the shell printed at the numbers of the steps.
func (f *follower) outputs() []string {
	out := replaced(f.shell.Shown, f.out.String())
	var printed []string
	for i, found := range separator.FindAllStringSubmatchIndex(out, -1) {
		if out[found[2]:found[3]] != strconv.Itoa(i) {
			break
		}
		rest := out[found[1]:]
		if next := separator.FindStringIndex(rest); next != nil {
			rest = rest[:next[0]]
		}
		printed = append(printed, rest)
	}
	return printed
}
