package cluster

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestIdentityIsOneLifeOfAPid(t *testing.T) {
	sleeper := exec.Command("sleep", "60")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sleeper.Process.Kill() })
	life := identity{Pid: sleeper.Process.Pid, Started: birth(sleeper.Process.Pid)}
	if !life.alive() {
		t.Fatalf("%+v counts as dead", life)
	}

	for name, other := range map[string]identity{
		"another start time": {Pid: life.Pid, Started: life.Started + "1"},
		"no start time":      {Pid: life.Pid},
		"no pid":             {Started: life.Started},
	} {
		if other.alive() {
			t.Errorf("%s: counts as alive", name)
		}
		if err := other.signal(syscall.SIGKILL); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !life.alive() {
		t.Fatal("a process was killed by its pid alone")
	}

	if err := life.signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if !new(Process).gone(t.Context(), life, killGrace) {
		t.Error("a zombie counts as alive after SIGKILL")
	}
	_ = sleeper.Wait()
	if err := life.signal(syscall.SIGKILL); err != nil {
		t.Errorf("signal to an ended process: %v", err)
	}
}

// created returns a cluster of a directory, of which nothing runs.
func created(t *testing.T, dir string) *Cluster {
	t.Helper()
	c, err := create(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStateIsReadBack(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); !errors.Is(err, ErrNoCluster) {
		t.Fatalf("error %v, want ErrNoCluster", err)
	}
	c := created(t, dir)
	port, err := c.Port("manager")
	if err != nil {
		t.Fatal(err)
	}
	c.define(c.etcdProgram())
	c.define(c.apiServerProgram(nil))
	c.Etcd.life = identity{Pid: os.Getpid(), Started: "long ago"}
	if err := c.save(); err != nil {
		t.Fatal(err)
	}

	loaded, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := loaded.Port("manager"); err != nil || again != port {
		t.Errorf("port %d, error %v, want %d as before", again, err, port)
	}
	if !loaded.Etcd.program.equal(c.Etcd.program) {
		t.Errorf("etcd's program is %+v, want %+v", loaded.Etcd.program, c.Etcd.program)
	}
	if loaded.Etcd.current() != c.Etcd.current() {
		t.Errorf("etcd was %+v, is %+v", c.Etcd.current(), loaded.Etcd.current())
	}
	if loaded.Running() || loaded.Etcd.Pid() != 0 {
		t.Error("a pid that another process has now counts as running")
	}
	if err := loaded.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestALostKubeconfigIsWrittenAgain(t *testing.T) {
	c := created(t, t.TempDir())
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(c.Kubeconfig()); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(c.Dir()); err != nil {
		t.Fatalf("a cluster whose kubeconfig was removed cannot be taken over, nor stopped: %v", err)
	}
	if after, err := os.ReadFile(c.Kubeconfig()); err != nil || string(after) != string(before) {
		t.Errorf("the kubeconfig is different (%v)", err)
	}
}

func TestAProgramThatEndsShowsItsLog(t *testing.T) {
	c := created(t, t.TempDir())
	program := Program{Name: "quitter", Binary: "/bin/sh", Args: []string{"-c", "echo out of cheese; exit 3"}, Health: "http://127.0.0.1:1/"}
	for range 2 {
		_, err := c.Run(t.Context(), program)
		if err == nil {
			t.Fatal("no error")
		}
		for _, want := range []string{"quitter", "exit status 3"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q does not contain %q", err, want)
			}
		}
		if times := strings.Count(err.Error(), "out of cheese"); times != 1 {
			t.Errorf("the log of this run is shown %d times in %q", times, err)
		}
	}
}

func TestRunIsDoneOnce(t *testing.T) {
	dir := t.TempDir()
	c := created(t, dir)
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	program := Program{Name: "sleeper", Binary: sleep, Args: []string{"60"}}
	first, err := c.Run(t.Context(), program)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop(t.Context()) })
	pid := first.Pid()

	taken, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	same, err := taken.Run(t.Context(), program)
	if err != nil {
		t.Fatal(err)
	}
	if same.Pid() != pid {
		t.Errorf("restarted as %d, was %d", same.Pid(), pid)
	}

	program.Args = []string{"61"}
	other, err := taken.Run(t.Context(), program)
	if err != nil {
		t.Fatal(err)
	}
	if first.Running() || other.Pid() == pid || other.Pid() == 0 {
		t.Errorf("with other arguments: first runs %t, pids %d and %d", first.Running(), pid, other.Pid())
	}
	if err := taken.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if other.Running() {
		t.Error("the program runs after Stop")
	}
}
