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
	// An API server that has lost its etcd takes a minute to end by itself.
	stopGrace   = 20 * time.Second
	killGrace   = 10 * time.Second
	pollProcess = 20 * time.Millisecond
	pollHealth  = 50 * time.Millisecond
)

// Program says how a process is run: all that is needed to run it again.
type Program struct {
	// Name is unique in the cluster, and names the log.
	Name   string   `json:"name"`
	Binary string   `json:"binary"`
	Args   []string `json:"args"`
	// Env is added to the environment of this process.
	Env []string `json:"env,omitempty"`
	// Health is a URL that answers 200 once the program serves. Without one it
	// counts as serving once it runs.
	Health string `json:"health,omitempty"`
	// HealthSays is what that answer must contain, if anything.
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
	// digest is of the binary as it was when the program was given to Run.
	digest   string
	detached bool
	logPath  string
	prober   *http.Client
	// changed records a start or an end.
	changed func() error

	mu   sync.Mutex
	life identity
	exit *exitWatch
}

// exitWatch is how a child of this very process ended. Processes taken over
// from a recorded state have none.
type exitWatch struct {
	done   chan struct{}
	status error
}

// Name is the program's name, such as "etcd".
func (p *Process) Name() string { return p.program.Name }

// Pid is the process id, 0 when it does not run.
func (p *Process) Pid() int {
	life := p.current()
	if !life.alive() {
		return 0
	}
	return life.Pid
}

// Running tells whether the process is there.
func (p *Process) Running() bool { return p.current().alive() }

// LogPath is the file that holds the output of all its runs.
func (p *Process) LogPath() string { return p.logPath }

// Start runs the program and returns when it serves. When it runs already, it
// only waits for that. A program that ends meanwhile is an error that holds the
// end of its log; one that does not serve in time is stopped.
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

// Stop asks the process to end, and kills it when it does not within 20 seconds
// or when ctx is done. It returns when the process is gone.
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

// Kill ends the process as a crash would, and returns when it is gone.
func (p *Process) Kill() error {
	life := p.current()
	if err := life.signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", p.Name(), err)
	}
	if !p.gone(context.Background(), life, killGrace) {
		return fmt.Errorf("%s (pid %d) is still there after SIGKILL", p.Name(), life.Pid)
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
		// ends, so this thread stays until the child is gone.
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

// ended describes the end of a process that should run.
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

// gone waits for the end of the process. A child is gone once it was waited for: before
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

// ended tells whether the child was waited for; what is no child of ours never is.
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

// logTail is the last lines of what was logged since the given offset.
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
