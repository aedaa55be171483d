package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// A cold start on a busy machine takes many times the usual five seconds.
	healthyWithin = 3 * time.Minute
	// An API server that has lost its etcd takes a minute to exit.
	stopGrace   = 20 * time.Second
	killGrace   = 10 * time.Second
	pollProcess = 20 * time.Millisecond
	pollHealth  = 50 * time.Millisecond
)

// Program defines how a process runs, with everything that is needed to run it again.
type Program struct {
	// Name is unique in the cluster, and names the log.
	Name   string   `json:"name"`
	Binary string   `json:"binary"`
	Args   []string `json:"args"`
	// Env is added to the environment of this process.
	Env []string `json:"env,omitempty"`
	// Health is a URL that returns 200 once the program serves. Without a URL, the program
	// counts as serving once it runs.
	Health string `json:"health,omitempty"`
	// HealthSays is a text that the response must contain; empty for any.
	HealthSays string `json:"healthSays,omitempty"`
}

func (p Program) equal(other Program) bool {
	return p.Name == other.Name && p.Binary == other.Binary &&
		p.Health == other.Health && p.HealthSays == other.HealthSays &&
		slices.Equal(p.Args, other.Args) && slices.Equal(p.Env, other.Env)
}

// Process is one managed process. It can be stopped and started any number of
// times; it keeps its arguments, ports and data.
type Process struct {
	program Program
	// digest is the digest of the binary when the program was passed to Run.
	digest   string
	detached bool
	logPath  string
	prober   *http.Client
	// changed is called after a start or an end.
	changed func() error

	mu   sync.Mutex
	life identity
	exit *exitWatch
}

// exitWatch records how a child of this process ended. Processes that were adopted
// from a recorded state have none.
type exitWatch struct {
	done   chan struct{}
	status error
}

// Name returns the program's name, such as "etcd".
func (p *Process) Name() string { return p.program.Name }

// Pid returns the process id; 0 if it does not run.
func (p *Process) Pid() int {
	life := p.current()
	if !life.alive() {
		return 0
	}
	return life.Pid
}

// Running reports whether the process runs.
func (p *Process) Running() bool { return p.current().alive() }

// LogPath returns the file with the output of all its runs.
func (p *Process) LogPath() string { return p.logPath }

// Start runs the program and returns when it serves. If the program already runs, it
// only waits. If the program ends meanwhile, the error contains the
// end of its log. A program that does not serve in time is stopped.
func (p *Process) Start(ctx context.Context) error {
	logStart, started, err := p.spawnUnlessRunning()
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name(), err)
	}
	if started {
		if err := p.changed(); err != nil {
			return errors.Join(err, p.Kill())
		}
	}
	err = p.waitHealthy(ctx)
	if err == nil {
		return nil
	}
	if !errors.Is(ctx.Err(), context.Canceled) {
		err = fmt.Errorf("%w\n%s", err, logTail(p.logPath, logStart))
	}
	if started {
		return errors.Join(err, p.Stop(context.WithoutCancel(ctx)))
	}
	return err
}

// Stop sends SIGTERM, and kills the process if it does not end within 20 seconds
// or when ctx is done. It returns when the process has ended.
func (p *Process) Stop(ctx context.Context) error {
	life := p.current()
	if !life.alive() {
		return nil
	}
	if err := life.signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", p.Name(), err)
	}
	if p.gone(ctx, life, stopGrace) {
		return p.changed()
	}
	return p.Kill()
}

// Kill ends the process as a crash would, and returns when it has ended.
func (p *Process) Kill() error {
	life := p.current()
	if err := life.signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", p.Name(), err)
	}
	if !p.gone(context.Background(), life, killGrace) {
		return fmt.Errorf("%s (pid %d) still runs after SIGKILL", p.Name(), life.Pid)
	}
	return p.changed()
}

func (p *Process) current() identity {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.life
}

// spawnUnlessRunning returns the size of the log before this run.
func (p *Process) spawnUnlessRunning() (logStart int64, started bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = log.Close() }()
	if logStart, err = log.Seek(0, io.SeekEnd); err != nil {
		return 0, false, err
	}
	if p.life.alive() {
		return logStart, false, nil
	}
	p.life, p.exit, err = spawn(p.program, log, p.detached)
	return logStart, err == nil, err
}

func spawn(program Program, log *os.File, detached bool) (identity, *exitWatch, error) {
	command := exec.Command(program.Binary, program.Args...)
	command.Stdout, command.Stderr = log, log
	command.Env = append(os.Environ(), program.Env...)
	command.SysProcAttr = processAttributes(detached)

	var life identity
	watch := &exitWatch{done: make(chan struct{})}
	spawned := make(chan error)
	go func() {
		defer close(watch.done)
		// A child gets its parent-death signal when the thread that forked it
		// ends, so this thread remains until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := command.Start(); err != nil {
			spawned <- err
			return
		}
		life = identity{Pid: command.Process.Pid, Started: birth(command.Process.Pid)}
		spawned <- nil
		watch.status = command.Wait()
	}()
	if err := <-spawned; err != nil {
		return identity{}, nil, err
	}
	return life, watch, nil
}

func (p *Process) waitHealthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, healthyWithin,
		fmt.Errorf("%s does not serve %s after %s", p.Name(), p.program.Health, healthyWithin))
	defer cancel()
	err := wait.PollUntilContextCancel(ctx, pollHealth, true, func(ctx context.Context) (bool, error) {
		if !p.Running() {
			return false, p.ended()
		}
		return p.healthy(ctx), nil
	})
	if ctx.Err() != nil && wait.Interrupted(err) {
		return context.Cause(ctx)
	}
	return err
}

func (p *Process) healthy(ctx context.Context) bool {
	if p.program.Health == "" {
		return true
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.program.Health, http.NoBody)
	if err != nil {
		return false
	}
	response, err := p.prober.Do(request)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	const most = 64 << 10
	answer, err := io.ReadAll(io.LimitReader(response.Body, most))
	return err == nil && response.StatusCode == http.StatusOK && bytes.Contains(answer, []byte(p.program.HealthSays))
}

// ended returns an error about the end of a process that should run.
func (p *Process) ended() error {
	p.mu.Lock()
	watch := p.exit
	p.mu.Unlock()
	if watch == nil {
		return fmt.Errorf("%s ended", p.Name())
	}
	<-watch.done
	if watch.status == nil {
		return fmt.Errorf("%s ended by itself", p.Name())
	}
	return fmt.Errorf("%s ended: %w", p.Name(), watch.status)
}

// gone waits for the end of the process. A child has ended once it was waited for: before
// that, threads of it may still hold its sockets.
func (p *Process) gone(ctx context.Context, life identity, within time.Duration) bool {
	p.mu.Lock()
	watch := p.exit
	p.mu.Unlock()
	err := wait.PollUntilContextTimeout(ctx, pollProcess, within, true, func(context.Context) (bool, error) {
		return !life.alive() && watch.ended(), nil
	})
	return err == nil
}

// ended reports whether the child was waited for; false for a process that is not a child.
func (w *exitWatch) ended() bool {
	if w == nil {
		return true
	}
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// logTail returns the last lines of the log since the given offset.
func logTail(path string, since int64) string {
	const most = 4096
	log, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = log.Close() }()
	end, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err.Error()
	}
	start := max(since, end-most)
	tail, err := io.ReadAll(io.NewSectionReader(log, start, end-start))
	if err != nil {
		return err.Error()
	}
	if start > since {
		_, tail, _ = bytes.Cut(tail, []byte("\n"))
	}
	return fmt.Sprintf("--- end of %s:\n%s", path, tail)
}
