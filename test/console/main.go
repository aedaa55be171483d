package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/invalid"
)

// compaction is the interval at which etcd forgets earlier versions.
const compaction = 3 * time.Second

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "console:", err)
		os.Exit(1)
	}
}

// world is what the tests know of the cluster. They read it from the file that CONSOLE_WORLD names.
type world struct {
	// APIServer is its URL; Authority, Certificate and Key are files of the administrator's credentials.
	APIServer   string `json:"apiServer"`
	Authority   string `json:"authority"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	Kubectl     string `json:"kubectl"`
	Kubeconfig  string `json:"kubeconfig"`
	// Logs is the folder with the logs of all processes.
	Logs string `json:"logs"`
	// TokenServers are the URLs of the replicas of the token service.
	TokenServers []string `json:"tokenServers"`
	// Consoles are the URLs of the consoles, by what is special about each.
	Consoles map[string]string `json:"consoles"`
	// Metrics is where the main console serves its metrics.
	Metrics string `json:"metrics"`
	// Invalid are manifests that the API server refuses.
	Invalid []invalid.Manifest `json:"invalid"`
	// OIDC is the sign-in by OpenID Connect.
	OIDC oidc `json:"oidc"`
	// Control is where this program stops and starts the processes.
	Control string `json:"control"`
}

// binaries are the programs that only this suite runs.
type binaries struct{ console, provider string }

// run starts all, runs the command with its arguments in the folder of the tests, and stops all.
func run(ctx context.Context, command []string) (err error) {
	if len(command) == 0 {
		return errors.New("usage: console COMMAND [ARGUMENT...]")
	}
	root, err := cluster.RepositoryRoot()
	if err != nil {
		return err
	}
	dir := filepath.Join(root, "bin", "console-test", "cluster")
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700), trust(dir)); err != nil {
		return err
	}
	built := binaries{console: filepath.Join(root, "bin", "console"), provider: filepath.Join(root, "bin", "console-test", "provider")}
	var c *cluster.Cluster
	group, started := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		c, err = cluster.Start(started, cluster.Options{
			Dir: dir, ControllerManager: true, Log: os.Stderr,
			// What a page cannot resume from is gone soon.
			APIServerArgs: []string{"--etcd-compaction-interval=" + compaction.String(), "--authentication-config=" + trustFile(dir)},
		})
		return err
	})
	group.Go(func() error { return cluster.Build(started, root, "./cmd/console", built.console) })
	group.Go(func() error {
		return cluster.Build(started, filepath.Join(root, "test", "interop", "provider"), ".", built.provider)
	})
	err = group.Wait()
	if c != nil {
		defer func() { err = errors.Join(err, c.Stop(context.WithoutCancel(ctx))) }()
	}
	if err != nil {
		return err
	}
	w, err := install(ctx, c, built)
	if err != nil {
		return err
	}
	control, err := serveControl(ctx, c)
	if err != nil {
		return err
	}
	w.Control = control
	if w.Invalid, err = invalid.Manifests(root); err != nil {
		return err
	}
	file := filepath.Join(dir, "world.json")
	content, err := json.Marshal(w)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return err
	}
	tests := exec.CommandContext(ctx, command[0], command[1:]...)
	tests.Cancel = func() error { return tests.Process.Signal(syscall.SIGTERM) }
	tests.Stdout, tests.Stderr = os.Stdout, os.Stderr
	tests.Env = append(os.Environ(), "CONSOLE_WORLD="+file)
	return tests.Run()
}

// serveControl serves the requests of the tests that stop and start a process: POST /kube-apiserver/stop. POST /local/open starts the
// console of the plugin, and answers with its URL.
func serveControl(ctx context.Context, c *cluster.Cluster) (string, error) {
	mux := http.NewServeMux()
	act := func(do func(*cluster.Process, context.Context) error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			process := c.Process(r.PathValue("name"))
			if process == nil {
				http.NotFound(w, r)
				return
			}
			if err := do(process, r.Context()); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		}
	}
	mux.HandleFunc("POST /{name}/stop", act((*cluster.Process).Stop))
	mux.HandleFunc("POST /{name}/kill", act(func(p *cluster.Process, _ context.Context) error { return p.Kill() }))
	mux.HandleFunc("POST /{name}/start", act((*cluster.Process).Start))
	// The code of the local console's URL is good for five minutes: it starts when a test asks for it.
	mux.HandleFunc("POST /local/open", func(w http.ResponseWriter, _ *http.Request) {
		url, err := cluster.RunConsole(ctx, c)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, url)
	})
	return listen(ctx, mux, nil)
}
