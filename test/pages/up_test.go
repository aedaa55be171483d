package pages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

// upWithin allows for a machine that is busy with other suites.
const upWithin = 10 * time.Minute

// suite is shared by all tests: the cluster that `make up` starts in a folder of the suite.
var suite struct {
	*cluster.Cluster
	root string
	// bin is a folder with the commands that open a browser.
	bin string
	// said is what `make up` printed, which is in saidFile, too; exports are its lines that set the variables of a shell.
	said, saidFile, exports string
	// trust is the file of the API server's --authentication-config. A page lets the API server trust an issuer by it.
	trust string
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	log.SetLogger(logr.Discard())
	if strings.EqualFold(os.Getenv("USE_EXISTING_CLUSTER"), "true") {
		fmt.Println("skipped with USE_EXISTING_CLUSTER, since `make up` starts a cluster")
		return 0
	}
	code, err := runOn(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	return code
}

// runOn runs the tests between `make up` and `make down`.
func runOn(m *testing.M) (code int, err error) {
	folder, err := os.MkdirTemp("", "pages-")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if suite.root, err = cluster.RepositoryRoot(); err != nil {
		return 1, err
	}
	state := filepath.Join(folder, "local")
	down, err := downAtEnd(state)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, down()) }()
	if err := up(folder, state); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// up runs `make up`, and fills the suite.
func up(folder, state string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), upWithin)
	defer cancel()
	var said, complaint bytes.Buffer
	command := exec.CommandContext(ctx, "make", makeArguments(state, "up")...)
	command.Env, command.Stdout, command.Stderr = environment(), &said, &complaint
	if err := command.Run(); err != nil {
		return fmt.Errorf("make up: %w\n%s%s", err, said.String(), complaint.String())
	}
	if suite.Cluster, err = cluster.Load(state); err != nil {
		return err
	}
	suite.said, suite.saidFile = said.String(), filepath.Join(folder, "said")
	suite.exports = strings.Join(regexp.MustCompile(`(?m)^  (export .+\n)`).FindAllString(suite.said, -1), "")
	suite.trust, suite.bin = filepath.Join(state, "authentication.json"), filepath.Join(folder, "bin")
	if err := os.WriteFile(suite.saidFile, said.Bytes(), 0o600); err != nil {
		return err
	}
	if err := os.Mkdir(suite.bin, 0o700); err != nil {
		return err
	}
	return writeOpeners(suite.bin)
}

// makeArguments are those of make for a target, with a folder of the suite in place of bin/local.
func makeArguments(state, target string) []string {
	return []string{"--no-print-directory", "-C", suite.root, "LOCAL_DIR=" + state, target}
}

// environment returns the variables of make, without those of a make that runs this test. Its API server collects garbage as in other
// suites.
func environment() []string {
	return append(slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "MAKE") || strings.HasPrefix(variable, "MFLAGS") || strings.HasPrefix(variable, "KUBECONFIG=")
	}), cluster.FewCollections()...)
}

// waitAndRunMake waits for the end of the input. A `make up` that still runs has the lock: then make fails, and is tried again.
const waitAndRunMake = `cat; for try in $(seq 60); do make "$@" && exit; sleep 2; done; exit 1`

// downAtEnd returns a function that runs `make down` and checks that it leaves nothing. It also runs when this process ends in another
// way: then the input of the waiting shell ends.
func downAtEnd(state string) (down func() error, err error) {
	var said bytes.Buffer
	command := exec.Command("sh", append([]string{"-c", waitAndRunMake, "sh"}, makeArguments(state, "down")...)...)
	command.Env, command.Stdout, command.Stderr = environment(), &said, &said
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	end, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	return func() error {
		if err := errors.Join(end.Close(), command.Wait()); err != nil {
			return fmt.Errorf("make down: %w\n%s", err, said.String())
		}
		return nothingRuns(state, said.String())
	}, nil
}

// nothingRuns returns an error if a process of the cluster runs, or if its folder remains.
func nothingRuns(state, said string) error {
	if suite.Cluster == nil {
		return nil
	}
	for _, process := range suite.Processes() {
		if process.Running() {
			return fmt.Errorf("%s runs after make down\n%s", process.Name(), said)
		}
	}
	if _, err := os.Stat(state); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("make down leaves %s: %w\n%s", state, err, said)
	}
	return nil
}
