// Command bench measures the operator and the token service against the limits of the machine
// on which they run: with a real etcd and kube-apiserver, each as a process with a ServiceAccount
// of its own. It prints a table, and writes measurements at full size to docs/performance.md.
//
//	go run ./test/bench                            # everything, about half an hour
//	go run ./test/bench -only service              # the token service's parts
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
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
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

// The sizes to which the targets apply. A smaller run is a trial.
var fullSize = settings{
	keys: 5000, memoryKeys: 20000, rotationKeys: 500,
	serviceKeys: 5000, serviceMemoryKeys: 50000, exchanges: 60000, rateFor: 5 * time.Second, oneTimeKeys: 500, rounds: 200, uses: 1000000, logins: 210,
}

type settings struct {
	keys, memoryKeys, rotationKeys int
	workers                        int

	serviceKeys, serviceMemoryKeys int
	exchanges                      int
	rateFor                        time.Duration
	oneTimeKeys, rounds, uses      int
	logins                         int

	only     []string
	profile  string
	document string
}

func parseSettings(args []string) (*settings, error) {
	s := &settings{}
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.IntVar(&s.keys, "keys", fullSize.keys, "keys to issue, and to restart with")
	set.IntVar(&s.memoryKeys, "memory-keys", fullSize.memoryKeys, "keys at rest when the manager's memory is measured")
	set.IntVar(&s.rotationKeys, "rotation-keys", fullSize.rotationKeys, "keys to rotate")
	set.IntVar(&s.workers, "workers", 0, "workers of the manager; 0 for its own default")
	set.IntVar(&s.serviceKeys, "service-keys", fullSize.serviceKeys, "keys whose tokens are exchanged")
	set.IntVar(&s.serviceMemoryKeys, "service-memory-keys", fullSize.serviceMemoryKeys, "keys when the token service's memory is measured")
	set.IntVar(&s.exchanges, "exchanges", fullSize.exchanges, "exchanges whose processor time is measured")
	set.DurationVar(&s.rateFor, "rate-for", fullSize.rateFor, "how long each turn at the highest rate lasts")
	set.IntVar(&s.oneTimeKeys, "one-time-keys", fullSize.oneTimeKeys, "keys of which one-time tokens are exchanged")
	set.IntVar(&s.rounds, "rounds", fullSize.rounds, "keys to revoke")
	set.IntVar(&s.uses, "uses", fullSize.uses, "exchanges whose status writes are counted")
	set.IntVar(&s.logins, "logins", fullSize.logins, "logins with a browser whose processor time is measured")
	only := set.String("only", "", "parts to measure, separated by commas: "+strings.Join(partNames(), ", ")+
		"; all when empty. "+strings.Join(groupNames(), " and ")+" stand for all theirs")
	set.StringVar(&s.profile, "profile", "", "measure nothing, but run the manager (or with -only exchange-cpu the exchange) inside this process and write its profiles into this folder")
	set.StringVar(&s.document, "document", filepath.Join("docs", "performance.md"), "where figures of full size are kept, seen from the root of the repository")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	var err error
	s.only, err = chosenParts(*only)
	return s, err
}

// full reports whether the run has the size to which the targets apply.
func (s *settings) full() bool {
	sizes := *s
	sizes.only, sizes.profile, sizes.document = nil, "", ""
	return cmp.Equal(sizes, fullSize, cmp.AllowUnexported(settings{}))
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
	if s.profile != "" {
		return profile(ctx, s)
	}
	all := &report{}
	// Also print the measurements before a failure.
	defer func() { fmt.Print("\n", all.text()) }()
	for _, g := range groups {
		r := &report{}
		err := g.measure(ctx, s, r)
		all.join(r)
		if err == nil && s.full() {
			err = r.keep(filepath.Join(root, s.document), g.name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// progress prints what is running, apart from the table.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
