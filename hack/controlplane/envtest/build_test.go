package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBuildScript runs build.sh in a copy of its folder, against an index and an archive on loopback. In one case, the archive holds
// the programs of this repository's own control plane; in the others, smaller files.
func TestBuildScript(t *testing.T) {
	from, small := assets(t), t.TempDir()
	for _, program := range programs {
		write(t, filepath.Join(small, program), []byte("a small file\n"))
	}
	tests := map[string]struct {
		serve func(*archiveServer)
		// choose leaves out the builds that follow the choice.
		choose bool
		says   []string
		record string
	}{
		"the version itself": {
			serve:  func(s *archiveServer) { s.version, s.from = pinned(t), from },
			says:   []string{"Kubernetes " + pinned(t) + " is downloaded, because it is in http://127.0.0.1:", "and its checksum is right"},
			record: pinned(t) + " " + pinned(t) + " downloaded",
		},
		"another patch": {
			serve:  func(s *archiveServer) { s.version = minor(t) + ".77" },
			says:   []string{"Kubernetes " + minor(t) + ".77 is downloaded, because "},
			record: minor(t) + ".77 " + pinned(t) + " downloaded",
		},
		"a wrong checksum": {
			serve:  func(s *archiveServer) { s.version, s.sum = pinned(t), strings.Repeat("0", 128) },
			choose: true,
			says:   []string{"warning: an archive was refused: checksum mismatch", "is built from its modules, because an archive was refused"},
			record: pinned(t) + " " + pinned(t) + " built",
		},
		"no checksum": {
			serve:  func(s *archiveServer) { s.version, s.sum = pinned(t), " " },
			choose: true,
			says:   []string{"warning: an archive was refused: checksum mismatch"},
			record: pinned(t) + " " + pinned(t) + " built",
		},
		"another minor version": {
			serve:  func(s *archiveServer) { s.version = "1.20.0" },
			choose: true,
			says:   []string{"is built from its modules, because http://127.0.0.1:", "has no archive of Kubernetes " + minor(t)},
			record: pinned(t) + " " + pinned(t) + " built",
		},
		"an archive without kubectl": {
			serve:  func(s *archiveServer) { s.version, s.programs = pinned(t), []string{"etcd", "kube-apiserver"} },
			choose: true,
			says:   []string{"is built from its modules, because the archive", "it holds no program kubectl"},
			record: pinned(t) + " " + pinned(t) + " built",
		},
		"no archive at its URL": {
			serve:  func(s *archiveServer) { s.version, s.gone = pinned(t), true },
			choose: true,
			says:   []string{"is built from its modules, because the archive", "404 Not Found"},
			record: pinned(t) + " " + pinned(t) + " built",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			served := &archiveServer{from: small, programs: programs}
			tt.serve(served)
			s := newScript(t, from)
			index := served.start(t)
			said := s.run(t, index, tt.choose)
			for _, want := range tt.says {
				if !strings.Contains(said, want) {
					t.Errorf("build.sh does not say %q:\n%s", want, said)
				}
			}
			s.isRecorded(t, tt.record)
			s.usesWhatIsRecorded(t, served.from)
			again := s.run(t, "http://127.0.0.1:1/gone", tt.choose)
			if strings.Contains(again, "looking") || !strings.Contains(said, strings.TrimSpace(again)) {
				t.Errorf("the second run says %q, after\n%s", again, said)
			}
		})
	}
}

// TestUnreachable checks that an index that does not answer, or refuses the connection, leads to a build.
func TestUnreachable(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	tests := map[string]struct{ index, says string }{
		"silent":  {"http://" + silent.Addr().String(), "did not answer within 5s"},
		"refused": {"http://127.0.0.1:1/index.yaml", "cannot be read: dial tcp 127.0.0.1:1: connect: connection refused"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScript(t, assets(t))
			said := s.run(t, tt.index, true)
			if want := "is built from its modules, because " + tt.index + " " + tt.says; !strings.Contains(said, want) {
				t.Errorf("build.sh does not say %q:\n%s", want, said)
			}
			s.isRecorded(t, pinned(t)+" "+pinned(t)+" built "+tt.index)
		})
	}
}

// script is a copy of build.sh with a bin folder of its own.
type script struct{ root string }

// newScript returns a copy whose kube-controller-manager is built already: its build takes minutes.
func newScript(t *testing.T, from string) script {
	t.Helper()
	s := script{t.TempDir()}
	for _, file := range []string{"building.sh", "controlplane/build.sh", "controlplane/go.mod", "controlplane/envtest/go.mod", "controlplane/envtest/go.sum",
		"controlplane/envtest/main.go", "controlplane/envtest/fetch.go"} {
		content, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(s.root, "hack", file), content)
	}
	manager := filepath.Join(s.k8s(), pinned(t), "kube-controller-manager")
	if err := os.MkdirAll(filepath.Dir(manager), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(from, "kube-controller-manager"), manager); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s script) k8s() string { return filepath.Join(s.root, "bin", "k8s") }

