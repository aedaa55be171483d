package cluster

import (
	"os"
	"os/exec"
	"testing"
)

func TestStartTicks(t *testing.T) {
	const rest = " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21"
	for stat, want := range map[string]string{
		"12 (etcd) S" + rest:      "4711",
		"12 (a) S (b c) R" + rest: "4711",
		"12 (etcd) Z" + rest:      "",
		"12 (etcd) S 1 2":         "",
		"nothing":                 "",
	} {
		if got := startTicks(stat); got != want {
			t.Errorf("%q: %q, want %q", stat, got, want)
		}
	}
}

func TestProcessesEndWithTheirParent(t *testing.T) {
	const folder = "CLUSTER_TEST_PARENT_OF"
	if dir := os.Getenv(folder); dir != "" {
		runSleeperAndHang(t, dir)
	}
	dir := t.TempDir()
	parent := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	parent.Env = append(os.Environ(), folder+"="+dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	c, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	sleeper := c.Process("sleeper")
	if !sleeper.Running() {
		t.Fatal("the parent has not started the child")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	if !sleeper.gone(t.Context(), sleeper.current(), killGrace) {
		t.Error("the child survives its parent")
		_ = sleeper.Kill()
	}
}

func runSleeperAndHang(t *testing.T, dir string) {
	c := created(t, dir)
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Run(t.Context(), Program{Name: "sleeper", Binary: sleep, Args: []string{"600"}}); err != nil {
		t.Fatal(err)
	}
	_, _ = os.Stdout.Write([]byte("."))
	select {}
}
