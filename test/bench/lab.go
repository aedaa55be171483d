package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/unthrottled"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

const operatorNamespace = "refreshkeys-system"

// lab is a control plane with the operator installed, and a manager that is
// started and stopped as the measurements need it. Nothing else uses the API server: no
// kube-controller-manager runs, so that only the writers are measured.
type lab struct {
	settings *settings
	cluster  *cluster.Cluster
	admin    client.Client
	// asManager acts with only the rights of the manager's ServiceAccount.
	asManager *rest.Config
	manager   *cluster.Process
	apiserver *scraper
	metrics   *scraper
	// emptyHeap is the manager's live heap without any key.
	emptyHeap float64
	// resting are the batches with keys that the manager has issued.
	resting []batch
	// service is nil until a part needs it.
	service     *service
	loadAtStart string
	dir         string
}

// openLab returns a lab with a ready issuer, no keys, and a stopped manager.
func openLab(ctx context.Context, s *settings) (_ *lab, err error) {
	dir, err := os.MkdirTemp("", "refreshkeys-bench-")
	if err != nil {
		return nil, err
	}
	l := &lab{settings: s, dir: dir, loadAtStart: loadAverage()}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close(context.WithoutCancel(ctx)))
		}
	}()
	l.cluster, err = cluster.Start(ctx, cluster.Options{Dir: filepath.Join(dir, "cluster"), Log: os.Stderr})
	if err != nil {
		return nil, err
	}
	if err := cluster.Install(ctx, l.cluster); err != nil {
		return nil, err
	}
	if l.admin, err = client.New(l.cluster.Config(), client.Options{Scheme: controllers.Scheme()}); err != nil {
		return nil, err
	}
	if err := l.runManagerOnce(ctx); err != nil {
		return nil, err
	}
	if slices.Contains(s.only, partMemory) {
		if err := l.measureEmptyHeap(ctx); err != nil {
			return nil, err
		}
	}
	return l, l.stopManager(ctx)
}

// runManagerOnce creates the issuer's signing keys, and the access to the
// manager's metrics.
func (l *lab) runManagerOnce(ctx context.Context) (err error) {
	var flags []string
	if l.settings.workers > 0 {
		flags = append(flags, fmt.Sprintf("--workers=%d", l.settings.workers))
	}
	if l.manager, err = cluster.RunManager(ctx, l.cluster, flags...); err != nil {
		return err
	}
	if err := cluster.EnsureIssuer(ctx, l.cluster, cluster.DefaultIssuer); err != nil {
		return err
	}
	// Written by cluster.RunManager.
	l.asManager, err = clientcmd.BuildConfigFromFlags("", filepath.Join(l.cluster.Dir(), "manager.kubeconfig"))
	if err != nil {
		return err
	}
	l.asManager = unthrottled.Config(l.asManager)
	if l.apiserver, err = apiServerMetrics(l.cluster.Config()); err != nil {
		return err
	}
	l.metrics, err = l.managerMetrics(ctx)
	return err
}

func (l *lab) close(ctx context.Context) error {
	if l.cluster == nil {
		return os.RemoveAll(l.dir)
	}
	if err := l.cluster.Stop(ctx); err != nil {
		return fmt.Errorf("%w\nthe remaining files are in %s", err, l.dir)
	}
	return os.RemoveAll(l.dir)
}

// startManager starts the manager and returns when it is ready (/readyz).
func (l *lab) startManager(ctx context.Context) error { return l.manager.Start(ctx) }

// stopManager stops the manager gracefully, so that it releases its lease.
func (l *lab) stopManager(ctx context.Context) error { return l.manager.Stop(ctx) }

// restartManager restarts the manager with empty caches, counters at zero and no garbage.
func (l *lab) restartManager(ctx context.Context) error {
	if err := l.stopManager(ctx); err != nil {
		return err
	}
	return l.startManager(ctx)
}

// awaitRest waits until the manager has reconciled every key and its work queue is empty. It
// queries rarely if the queries would disturb the measurement.
func (l *lab) awaitRest(ctx context.Context, keys int, every time.Duration) error {
	const within = 10 * time.Minute
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("the manager was not at rest after %s; its log is %s", within, l.manager.LogPath()))
	defer cancel()
	for {
		seen, err := l.metrics.read(ctx)
		if err == nil && seen.atRest(keys) {
			return nil
		}
		if !l.manager.Running() {
			return fmt.Errorf("the manager has ended; its log is %s", l.manager.LogPath())
		}
		if stopped := pause(ctx, every); stopped != nil {
			return errors.Join(stopped, err)
		}
	}
}

// pause waits for a time, or until ctx is done.
func pause(ctx context.Context, duration time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(duration):
		return nil
	}
}

// atRest reports whether every key was reconciled, and none is queued or in work.
func (s samples) atRest(keys int) bool {
	return s.sum("controller_runtime_reconcile_total", "controller", keyController) >= float64(keys) &&
		s.sum("workqueue_depth", "name", keyController) == 0 &&
		s.sum("controller_runtime_active_workers", "controller", keyController) == 0
}

const keyController = "jwtrefreshkey"
