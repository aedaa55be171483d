package plugin

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// testExecCredentialPlugin checks that client-go presents access tokens of a key if a user's exec section names the plugin.
func (h *harness) testExecCredentialPlugin(t *testing.T) {
	namespace, kubeconfig := h.newNamespace()
	environment := h.variables(namespace, kubeconfig)
	if _, stderr, code := run(t.TempDir(), environment, "", "kubectl-refreshkey", "create", "orders", "--audience", "https://orders.example.com", "--wait"); code != 0 {
		t.Fatal(stderr)
	}
	presented := make(chan string, 1)
	api := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { presented <- r.Header.Get("Authorization") }))
	defer api.Close()
	config := &rest.Config{
		Host: api.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true},
		ExecProvider: &clientcmdapi.ExecConfig{
			APIVersion: "client.authentication.k8s.io/v1", Command: lookPath(environment, "kubectl-refreshkey"),
			Args:            []string{"exchange", "orders", "--kubeconfig", kubeconfig, "--ca-file", filepath.Join(h.dir, "ca.crt")},
			InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
		},
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Get(api.URL)
	if err != nil {
		t.Fatal(jwt.ReplaceAllString(err.Error(), "<a token>"))
	}
	defer response.Body.Close()
	bearer, ok := strings.CutPrefix(<-presented, "Bearer ")
	if kind, err := kindOf(bearer); !ok || err != nil || kind != "at+jwt" {
		t.Errorf("client-go presented %s (%v), want an access token", kind, err)
	}
}
