package guide

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Shell is where the commands of a page run.
type Shell struct {
	// Dir is the folder in which they run, with the files of the page.
	Dir string
	// Env are all variables of the environment, such as KUBECONFIG, and PATH with kubectl.
	Env []string
	// Prelude runs before the commands of a page, such as a function in place of a program.
	Prelude string
	// Typed replaces names on the page, in commands and files, by those of the run. Shown does the reverse in output.
	// Both may be nil.
	Typed, Shown *strings.Replacer
	// Begins and Ends are called when Play runs a step and when the step has printed all of its output. Both may be nil.
	Begins func(Step)
	Ends   func(step Step, printed string)
}

// Files writes the files of a page to the folder. With the root of the repository, it adds links to the parts of it that pages name; a
// reader in an empty folder has none.
func (s Shell) Files(page *Page, root string) error {
	for name, content := range page.Files {
		if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(replaced(s.Typed, content)), 0o600); err != nil {
			return err
		}
	}
	if root == "" {
		return nil
	}
	for _, part := range []string{"config", "charts"} {
		if err := os.Symlink(filepath.Join(root, part), filepath.Join(s.Dir, part)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// Run runs commands, and returns what they print. The error contains the output, with tokens masked.
func (s Shell) Run(ctx context.Context, commands string) (string, error) {
	printed, err := s.bash(ctx, commands)
	if err != nil {
		return printed, fmt.Errorf("%s\nfails: %w\n%s", strings.TrimSpace(commands), err, Masked(printed))
	}
	return printed, nil
}

func (s Shell) bash(ctx context.Context, commands string) (string, error) {
	var out bytes.Buffer
	err := s.bashTo(ctx, &out, commands)
	return replaced(s.Shown, out.String()), err
}

func (s Shell) bashTo(ctx context.Context, out io.Writer, commands string) error {
	command := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", s.Prelude+replaced(s.Typed, commands))
	command.Dir, command.Env = s.Dir, s.Env
	command.Stdout, command.Stderr = out, out
	// The end of the context ends what the commands started, too: a program that goes on would hold the output open.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	return command.Run()
}

// Play runs steps of a page in one shell, and returns what each of them printed. The error says which outputs differ from the page, which
// command failed, and which command ended the shell before the last step. A command whose output the page shows may fail if the page shows its exit code: `(exit code 4)`.
func (s Shell) Play(ctx context.Context, page *Page, steps []Step) ([]string, error) {
	if len(steps) == 0 {
		return nil, fmt.Errorf("%s has no commands to run", page.Path)
	}
	var script strings.Builder
	for i, step := range steps {
		fmt.Fprintf(&script, "printf '\\n@@%d@@\\n'\n", i)
		if step.Shown == nil {
			script.WriteString(step.Commands)
			continue
		}
		fmt.Fprintf(&script, "set +e\n%s__code=$?; set -e; [ $__code = 0 ] || echo \"(exit code $__code)\"\n", step.Commands)
	}
	follower := &follower{shell: s, steps: steps}
	runErr := s.bashTo(ctx, follower, script.String())
	printed := follower.outputs()
	follower.report(runErr == nil)
	var differ []error
	for i, text := range printed {
		if interrupted := runErr != nil && i == len(printed)-1; !interrupted && steps[i].differs(text) {
			differ = append(differ, steps[i].difference(page, text))
		}
	}
	if runErr != nil && len(printed) > 0 {
		last := steps[len(printed)-1]
		runErr = fmt.Errorf("%s:%d: %s\nfails: %w\n%s", page.Path, last.Line, strings.TrimSpace(last.Commands), runErr, Masked(printed[len(printed)-1]))
	}
	if runErr == nil && len(printed) < len(steps) {
		missed := steps[len(printed)]
		runErr = fmt.Errorf("%s:%d: %s\ndoes not run: the shell ends before it, without an error", page.Path, missed.Line, strings.TrimSpace(missed.Commands))
	}
	return printed, errors.Join(append(differ, runErr)...)
}

func replaced(names *strings.Replacer, text string) string {
	if names == nil {
		return text
	}
	return names.Replace(text)
}
