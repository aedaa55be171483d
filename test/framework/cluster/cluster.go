// Package cluster runs a real Kubernetes control plane on this machine: etcd,
// kube-apiserver and, on request, kube-controller-manager, each a plain process
// that listens on loopback only. It needs only the binaries that
// hack/controlplane builds.
//
// Each process can be stopped, killed and started again on the same port with
// the same data, so that tests can break a cluster on purpose.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Options configure a cluster.
type Options struct {
	// Dir holds everything of the cluster: data, keys, logs, kubeconfig. It is
	// created if it does not exist. A stopped cluster in it is continued.
	Dir string
	// Assets is the folder of the binaries; see FindAssets for the default.
	Assets string
	// ControllerManager runs kube-controller-manager too: garbage collection,
	// namespace deletion, default ServiceAccounts, Deployments.
	ControllerManager bool
	// Detached processes survive this process; Load adopts them. Others end with
	// it, however it ends (on Linux).
	Detached bool
	// APIServerArgs are added to kube-apiserver's flags.
	APIServerArgs []string
	// ControllerManagerArgs are added to kube-controller-manager's.
	ControllerManagerArgs []string
	// Log becomes the cluster's Log.
	Log io.Writer
}

// Cluster is a control plane with the programs that Run added.
type Cluster struct {
	Etcd      *Process
	APIServer *Process
	// ControllerManager is nil unless Options.ControllerManager is set.
	ControllerManager *Process
	// Log gets a line for each process that is started or stopped; nil for none.
	Log io.Writer

	dir      string
	assets   string
	detached bool
	config   *rest.Config
	prober   *http.Client
	// joined is the API server of a cluster that Join returned; nil for a cluster of this package.
	joined *clientcmdapi.Cluster

	mu        sync.Mutex
	ports     map[string]int
	processes []*Process // in order of start
}

// Start starts a cluster and returns when it serves, about five seconds later.
// In a Dir that already holds one, it starts what does not run, with the ports,
// keys and data of the earlier run, so it may be called again at any time. If it fails,
// it stops what it started.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	c, err := prepare(options)
	if err != nil {
		return nil, err
	}
	var started []*Process
	for _, process := range c.controlPlane() {
		if !process.Running() {
			started = append(started, process)
		}
		if err := c.start(ctx, process); err != nil {
			return nil, errors.Join(err, c.stop(context.WithoutCancel(ctx), started))
		}
	}
	return c, nil
}

// Load adopts the cluster that was started in dir, running or not. The error
// is ErrNoCluster if there is none.
func Load(dir string) (*Cluster, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	recorded, err := readState(dir)
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, assets: recorded.Assets, detached: recorded.Detached, ports: recorded.Ports}
	if _, err := os.Stat(c.Kubeconfig()); errors.Is(err, os.ErrNotExist) {
		// A user may have removed this file, and Load must work without it to stop the cluster.
		if err := c.writeKubeconfigs(); err != nil {
			return nil, err
		}
	}
	if err := c.readCredentials(); err != nil {
		return nil, err
	}
	for _, known := range recorded.Processes {
		process := c.newProcess(known.Program)
		process.life, process.digest = known.identity, known.Digest
		c.put(process)
	}
	return c, nil
}

// prepare loads or creates the cluster of a folder, and defines how its control
// plane runs from its next start.
func prepare(options Options) (*Cluster, error) {
	assets, err := options.assets()
	if err != nil {
		return nil, err
	}
	c, err := Load(options.Dir)
	if errors.Is(err, ErrNoCluster) {
		c, err = create(options.Dir)
	}
	if err != nil {
		return nil, err
	}
	c.assets, c.detached, c.Log = assets, options.Detached, options.Log
	c.define(c.etcdProgram())
	c.define(c.apiServerProgram(options.APIServerArgs))
	if options.ControllerManager {
		c.define(c.controllerManagerProgram(options.ControllerManagerArgs))
	}
	return c, c.save()
}

// create creates the files of a new cluster in dir.
func create(dir string) (*Cluster, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "log"), 0o700); err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, ports: map[string]int{}}
	if err := c.pki().generate(time.Now()); err != nil {
		return nil, err
	}
	for _, name := range []string{etcdName, apiServerName, controllerManagerName} {
		if c.ports[name], err = freePort(c.ports); err != nil {
			return nil, err
		}
	}
	if err := c.writeKubeconfigs(); err != nil {
		return nil, err
	}
	return c, c.readCredentials()
}

