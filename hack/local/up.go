package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

func up(ctx context.Context, at place) error {
	if os.Getenv("USE_EXISTING_CLUSTER") == "true" {
		return errors.New("USE_EXISTING_CLUSTER=true: there is nothing to start.\n" +
			"Install into your cluster with `kubectl apply --server-side -k config/default` (docs/how-to/kind.md has an example), or unset it")
	}
	if err := buildControlPlane(ctx, at); err != nil {
		return err
	}
	if err := prepareTrust(at); err != nil {
		return err
	}
	c, err := cluster.Start(ctx, cluster.Options{
		Dir: at.dir, ControllerManager: true, Detached: true, Log: os.Stdout, APIServerArgs: []string{"--authentication-config=" + trustFile(at)},
	})
	if err != nil {
		return fmt.Errorf("%w\nThe control plane does not run. Run make up to retry, or make down and then make up to start from scratch", err)
	}
	console, err := install(ctx, c)
	var who *signIn
	if err == nil {
		who, err = people(ctx, at, c)
	}
	if err != nil {
		return fmt.Errorf("%w\nThe control plane still runs, so that you can inspect it (KUBECONFIG=%s, logs in %s).\n"+
			"Run make up to retry, or make down to stop it", err, at.shown(c.Kubeconfig()), at.shown(filepath.Join(at.dir, "log")))
	}
	return explain(at, c, console, who)
}

// buildControlPlane builds the control plane's binaries that do not exist yet.
func buildControlPlane(ctx context.Context, at place) error {
	build := exec.CommandContext(ctx, filepath.Join(at.root, "hack", "controlplane", "build.sh"))
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the control plane: %w", err)
	}
	return nil
}

// install starts Refresh Keys, and returns the URL of the administrator's console.
func install(ctx context.Context, c *cluster.Cluster) (console string, err error) {
	if err := cluster.Install(ctx, c); err != nil {
		return "", err
	}
	if _, err := cluster.RunManager(ctx, c); err != nil {
		return "", err
	}
	if _, err := cluster.RunTokenServers(ctx, c, replicas); err != nil {
		return "", err
	}
	if err := cluster.EnsureIssuer(ctx, c, cluster.DefaultIssuer); err != nil {
		return "", err
	}
	return cluster.RunConsole(ctx, c)
}

// replicas is the number of replicas of the token service: each must observe what the other records.
const replicas = 2

func explain(at place, c *cluster.Cluster, console string, who *signIn) error {
	urls := make([]string, replicas)
	for i := range urls {
		url, err := c.TokenServerURL(i + 1)
		if err != nil {
			return err
		}
		urls[i] = url
	}
	fmt.Printf(`
Refresh Keys runs; its token service serves at %[4]s. Now type, in each shell that uses it:

  export KUBECONFIG=%[1]s
  export PATH=%[2]s:%[11]s:$PATH

The first folder has kubectl, and the second one the plugin, kubectl refreshkey. Create a refresh key:

  kubectl apply -f %[12]s
  kubectl wait --for=condition=Ready jrk/orders
  kubectl get jrk

and exchange its token for an access token:

  field() { kubectl get secret orders -o go-template="{{index .data \"$1\" | base64decode}}"; }
  field ca.crt > %[13]s/ca.crt
  field token | curl --silent --cacert %[13]s/ca.crt "$(field token-endpoint)" -d grant_type=refresh_token --data-urlencode refresh_token@- |
    sed 's/.*"access_token":"\([^"]*\)".*/\1/'

Or create, rotate and revoke refresh keys in the console, as the administrator. This URL works once, within 5 minutes; make up prints another one:

  %[5]s

People sign in at the console, as in a cluster, at the login page of the token service. The browser asks you to accept two certificates:

  %[6]s
  user name %[7]s, password %[8]s

On the command line, kubectl refreshkey signs the same user in, for the API server:

  kubectl refreshkey login --issuer-url %[9]s --ca-file %[10]s

This cluster has no nodes: a pod stays Pending, and all else works. Logs are in %[3]s. When you are done: make down
`, c.Kubeconfig(), filepath.Dir(c.KubectlPath()), at.shown(filepath.Join(at.dir, "log")), strings.Join(urls, " and "), console,
		who.console, who.user, who.password, who.issuer, filepath.Join(at.dir, "tokenservice-ca.crt"), filepath.Join(at.root, "bin"),
		filepath.Join(at.root, "config", "samples", "jwtrefreshkey_orders.yaml"), at.dir)
	return nil
}
