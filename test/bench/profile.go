package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/refreshkeys/refreshkeys/controllers"
)

// profile writes profiles: of the exchange if that part is selected,
// and otherwise of the manager.
func profile(ctx context.Context, s *settings) (err error) {
	if err := os.MkdirAll(s.profile, 0o750); err != nil {
		return err
	}
	l, err := openLab(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close(context.WithoutCancel(ctx))) }()
	if slices.Equal(s.only, []string{partExchange}) {
		return profileExchange(ctx, l, s.profile)
	}
	return profileManager(ctx, l, s.profile)
}

// profileManager runs the manager inside this process, since it has no endpoint for profilers, and
// writes its profiles while it issues keys (cpu.pprof, alloc.pprof), and the heap that a
// manager holds over the same keys at rest (heap.pprof).
func profileManager(ctx context.Context, l *lab, dir string) error {
	b := batch{name: "profiled", keys: l.settings.keys}
	if err := l.create(ctx, b); err != nil {
		return err
	}
	began := time.Now()
	if err := profileCPU(filepath.Join(dir, "cpu.pprof"), func() error { return l.manageHere(ctx, b) }); err != nil {
		return err
	}
	fmt.Printf("%d keys issued in %.1fs from the start\n", b.keys, time.Since(began).Seconds())
	if err := writeHeapProfile(filepath.Join(dir, "alloc.pprof")); err != nil {
		return err
	}
	// The memory of the issuing manager is garbage from here on; the next manager holds only its caches,
	// and the heap profile must show all of it.
	runtime.MemProfileRate = 1 << 10
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended, err := l.startHere(ctx)
	if err != nil {
		return err
	}
	if err := pause(ctx, 10*time.Second); err != nil {
		return err
	}
	err = writeHeapProfile(filepath.Join(dir, "heap.pprof"))
	stop()
	return errors.Join(err, <-ended)
}

func profileCPU(path string, do func() error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	err = do()
	pprof.StopCPUProfile()
	return errors.Join(err, file.Close())
}

// manageHere runs a manager until all keys of the batch are Ready. It queries rarely, since the
// queries are in the profile too.
func (l *lab) manageHere(ctx context.Context, b batch) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended, err := l.startHere(ctx)
	if err != nil {
		return err
	}
	for {
		_, err := l.listIssued(ctx, b)
		if err == nil {
			break
		}
		select {
		case err := <-ended:
			return err
		case <-time.After(10 * time.Second):
		}
	}
	stop()
	return <-ended
}

func (l *lab) startHere(ctx context.Context) (<-chan error, error) {
	base := ctrl.Options{Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"}}
	own := controllers.Options{Namespace: operatorNamespace, Workers: l.settings.workers, SeveralInProcess: true}
	manager, err := controllers.NewManager(l.asManager, base, own)
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	return ended, nil
}

func writeHeapProfile(path string) error {
	for range 3 {
		runtime.GC()
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("heap").WriteTo(file, 0), file.Close())
}
