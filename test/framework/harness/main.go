package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

// preparedWithin allows for a machine that is busy with other suites.
const preparedWithin = 5 * time.Minute

// Main runs the tests of a package on a control plane of its own, which it stores in *control, and returns the exit code.
// The control plane runs kube-controller-manager, and prepare installs all else. With an existing cluster it runs no test:
// such a suite starts and stops processes of the cluster. More flags of kube-apiserver can follow.
func Main(m *testing.M, control **cluster.Cluster, prepare func(context.Context, *cluster.Cluster) error, flags ...string) int {
	log.SetLogger(logr.Discard())
	if strings.EqualFold(os.Getenv("USE_EXISTING_CLUSTER"), "true") {
		fmt.Println("skipped with USE_EXISTING_CLUSTER, since the tests start and stop processes of their cluster")
		return 0
	}
	code, err := runOn(m, control, prepare, flags)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	return code
}

func runOn(m *testing.M, control **cluster.Cluster, prepare func(context.Context, *cluster.Cluster) error, flags []string) (code int, err error) {
	dir, err := os.MkdirTemp("", "suite-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), preparedWithin)
	defer cancel()
	started, err := cluster.Start(ctx, cluster.Options{Dir: filepath.Join(dir, "cluster"), ControllerManager: true, APIServerArgs: flags})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, started.Stop(context.Background())) }()
	*control = started
	if err := prepare(ctx, started); err != nil {
		return 1, err
	}
	return m.Run(), nil
}
