package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"strings"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

// replicas is the number of replicas of the token service: a revocation must reach all.
const replicas = 2

// consoles are the flags of each console.
var consoles = map[string][]string{
	"main": nil,
	// The second replica, which shares nothing with the first one.
	"second":   nil,
	"basePath": {"--base-path=/refresh/"},
	// Its sessions end while a test watches.
	"brief": {"--session-max=20s", "--session-idle=20s"},
}

// install installs the operator and runs all programs.
func install(ctx context.Context, c *cluster.Cluster, built binaries) (*world, error) {
	if err := cluster.Install(ctx, c); err != nil {
		return nil, err
	}
	if _, err := cluster.RunManager(ctx, c); err != nil {
		return nil, err
	}
	if _, err := cluster.RunTokenServers(ctx, c, replicas); err != nil {
		return nil, err
	}
	if err := cluster.EnsureIssuer(ctx, c, cluster.DefaultIssuer); err != nil {
		return nil, err
	}
	config := c.Config()
	pki := filepath.Dir(c.Authority())
	w := &world{
		APIServer: config.Host, Authority: c.Authority(), Certificate: filepath.Join(pki, "admin.crt"), Key: filepath.Join(pki, "admin.key"),
		Kubectl: c.KubectlPath(), Kubeconfig: c.Kubeconfig(), Logs: filepath.Join(c.Dir(), "log"), Consoles: map[string]string{},
	}
	for n := 1; n <= replicas; n++ {
		url, err := c.TokenServerURL(n)
		if err != nil {
			return nil, err
		}
		w.TokenServers = append(w.TokenServers, url)
	}
	secret, err := c.ServingSecret("console", "localhost", "127.0.0.1")
	if err != nil {
		return nil, err
	}
	trusted, err := cluster.TokenServiceCA(ctx, c)
	if err != nil {
		return nil, err
	}
	shared := []string{"--tls-secret=" + secret, "--token-service=" + w.TokenServers[0], "--token-service-ca-file=" + trusted}
	for name, flags := range consoles {
		if err := runConsole(ctx, c, w, name, append(flags, shared...), built.console); err != nil {
			return nil, err
		}
	}
	if err := provide(ctx, c, w, built, shared, trusted); err != nil {
		return nil, err
	}
	proxies, err := serveProxies(ctx, w.Consoles["main"], w.Consoles["second"], secret)
	maps.Copy(w.Consoles, proxies)
	return w, err
}

func runConsole(ctx context.Context, c *cluster.Cluster, w *world, name string, flags []string, binary string) error {
	process := "console-" + name
	port, err := c.Port(process)
	if err != nil {
		return err
	}
	health, err := c.Port(process + "-health")
	if err != nil {
		return err
	}
	_, err = c.Run(ctx, cluster.Program{
		Name: process, Binary: binary,
		Args: append([]string{
			"--kubeconfig=" + c.Kubeconfig(),
			fmt.Sprintf("--listen=127.0.0.1:%d", port),
			fmt.Sprintf("--health=127.0.0.1:%d", health),
			"--docs-url=https://docs.example.com",
			"--verbosity=2",
		}, flags...),
		Health: fmt.Sprintf("http://127.0.0.1:%d/readyz", health),
	})
	if err != nil {
		return err
	}
	url := fmt.Sprintf("https://localhost:%d/", port)
	for _, flag := range flags {
		if base, found := strings.CutPrefix(flag, "--base-path=/"); found {
			url += base
		}
	}
	w.Consoles[name] = url
	if name == "main" {
		w.Metrics = fmt.Sprintf("http://127.0.0.1:%d/metrics", health)
	}
	return nil
}
