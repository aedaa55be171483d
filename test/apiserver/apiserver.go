// Package apiserver starts a real kube-apiserver for a test suite, with everything
// installed that a cluster administrator installs: the CRDs, their admission policy,
// and the operator's ServiceAccounts with their exact rights.
//
// A suite starts one server in TestMain and shares it among its tests:
//
//	func TestMain(m *testing.M) {
//		os.Exit(apiserver.Main(m, &server))
//	}
//
// With USE_EXISTING_CLUSTER=true, it uses the current kubeconfig's cluster
// instead, and does not remove what it installs there.
package apiserver

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
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/refreshkeys/refreshkeys/hack/cluster"
	"github.com/refreshkeys/refreshkeys/internal/unthrottled"
)

// startTimeout allows for a machine that is busy with other suites.
const startTimeout = 2 * time.Minute

// Options change the default server. The zero value is the
// default.
type Options struct {
	// Flags are added to kube-apiserver's flags, without the dashes. They are ignored
	// with an existing cluster.
	Flags map[string]string
	// ControllerManager also runs kube-controller-manager: namespaces are deleted, dependents are
	// collected, roles are aggregated. It is ignored with an existing cluster, which has one.
	ControllerManager bool
}

// Server is a running API server.
type Server struct {
	// Admin has all rights (group system:masters).
	Admin *rest.Config
	// Root is the folder of the repository's go.mod.
	Root string

	environment *envtest.Environment
	cluster     *cluster.Cluster
	existing    bool
	kubectl     string
	scratch     string
}

// Main runs the tests of a package against one server, which it stores in
// *server, and returns the exit code. Without the binaries of a control
// plane it fails, since a skipped suite proves nothing.
func Main(m *testing.M, server **Server) int { return MainWith(m, server, Options{}) }

// MainWith is Main with options for the server.
func MainWith(m *testing.M, server **Server, options Options) int {
	// A suite that needs the log of its managers passes them a logger.
	log.SetLogger(logr.Discard())
	started, err := Start(options)
	if err != nil {
		fmt.Fprintf(os.Stderr, "apiserver: %v\n", err)
		return 1
	}
	*server = started
	code := m.Run()
	if err := started.Stop(); err != nil {
		fmt.Fprintf(os.Stderr, "apiserver: stop: %v\n", err)
		return 1
	}
	return code
}

// Start returns when the server serves, the CRDs are established and the
// admission policy is enforced. It needs the binaries in $KUBEBUILDER_ASSETS or,
// if that is not set, those that hack/controlplane/build.sh builds in bin/k8s.
func Start(options Options) (_ *Server, err error) {
	s := &Server{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	if s.Root, err = cluster.RepositoryRoot(); err != nil {
		return nil, err
	}
	if s.scratch, err = os.MkdirTemp("", "apiserver-"); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	switch {
	case useExistingCluster():
		err = s.useExisting(ctx)
	case options.ControllerManager:
		err = s.startWhole(ctx, options)
	default:
		err = s.startOwn(options)
	}
	if err != nil {
		return nil, err
	}
	if err := s.install(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Stop stops the server. It does not stop an existing cluster.
func (s *Server) Stop() error {
	var failed []error
	if s.environment != nil {
		failed = append(failed, s.environment.Stop())
		s.environment = nil
	}
	if s.cluster != nil {
		failed = append(failed, s.cluster.Stop(context.Background()))
		s.cluster = nil
	}
	if s.scratch != "" {
		failed = append(failed, os.RemoveAll(s.scratch))
		s.scratch = ""
	}
	return errors.Join(failed...)
}

// Existing reports whether this is an existing cluster, in which a test must
// clean up after itself.
func (s *Server) Existing() bool { return s.existing }

func useExistingCluster() bool {
	return strings.EqualFold(os.Getenv("USE_EXISTING_CLUSTER"), "true")
}

func (s *Server) useExisting(ctx context.Context) (err error) {
	if s.Admin, err = config.GetConfig(); err != nil {
		return fmt.Errorf("USE_EXISTING_CLUSTER is set, but no kubeconfig is usable: %w", err)
	}
	s.Admin = unthrottled.Config(s.Admin)
	clients, err := kubernetes.NewForConfig(s.Admin)
	if err != nil {
		return err
	}
	worker, _, err := cluster.WorkingManager(ctx, clients)
	if err != nil {
		return err
	}
	if worker != "" {
		return fmt.Errorf("USE_EXISTING_CLUSTER is set, and %s runs there: the suites run managers of their own, so stop it first", worker)
	}
	s.existing = true
	s.kubectl = "kubectl"
	if assets, err := cluster.FindAssets(); err == nil {
		s.kubectl = filepath.Join(assets, "kubectl")
	}
	return nil
}

func (s *Server) startOwn(options Options) error {
	assets, err := cluster.FindAssets()
	if err != nil {
		return err
	}
	environment := &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		ControlPlaneStartTimeout: startTimeout,
		ControlPlaneStopTimeout:  startTimeout,
	}
	flags := environment.ControlPlane.GetAPIServer().Configure()
	for name, value := range options.Flags {
		flags.Set(name, value)
	}
	// Store it before the start succeeds: a partly started server must be stopped too.
	s.environment = environment
	if s.Admin, err = environment.Start(); err != nil {
		return err
	}
	s.Admin = unthrottled.Config(s.Admin)
	s.kubectl = filepath.Join(assets, "kubectl")
	return os.WriteFile(s.kubeconfig(), environment.KubeConfig, 0o600)
}

// startWhole starts a control plane with all functions of a cluster without nodes.
func (s *Server) startWhole(ctx context.Context, options Options) (err error) {
	var args []string
	for name, value := range options.Flags {
		args = append(args, "--"+name+"="+value)
	}
	s.cluster, err = cluster.Start(ctx, cluster.Options{
		Dir: filepath.Join(s.scratch, "cluster"), ControllerManager: true, APIServerArgs: args,
	})
	if err != nil {
		return err
	}
	s.Admin, s.kubectl = s.cluster.Config(), s.cluster.KubectlPath()
	config, err := os.ReadFile(s.cluster.Kubeconfig())
	if err != nil {
		return err
	}
	return os.WriteFile(s.kubeconfig(), config, 0o600)
}

func (s *Server) kubeconfig() string { return filepath.Join(s.scratch, "kubeconfig") }

func (s *Server) install(ctx context.Context) error {
	for _, kustomization := range []string{"config/crd", "config/rbac"} {
		if err := s.Apply(ctx, kustomization); err != nil {
			return err
		}
	}
	return s.waitUntilEnforced(ctx, true)
}
