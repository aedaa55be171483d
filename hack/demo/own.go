package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

// clusterFolder is in the scratch folder, so that a later run finds the processes of a killed run.
const clusterFolder = "cluster"

// startCluster starts a control plane with the operator for the demo.
func (s *scene) startCluster() {
	s.say("etcd, kube-apiserver, kube-controller-manager, the operator's manager and two replicas of its token service start as plain " +
		"processes on loopback, and write only to bin/demo. The manager and the token service run as their own ServiceAccounts, " +
		"with only the rights in config/rbac.")
	s.gap()
	began := time.Now()
	_, err := cluster.BuildManager(s.ctx)
	s.must(err)
	s.aside("manager built in %.1fs", time.Since(began).Seconds())

	s.later(func(context.Context) error { return os.RemoveAll(s.scratch) })
	options := cluster.Options{Dir: filepath.Join(s.scratch, clusterFolder), Log: progress{s.page}}
	c, err := cluster.Start(s.ctx, options)
	s.must(err)
	s.later(func(ctx context.Context) error { return stopCluster(ctx, s.scratch) })
	s.must(cluster.Install(s.ctx, c))
	c = s.addControllerManager(options)
	s.stage, err = newStage(c.Config(), kubectl{
		path:  c.KubectlPath(),
		flags: []string{"--kubeconfig=" + c.Kubeconfig(), "--cache-dir=" + filepath.Join(s.scratch, "kubectl-cache")},
		dir:   s.scratch,
	})
	s.must(err)
	s.stage.ours, s.stage.issuer, s.stage.namespace = true, "default", "shop"
	s.stage.manager, err = cluster.RunManager(s.ctx, c)
	s.must(err)
	s.startService(c)
	s.must(cluster.EnsureIssuer(s.ctx, c))
	s.untilEnforced()
	s.gap()
	s.stage.readyAfter = time.Since(s.began)
	s.held("JWTIssuer default has signing keys and is ready, %s after the start", span(s.stage.readyAfter))
	s.atRest = s.writesSoFar()
}

// addControllerManager starts kube-controller-manager. Call it after Install: the garbage collector discovers
// all kinds when it starts, but new kinds only every 30 s.
func (s *scene) addControllerManager(options cluster.Options) *cluster.Cluster {
	began := time.Now()
	options.ControllerManager, options.Log = true, nil
	c, err := cluster.Start(s.ctx, options)
	s.must(err)
	c.Log = progress{s.page}
	s.aside("%s serves after %.1fs (pid %d)", c.ControllerManager.Name(), time.Since(began).Seconds(), c.ControllerManager.Pid())
	return c
}

// stopCluster stops the cluster in the scratch folder, if there is one.
func stopCluster(ctx context.Context, scratch string) error {
	c, err := cluster.Load(filepath.Join(scratch, clusterFolder))
	if errors.Is(err, cluster.ErrNoCluster) {
		return nil
	}
	if err != nil {
		return err
	}
	return c.Stop(ctx)
}
