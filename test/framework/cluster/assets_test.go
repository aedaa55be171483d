package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFindAssets checks which folder is used: with an API server, what build.sh has recorded comes before the newest version.
func TestFindAssets(t *testing.T) {
	tests := map[string]struct {
		programs []string
		record   string
		want     string
	}{
		"nothing":                            {},
		"only what goes with a download":     {programs: []string{"1.37.2/kube-controller-manager"}},
		"the newest, without a record":       {programs: []string{"1.9.9/kube-apiserver", "1.37.2/kube-apiserver", "notes/kube-apiserver"}, want: "1.37.2"},
		"the record, before the newest":      {programs: []string{"1.37.1/kube-apiserver", "1.37.2/kube-apiserver"}, record: "1.37.1 1.37.2 downloaded it is there", want: "1.37.1"},
		"a record of a folder that has gone": {programs: []string{"1.37.1/kube-apiserver"}, record: "1.37.2 1.37.2 built the index is away", want: "1.37.1"},
		"an empty record":                    {programs: []string{"1.37.1/kube-apiserver"}, record: "\n", want: "1.37.1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			built := checkout(t, tt.programs...)
			if tt.record != "" {
				place(t, filepath.Join(built, "chosen"), tt.record)
			}
			switch found, err := FindAssets(); {
			case tt.want == "" && !errors.Is(err, ErrNotBuilt):
				t.Errorf("found %s, error %v, want ErrNotBuilt", found, err)
			case tt.want != "" && (err != nil || filepath.Base(found) != tt.want):
				t.Errorf("found %s, error %v, want %s", found, err, tt.want)
			}
		})
	}
}

// TestBinary checks that a program that a folder lacks is one that build.sh has built, and that a missing one is an error.
func TestBinary(t *testing.T) {
	built := checkout(t, "1.37.1/kube-apiserver", "1.37.1/etcd", "1.37.1/kubectl", "1.37.2/kube-controller-manager")
	downloaded := filepath.Join(built, "1.37.1")
	for program, want := range map[string]string{etcdName: "1.37.1/etcd", controllerManagerName: "1.37.2/kube-controller-manager", "kubelet": "1.37.1/kubelet"} {
		if got := Binary(downloaded, program); !strings.HasSuffix(got, filepath.FromSlash(want)) {
			t.Errorf("%s is %s, want %s", program, got, want)
		}
	}
	if _, err := (Options{ControllerManager: true}).assets(); err != nil {
		t.Errorf("error %v for a complete control plane", err)
	}
	if err := os.Remove(filepath.Join(downloaded, etcdName)); err != nil {
		t.Fatal(err)
	}
	if _, err := (Options{}).assets(); !errors.Is(err, ErrNotBuilt) {
		t.Errorf("error %v without etcd, want ErrNotBuilt", err)
	}
}

// checkout changes the working directory to a repository with programs in bin/k8s, and returns that folder.
func checkout(t *testing.T, programs ...string) (built string) {
	t.Helper()
	root := t.TempDir()
	built = filepath.Join(root, "bin", "k8s")
	place(t, filepath.Join(root, "go.mod"), "module "+module+"\n")
	place(t, filepath.Join(built, "README"), "")
	for _, program := range programs {
		place(t, filepath.Join(built, filepath.FromSlash(program)), "")
	}
	t.Setenv("KUBEBUILDER_ASSETS", "")
	t.Chdir(filepath.Join(root, "bin"))
	return built
}

func place(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