// Run ensures that a program runs beside the control plane, exactly as
// described and with the current binary: if it runs in another way, it is
// restarted. Stop stops it before the control plane.
func (c *Cluster) Run(ctx context.Context, program Program) (*Process, error) {
	binary, err := filepath.Abs(program.Binary)
	if err != nil {
		return nil, err
	}
	program.Binary = binary
	digest, err := fileDigest(binary)
	if err != nil {
		return nil, err
	}
	if old := c.Process(program.Name); old != nil {
		if old.Running() && old.program.equal(program) && old.digest == digest {
			return old, c.start(ctx, old)
		}
		if err := old.Stop(ctx); err != nil {
			return nil, err
		}
	}
	process := c.newProcess(program)
	process.digest = digest
	c.put(process)
	if err := c.start(ctx, process); err != nil {
		return nil, err
	}
	return process, nil
}

// Stop stops everything: the programs of Run first, etcd last.
func (c *Cluster) Stop(ctx context.Context) error {
	return c.stop(ctx, c.Processes())
}

// stop stops processes in reverse order.
func (c *Cluster) stop(ctx context.Context, processes []*Process) error {
	var failed []error
	for _, process := range slices.Backward(processes) {
		if !process.Running() {
			continue
		}
		end := process.Stop
		if process == c.APIServer && !c.Etcd.Running() {
			// Without etcd, a graceful stop would last until the timeout.
			end = func(context.Context) error { return process.Kill() }
		}
		if err := end(ctx); err != nil {
			failed = append(failed, err)
			continue
		}
		c.report("%s stopped", process.Name())
	}
	return errors.Join(failed...)
}

// Running reports whether all of the control plane runs.
func (c *Cluster) Running() bool {
	return !slices.ContainsFunc(c.controlPlane(), func(p *Process) bool { return !p.Running() })
}

// Processes returns all processes of the cluster, in the order of their start.
func (c *Cluster) Processes() []*Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.processes)
}

// Process returns the process with a name; nil if there is none.
func (c *Cluster) Process(name string) *Process {
	for _, process := range c.Processes() {
		if process.Name() == name {
			return process
		}
	}
	return nil
}

// Port returns a free loopback port for the named purpose, and the same one on later
// calls, also after Load.
func (c *Cluster) Port(purpose string) (int, error) {
	c.mu.Lock()
	port, known := c.ports[purpose]
	if !known {
		var err error
		if port, err = freePort(c.ports); err != nil {
			c.mu.Unlock()
			return 0, err
		}
		c.ports[purpose] = port
	}
	c.mu.Unlock()
	if known {
		return port, nil
	}
	return port, c.save()
}

// Dir returns the folder that holds everything of the cluster.
func (c *Cluster) Dir() string { return c.dir }

func (c *Cluster) controlPlane() []*Process {
	all := []*Process{c.Etcd, c.APIServer, c.ControllerManager}
	return slices.DeleteFunc(all, func(p *Process) bool { return p == nil })
}

func (c *Cluster) start(ctx context.Context, process *Process) error {
	if process.Running() {
		c.report("%s runs (pid %d)", process.Name(), process.Pid())
		return process.Start(ctx)
	}
	began := time.Now()
	if err := process.Start(ctx); err != nil {
		return err
	}
	c.report("%s serves after %.1fs (pid %d)", process.Name(), time.Since(began).Seconds(), process.Pid())
	return nil
}

func (c *Cluster) report(format string, args ...any) {
	if c.Log != nil {
		fmt.Fprintf(c.Log, format+"\n", args...)
	}
}

// define sets how a process runs from its next start; it does not change a running process.
func (c *Cluster) define(program Program) {
	if old := c.Process(program.Name); old != nil && old.Running() {
		return
	}
	c.put(c.newProcess(program))
}

func (c *Cluster) newProcess(program Program) *Process {
	return &Process{
		program:  program,
		detached: c.detached,
		logPath:  filepath.Join(c.dir, "log", program.Name+".log"),
		prober:   c.prober,
		changed:  c.save,
	}
}

// put adds a process, or replaces the one with the same name.
func (c *Cluster) put(process *Process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch process.Name() {
	case etcdName:
		c.Etcd = process
	case apiServerName:
		c.APIServer = process
	case controllerManagerName:
		c.ControllerManager = process
	}
	for i, other := range c.processes {
		if other.Name() == process.Name() {
			c.processes[i] = process
			return
		}
	}
	c.processes = append(c.processes, process)
}

func (c *Cluster) save() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	current := state{Assets: c.assets, Detached: c.detached, Ports: maps.Clone(c.ports)}
	for _, process := range c.processes {
		current.Processes = append(current.Processes, recordedProcess{
			Program: process.program, identity: process.current(), Digest: process.digest,
		})
	}
	return current.write(c.dir)
}

func (c *Cluster) pki() pki                 { return pki(filepath.Join(c.dir, "pki")) }
func (c *Cluster) asset(name string) string { return Binary(c.assets, name) }
func (c *Cluster) url(name string) string   { return "https://" + loopback(c.ports[name]) }