// run returns what build.sh prints.
func (s script) run(t *testing.T, index string, choose bool) string {
	t.Helper()
	arguments := []string{"hack/controlplane/build.sh"}
	if choose {
		arguments = append(arguments, "choose")
	}
	command := exec.CommandContext(t.Context(), "bash", arguments...)
	command.Dir = s.root
	command.Env = append(os.Environ(), "KUBEBUILDER_ASSETS=", "ENVTEST_INSTALLED_ONLY=", indexVariable+"="+index)
	said, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("build.sh: %v\n%s", err, said)
	}
	return string(said)
}

func (s script) isRecorded(t *testing.T, want string) {
	t.Helper()
	record, err := os.ReadFile(filepath.Join(s.k8s(), "chosen"))
	if err != nil || !strings.HasPrefix(string(record), want) {
		t.Errorf("bin/k8s/chosen holds %q (%v), want %q", record, err, want)
	}
}

// usesWhatIsRecorded: after a download, the folder holds the programs of the archive, and otherwise none of them. Nothing else is left.
func (s script) usesWhatIsRecorded(t *testing.T, from string) {
	t.Helper()
	record, err := os.ReadFile(filepath.Join(s.k8s(), "chosen"))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(record))
	for _, program := range programs {
		file := filepath.Join(s.k8s(), fields[0], program)
		switch found, err := os.Stat(file); {
		case fields[2] == "built" && err == nil:
			t.Errorf("%s was taken from an archive that is not used", file)
		case fields[2] == "downloaded" && (err != nil || found.Size() != size(t, filepath.Join(from, program))):
			t.Errorf("%s is not the program of the archive: %v", file, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(s.k8s(), ".download-*")); err != nil || len(left) > 0 {
		t.Errorf("%v is left (%v)", left, err)
	}
}

// archiveServer serves an index with one archive.
type archiveServer struct {
	from         string
	programs     []string
	version, sum string
	gone         bool
}

// start returns the URL of the index.
func (s *archiveServer) start(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	archive := pack(t, s.from, s.programs...)
	sum := sha512.Sum512(archive)
	if s.sum == "" {
		s.sum = hex.EncodeToString(sum[:])
	}
	name := fmt.Sprintf("envtest-v%s-%s-%s.tar.gz", s.version, here().OS, here().Arch)
	mux.HandleFunc("/index.yaml", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "releases:\n  v%s:\n    %s:\n      hash: %q\n      selfLink: %s/%s\n", s.version, name, strings.TrimSpace(s.sum), server.URL, name)
	})
	if !s.gone {
		mux.HandleFunc("/"+name, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(archive) })
	}
	return server.URL + "/index.yaml"
}

// pack returns an archive as controller-tools makes them.
func pack(t *testing.T, from string, programs ...string) []byte {
	t.Helper()
	var archive bytes.Buffer
	// The programs need not be smaller on loopback.
	zipped, err := gzip.NewWriterLevel(&archive, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	packed := tar.NewWriter(zipped)
	for _, program := range programs {
		file := filepath.Join(from, program)
		header := &tar.Header{Typeflag: tar.TypeReg, Name: "controller-tools/envtest/" + program, Mode: 0o755, Size: size(t, file)}
		if err := packed.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		content, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(packed, content); err != nil {
			t.Fatal(err)
		}
		_ = content.Close()
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

// assets returns the folder of a control plane of the pinned version.
func assets(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("../../../bin/k8s", pinned(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range append([]string{"kube-controller-manager"}, programs...) {
		if _, err := os.Stat(filepath.Join(dir, program)); err != nil {
			t.Skipf("%v: run make controlplane, where it builds the control plane", err)
		}
	}
	return dir
}

// pinned returns the version of Kubernetes that hack/controlplane/go.mod pins.
func pinned(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(content), "require k8s.io/kubernetes v")
	version, _, found := strings.Cut(after, " ")
	if !found {
		t.Fatal("hack/controlplane/go.mod pins no k8s.io/kubernetes")
	}
	return version
}

func minor(t *testing.T) string {
	t.Helper()
	version := pinned(t)
	return version[:strings.LastIndex(version, ".")]
}

func size(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	//nolint:gosec // a script must be executable
	if err := os.WriteFile(file, content, 0o755); err != nil {
		t.Fatal(err)
	}
}
