package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	"github.com/refreshkeys/refreshkeys/internal/authority"
	"github.com/refreshkeys/refreshkeys/internal/console/signin"
)

// TestFlags checks the defaults and what is refused.
func TestFlags(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "refreshkeys-system")
	f, err := parseFlags(nil)
	if err != nil {
		t.Fatal(err)
	}
	if !f.console.Reveal || f.console.SessionIdle != 30*time.Minute || f.console.SessionMax != 12*time.Hour || f.console.BasePath != "/" {
		t.Errorf("defaults: %+v", f.console)
	}
	for _, host := range []string{"localhost", "refreshkeys-console.refreshkeys-system.svc", "refreshkeys-console.refreshkeys-system.svc.cluster.local"} {
		if !slices.Contains(f.console.Hosts, host) {
			t.Errorf("the default of --host lacks %s", host)
		}
	}
	if f, err = parseFlags([]string{"--host=keys.example.com", "--host=keys.example.com:8443", "--reveal=Never"}); err != nil ||
		f.console.Reveal || !slices.Equal(f.console.Hosts, []string{"keys.example.com", "keys.example.com:8443"}) {
		t.Errorf("%+v, %v", f, err)
	}
	for _, bad := range [][]string{{"--reveal=Always"}, {"--session-idle=soon"}, {"--no-such-flag"}, {"--impersonate"}} {
		if _, err := parseFlags(bad); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
}

// TestSignIn checks that the console keeps its own credential for impersonation only.
func TestSignIn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "oidc.yaml")
	if err := os.WriteFile(file, []byte("issuerURL: https://idp.example.com\nclientID: console\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := &rest.Config{Host: "https://api.example.com", BearerToken: "own"}
	for _, c := range []struct {
		args []string
		own  string
	}{{[]string{"--oidc-config", file}, ""}, {[]string{"--oidc-config", file, "--impersonate"}, "own"}} {
		f, err := parseFlags(c.args)
		if err != nil {
			t.Fatal(err)
		}
		made, err := f.signIn(config, logr.Discard())
		if err != nil {
			t.Fatal(err)
		}
		if oidc, ok := made.(*signin.OIDC); !ok || oidc.API.BearerToken != c.own || oidc.API.Host != config.Host {
			t.Errorf("%v: %+v", c.args, made)
		}
	}
	f, err := parseFlags(nil)
	if err != nil {
		t.Fatal(err)
	}
	if made, err := f.signIn(config, logr.Discard()); made != nil || err != nil {
		t.Errorf("without --oidc-config: %v, %v", made, err)
	}
}

// TestAPIServer finds the API server with and without a token in the pod.
func TestAPIServer(t *testing.T) {
	for _, c := range []struct {
		name  string
		env   string
		files []string
		host  string
		says  string
	}{
		{"a pod without a token", "10.96.0.1", []string{"ca.crt"}, "https://10.96.0.1:443", ""},
		{"an address with colons", "fd00::1", []string{"ca.crt"}, "https://[fd00::1]:443", ""},
		{"a pod without the authority", "10.96.0.1", nil, "", "no such file"},
		// The usual configuration reads a directory that this machine lacks.
		{"a pod with a token", "10.96.0.1", []string{"ca.crt", "token"}, "", "find the API server"},
		{"no pod", "", []string{"ca.crt"}, "", "find the API server"},
	} {
		t.Run(c.name, func(t *testing.T) {
			directory := t.TempDir()
			for _, name := range c.files {
				if err := os.WriteFile(filepath.Join(directory, name), []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("KUBERNETES_SERVICE_HOST", c.env)
			t.Setenv("KUBERNETES_SERVICE_PORT", "443")
			config, err := apiServer("", directory)
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%+v, %v", config, err)
				}
				return
			}
			if err != nil || config.Host != c.host || config.CAFile != filepath.Join(directory, "ca.crt") || config.BearerToken != "" {
				t.Errorf("%+v, %v", config, err)
			}
		})
	}
}

// free returns an address of the loopback interface that is free.
func free(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// TestServe runs the command with a certificate that is mounted after the start, and ends it.
func TestServe(t *testing.T) {
	w := gomega.NewWithT(t)
	directory := t.TempDir()
	listen, health := free(t), free(t)
	f, err := parseFlags([]string{"--listen=" + listen, "--health=" + health, "--tls-secret=" + directory})
	w.Expect(err).NotTo(gomega.HaveOccurred())
	owner := &authority.Authority{}
	_, err = owner.Advance(time.Now())
	w.Expect(err).NotTo(gomega.HaveOccurred())
	pair, err := owner.Issue([]string{"localhost"}, time.Now())
	w.Expect(err).NotTo(gomega.HaveOccurred())
	w.Expect(os.WriteFile(filepath.Join(directory, "tls.crt"), pair.Certificate, 0o600)).To(gomega.Succeed())
	w.Expect(os.WriteFile(filepath.Join(directory, "tls.key"), pair.Key, 0o600)).To(gomega.Succeed())

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- f.serve(ctx, &rest.Config{Host: "https://127.0.0.1:1"}, logr.Discard())
	}()
	get := func(client *http.Client, url string) (*http.Response, string, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			return nil, "", err
		}
		answer, err := client.Do(r)
		if err != nil {
			return nil, "", err
		}
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		return answer, string(text), err
	}
	w.Eventually(func(g gomega.Gomega) {
		answer, said, err := get(http.DefaultClient, "http://"+health+"/readyz")
		g.Expect(err).NotTo(gomega.HaveOccurred())
		g.Expect(answer.StatusCode).To(gomega.Equal(http.StatusOK), said)
	}).Should(gomega.Succeed())
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(owner.Bundle())
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}}
	client := &http.Client{Transport: transport}
	answer, said, err := get(client, "https://"+listen+"/keys")
	w.Expect(err).NotTo(gomega.HaveOccurred())
	w.Expect(answer.StatusCode).To(gomega.Equal(http.StatusOK), said)
	w.Expect(answer.ProtoMajor).To(gomega.Equal(2))
	if _, _, err := get(http.DefaultClient, "https://"+listen+"/keys"); err == nil {
		t.Error("the certificate is trusted by all")
	}
	_, said, err = get(http.DefaultClient, "http://"+health+"/metrics")
	w.Expect(err).NotTo(gomega.HaveOccurred())
	w.Expect(said).To(gomega.ContainSubstring(`refreshkeys_console_requests_total{code="200",route="GET /keys"} 1`))
	w.Expect(said).To(gomega.ContainSubstring("refreshkeys_console_sessions 0"))
	lines := bufio.NewScanner(strings.NewReader(said))
	for lines.Scan() {
		w.Expect(lines.Text()).NotTo(gomega.ContainSubstring(listen))
	}
	cancel()
	w.Eventually(ended, 10*time.Second).Should(gomega.Receive(gomega.BeNil()))
}
