package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/grant"
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

const (
	usedKeys     = 1000
	usedReplicas = 3
	usedFor      = 10 * time.Minute
	// useWritesAtMost is the limit for the writes of all uses, per key.
	useWritesAtMost = 1.1
	// usedDevice is the User-Agent of a request, as long as a browser's.
	usedDevice = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)

// measureUses counts the status writes that ten minutes of exchanges cause. The replicas are
// in this process, so that the minutes are simulated, and are called without HTTP, so that a
// million exchanges complete in time; everything else is real, including the watches.
func measureUses(ctx context.Context, s *service, r *report) error {
	keys, err := s.issue(ctx, batch{name: "used", keys: min(usedKeys, s.settings.serviceKeys)}, asTheyCome)
	if err != nil {
		return err
	}
	now := clocktesting.NewFakePassiveClock(time.Now())
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var running errgroup.Group
	replicas := make([]*localReplica, usedReplicas)
	for i := range replicas {
		if replicas[i], err = newLocalReplica(s.asService, s.issuerURL, now); err != nil {
			return err
		}
		running.Go(func() error { return replicas[i].Run(ctx) })
		if err := replicas[i].ready(ctx); err != nil {
			return err
		}
	}
	before, err := s.countWrites(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := useThrough(ctx, replicas, keys, now, s.settings.uses); err != nil {
		return err
	}
	took := time.Since(began)
	after, err := s.countWrites(ctx)
	if err != nil {
		return err
	}
	recorded, err := s.countUsed(ctx, batch{name: "used", keys: len(keys)})
	if err != nil {
		return err
	}
	writes, limit := after.since(before).statuses, useWritesAtMost*float64(len(keys))
	r.add(&figure{
		what: fmt.Sprintf("status writes of %d exchanges of %d keys", s.settings.uses, len(keys)), measured: fmt.Sprintf("%.0f", writes),
		limit: fmt.Sprintf("%.0f", limit), ratio: fmt.Sprintf("%.2f", writes/limit), target: fmt.Sprintf("at most %.0f", limit),
		met: writes <= limit && recorded == len(keys),
		note: fmt.Sprintf("at %d replicas in ten simulated minutes, which took %.0f s; of %d keys status shows a use",
			usedReplicas, took.Seconds(), recorded),
	})
	stop()
	return running.Wait()
}

// countUsed returns the number of keys of a batch with a recorded use.
func (s *service) countUsed(ctx context.Context, b batch) (int, error) {
	keys, err := s.list(ctx, b)
	used := 0
	for i := range keys {
		if keys[i].Status.LastUsed != nil {
			used++
		}
	}
	return used, err
}

// useThrough exchanges the tokens of all keys at all replicas, evenly over a simulated time that
// advances by one second at a time; after each second, the replicas record due uses.
func useThrough(ctx context.Context, replicas []*localReplica, keys []issuedKey, now *clocktesting.FakePassiveClock, uses int) error {
	seconds := int(usedFor / time.Second)
	for second := range seconds {
		now.SetTime(now.Now().Add(time.Second))
		from, to := uses*second/seconds, uses*(second+1)/seconds
		var group errgroup.Group
		for i, replica := range replicas {
			group.Go(func() error {
				// Each replica uses all keys in turn, with a start of its own.
				begin := i * len(keys) / len(replicas)
				for n := from + i; n < to; n += len(replicas) {
					if err := replica.exchange(ctx, keys[(begin+n/len(replicas))%len(keys)].token); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		// In production, the reports are spread over a second. Report one after another, so that each replica reads what the
		// previous one wrote.
		for _, replica := range replicas {
			replica.ReportUses(ctx)
		}
	}
	return nil
}

// localReplica is a replica of the token service without HTTP.
type localReplica struct {
	*registry.Cluster
	grants *grant.Service
	url    string
}

func newLocalReplica(config *rest.Config, url string, now clock.PassiveClock) (*localReplica, error) {
	known, err := registry.New(config, registry.Options{Namespace: operatorNamespace, Clock: now})
	if err != nil {
		return nil, err
	}
	grants, err := grant.New(grant.Options{Registry: known, Clock: now, NewID: func() string { return uuid.Must(uuid.NewV7()).String() }})
	return &localReplica{Cluster: known, grants: grants, url: url}, err
}

// ready waits until the replica's caches have synced.
func (r *localReplica) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("a replica's caches did not sync"))
	defer cancel()
	for r.Fresh() != nil {
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (r *localReplica) exchange(ctx context.Context, token string) error {
	place := r.At("", "localhost")
	issuer := place.Owner()
	if issuer == nil {
		return errors.New("the issuer is unknown")
	}
	request := &grant.RefreshRequest{Token: token, Seen: v1alpha1.SeenDevice{UserAgent: usedDevice, Browser: "Chrome 140.0.0.0", OS: "Linux x86_64"}}
	_, err := r.grants.Token(ctx, issuer, request, &grant.Outcome{})
	return err
}
