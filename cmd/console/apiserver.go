package main

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"

	"github.com/refreshkeys/refreshkeys/cmd/internal/start"
)

// accountDir is where a pod finds the certificate authority of the API server and, if it has one, its token.
const accountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// apiServer returns where the API server is. The pod of the console has no token, which the usual configuration of a pod requires.
func apiServer(kubeconfig, accountDir string) (*rest.Config, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	authority := filepath.Join(accountDir, "ca.crt")
	_, noToken := os.Stat(filepath.Join(accountDir, "token"))
	if kubeconfig != "" || host == "" || !errors.Is(noToken, fs.ErrNotExist) {
		return start.RestConfig(kubeconfig)
	}
	if _, err := os.Stat(authority); err != nil {
		return nil, err
	}
	return &rest.Config{Host: "https://" + net.JoinHostPort(host, port), TLSClientConfig: rest.TLSClientConfig{CAFile: authority}}, nil
}
