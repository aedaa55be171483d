// Command bench measures the operator beside the limits of the machine that it runs on: on a
// real etcd and kube-apiserver, with the manager as a process and a ServiceAccount of its own.
// It prints a table, and keeps the one of a full run in docs/performance.md.
//
//	go run ./test/bench                            # everything, about ten minutes
//	go run ./test/bench -keys 500 -only issue      # a small trial of one part
//	go run ./test/bench -keys 2000 -profile /tmp/p # where the manager spends time and memory
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/refreshkeys/refreshkeys/hack/cluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// The numbers of keys that the targets speak of. A run with fewer is a trial.
const (
	fullKeys         = 5000
	fullMemoryKeys   = 20000
	fullRotationKeys = 500
)

type settings struct {
	keys         int
	memoryKeys   int
	rotationKeys int
	only         []string
	workers      int
	profile      string
	document     string
}

// parts are measured in this order: each leaves the keys behind that the next needs.
var parts = []struct {
	name    string
	measure func(context.Context, *lab, *report) error
}{
	{"issue", measureIssue},
	{"rotate", measureRotation},
	{"restart", measureRestart},
	{"memory", measureMemory},
	{"reconcile", measureReconcile},
}

func parseSettings(args []string) (*settings, error) {
	s := &settings{}
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.IntVar(&s.keys, "keys", fullKeys, "keys to issue, and to restart with")
	set.IntVar(&s.memoryKeys, "memory-keys", fullMemoryKeys, "keys at rest when memory is measured")
	set.IntVar(&s.rotationKeys, "rotation-keys", fullRotationKeys, "keys to rotate")
	set.IntVar(&s.workers, "workers", 0, "workers of the manager; 0 for its own default")
	only := set.String("only", "", "parts to measure, separated by commas: "+strings.Join(partNames(), ", ")+"; all when empty")
	set.StringVar(&s.profile, "profile", "", "measure nothing, but run the manager inside this process and write its profiles into this folder")
	set.StringVar(&s.document, "document", filepath.Join("docs", "performance.md"), "where the table of a full run is kept, seen from the root of the repository")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	s.only = partNames()
	if *only != "" {
		s.only = strings.Split(*only, ",")
	}
	for _, name := range s.only {
		if !slices.Contains(partNames(), name) {
			return nil, fmt.Errorf("-only %s: the parts are %s", name, strings.Join(partNames(), ", "))
		}
	}
	return s, nil
}

func partNames() []string {
	names := make([]string, 0, len(parts))
	for _, part := range parts {
		names = append(names, part.name)
	}
	return names
}

// full tells whether all is measured at the size that the targets speak of.
func (s *settings) full() bool {
	return s.keys == fullKeys && s.memoryKeys == fullMemoryKeys && s.rotationKeys == fullRotationKeys &&
		s.workers == 0 && len(s.only) == len(parts)
}

func run(ctx context.Context, args []string) (err error) {
	s, err := parseSettings(args)
	if err != nil {
		return err
	}
	root, err := cluster.RepositoryRoot()
	if err != nil {
		return err
	}
	ctrl.SetLogger(logr.Discard())
	l, err := openLab(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close(context.WithoutCancel(ctx))) }()
	if s.profile != "" {
		return profile(ctx, l, s.profile)
	}
	r := &report{}
	for _, part := range parts {
		if !slices.Contains(s.only, part.name) {
			continue
		}
		progress("--- %s", part.name)
		if err := part.measure(ctx, l, r); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	r.machine = describeMachine(l)
	fmt.Print("\n", r.text())
	if !s.full() {
		return nil
	}
	return r.keep(filepath.Join(root, s.document))
}

// progress tells what goes on, beside the table.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
