package interop

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/onsi/gomega"
)

// endsWithInput is a script that runs a program until its standard input is closed, so that the program does not outlive the tests.
const endsWithInput = `"$@" & program=$!; read -r _; kill "$program"; wait "$program"`

// background runs a program until the test ends, and returns what it printed so far.
func (h *fixture) background(environment []string, binary string, args ...string) (printed func() string) {
	h.T.Helper()
	log, err := os.Create(filepath.Join(h.T.TempDir(), "log"))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	process := exec.Command("sh", append([]string{"-c", endsWithInput, "sh", binary}, args...)...)
	process.Env, process.Stdout, process.Stderr = append(os.Environ(), environment...), log, log
	input, err := process.StdinPipe()
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(process.Start()).To(gomega.Succeed())
	h.T.Cleanup(func() {
		_ = input.Close()
		_ = process.Wait()
		_ = log.Close()
	})
	return func() string {
		text, err := os.ReadFile(log.Name())
		if err != nil {
			return err.Error()
		}
		return withoutTokens(string(text))
	}
}

// answers waits until a server that runs in the background answers at a URL, without a sign-in.
func (h *fixture) answers(url string, printed func() string) {
	h.T.Helper()
	h.Eventually(func() (int, error) {
		answer, err := h.http.Get(url)
		if err != nil {
			return 0, err
		}
		return answer.StatusCode, answer.Body.Close()
	}).WithTimeout(patience).Should(gomega.Equal(http.StatusOK), printed)
}

// files writes files into a folder that all users can read, and returns the folder. A name that begins with a dot is for its owner alone.
func (h *fixture) files(contents map[string][]byte) string {
	h.T.Helper()
	folder, err := os.MkdirTemp("", "interop-")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.T.Cleanup(func() { _ = os.RemoveAll(folder) })
	h.Expect(os.Chmod(folder, 0o755)).To(gomega.Succeed())
	for name, content := range contents {
		mode := os.FileMode(0o644)
		if name[0] == '.' {
			mode = 0o600
		}
		h.Expect(os.WriteFile(filepath.Join(folder, name), content, mode)).To(gomega.Succeed())
	}
	return folder
}

// newSite returns the URL of a server that is to run, on a free port, and the URL of the application behind it. The application answers
// with the headers of each request.
func newSite(t *testing.T) (port int, site, application string) {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(r.Header)
	}))
	t.Cleanup(server.Close)
	return port, fmt.Sprintf("https://%s:%d", host, port), server.URL
}

// received returns the headers that the application received with the request for the page.
func (p *person) received() http.Header {
	p.t.Helper()
	headers := http.Header{}
	if err := json.Unmarshal([]byte(p.page), &headers); err != nil {
		p.t.Fatalf("the page at %s is not of the application: %d %s", p.at, p.status, withoutTokens(p.page))
	}
	return headers
}

// living returns the sessions of the fixture that were not revoked.
func (h *fixture) living() (living int) {
	h.T.Helper()
	for _, one := range h.sessions() {
		if !one.Spec.Revoked && one.Status.RevokedAt == nil {
			living++
		}
	}
	return living
}
