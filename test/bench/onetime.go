package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

const (
	// oneTimeAtLeast is the required share of the rate of bare status updates.
	oneTimeAtLeast = 0.8
	// generations is the number of exchanges of each key after the first.
	generations = 4
)

// oneTimeUse sets a key's mode to OneTimeUse. Without a grace, every exchange is a write; with one, a line is
// written at most once per grace, however often its tokens are exchanged.
func oneTimeUse(key *v1alpha1.JWTRefreshKey) {
	key.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse, RetryGrace: &metav1.Duration{}}
}

// measureOneTime compares one-time exchanges with bare compare-and-swap updates of an equally large
// status, in turns, while both replicas watch.
func measureOneTime(ctx context.Context, s *service, r *report) error {
	if err := s.start(ctx, replicaCount); err != nil {
		return err
	}
	before, err := s.updateRaw(ctx, "rawonetimea")
	if err != nil {
		return err
	}
	exchanged, err := s.exchangeOnce(ctx, "onetime")
	if err != nil {
		return err
	}
	after, err := s.updateRaw(ctx, "rawonetimeb")
	if err != nil {
		return err
	}
	limit, rate := (before.rate+after.rate)/2, exchanged.rate
	r.add(&figure{
		what: "one-time exchanges a second", measured: fmt.Sprintf("%.0f/s", rate), limit: fmt.Sprintf("%.0f/s", limit),
		ratio: fmt.Sprintf("%.2f", rate/limit), target: fmt.Sprintf("at least %.2f", oneTimeAtLeast), met: rate/limit >= oneTimeAtLeast,
		note: fmt.Sprintf("%d exchanges each of %d keys from the second generation on, by %d clients at two replicas in turn; "+
			"the raw client as many updates by as many workers, %.0f/s before and %.0f/s after; both replicas watch throughout; "+
			"processor time each: %s with the replicas, %s and %s with the raw client (and the replicas as watchers)",
			generations, s.settings.oneTimeKeys, connections, before.rate, after.rate, s.perWrite(exchanged), s.perWrite(before), s.perWrite(after)),
	})
	return s.stop(ctx)
}

// oneTimeRun is the measurement of one run.
type oneTimeRun struct {
	// rate is in writes a second.
	rate float64
	used processorTime
}

func (s *service) perWrite(run *oneTimeRun) string {
	return run.used.perKey(generations * s.settings.oneTimeKeys)
}

// timed measures all generations except the first: a key's first exchange
// differs from later ones. It does not measure prepare between them.
func (s *service) timed(generation func(number int64) error, prepare func(number int64) error) (*oneTimeRun, error) {
	run := &oneTimeRun{}
	var took time.Duration
	for number := range int64(generations + 1) {
		if err := prepare(number + 1); err != nil {
			return nil, err
		}
		usedBefore, err := s.watchersTime()
		if err != nil {
			return nil, err
		}
		began := time.Now()
		if err := generation(number + 1); err != nil {
			return nil, err
		}
		length := time.Since(began)
		usedAfter, err := s.watchersTime()
		if err != nil {
			return nil, err
		}
		if number == 0 {
			continue
		}
		took += length
		run.used = run.used.plus(usedAfter.since(usedBefore))
	}
	run.rate = float64(generations*s.settings.oneTimeKeys) / took.Seconds()
	return run, nil
}

// watchersTime returns the processor time of the replicas and of this process, the client.
func (s *service) watchersTime() (processorTime, error) {
	sum, err := s.processorTime(os.Getpid())
	for _, replica := range s.replicas {
		used, failed := processorSeconds(replica.Pid())
		sum.client, err = sum.client+used, errors.Join(err, failed)
	}
	return sum, err
}

// exchangeOnce makes the one-time exchanges. It uses the keys in turn, like those of
// devices, and alternates the replica for each key.
func (s *service) exchangeOnce(ctx context.Context, name string) (*oneTimeRun, error) {
	b := batch{name: name, keys: s.settings.oneTimeKeys}
	keys, err := s.issue(ctx, b, oneTimeUse)
	if err != nil {
		return nil, err
	}
	clients := make([]chan *connection, replicaCount)
	for replica := range clients {
		clients[replica] = make(chan *connection, connections)
		address, err := s.address(replica)
		if err != nil {
			return nil, err
		}
		for range connections {
			c, err := dial(ctx, address)
			if err != nil {
				return nil, err
			}
			defer func() { _ = c.Close() }()
			clients[replica] <- c
		}
	}
	generation := func(number int64) error {
		return b.each(ctx, connections, func(_ context.Context, i int) error {
			free := clients[(int64(i)+number)%replicaCount]
			c := <-free
			defer func() { free <- c }()
			var answer oauth.TokenAnswer
			body, err := c.must(refreshRequest("/token", keys[i].token))
			if err != nil {
				return err
			}
			if err := json.Unmarshal(body, &answer); err != nil {
				return err
			}
			keys[i].token = answer.RefreshToken
			return nil
		})
	}
	return s.timed(generation, func(int64) error { return nil })
}

// updateRaw makes the same number of updates with a client that has computed them in advance.
func (s *service) updateRaw(ctx context.Context, name string) (*oneTimeRun, error) {
	b := batch{name: name, keys: s.settings.oneTimeKeys}
	keys, err := s.issue(ctx, b, oneTimeUse)
	if err != nil {
		return nil, err
	}
	writer, err := client.New(s.asService, client.Options{Scheme: controllers.Scheme()})
	if err != nil {
		return nil, err
	}
	prepare := func(number int64) error {
		for i := range keys {
			if err := s.advance(&keys[i]); err != nil {
				return err
			}
			keys[i].Status.LastUsed, keys[i].Status.LastUsedRevision = &metav1.Time{Time: time.Now()}, number
		}
		return nil
	}
	update := func(ctx context.Context, i int) error { return writer.Status().Update(ctx, keys[i].JWTRefreshKey) }
	return s.timed(func(int64) error { return b.each(ctx, connections, update) }, prepare)
}
