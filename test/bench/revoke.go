package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// refusedWithin is the limit for the time until the last replica observes a revocation.
const refusedWithin = 250 * time.Millisecond

// measureRevoke revokes keys with spec.revoked, and queries both replicas until they refuse.
func measureRevoke(ctx context.Context, s *service, r *report) error {
	keys, err := s.issue(ctx, batch{name: "revoked", keys: s.settings.rounds}, asTheyCome)
	if err != nil {
		return err
	}
	if err := s.start(ctx, replicaCount); err != nil {
		return err
	}
	clients := make([]*connection, replicaCount)
	for i := range clients {
		address, err := s.address(i)
		if err != nil {
			return err
		}
		if clients[i], err = dial(ctx, address); err != nil {
			return err
		}
		defer func() { _ = clients[i].Close() }()
	}
	delays := make([]time.Duration, 0, len(keys))
	for i := range keys {
		delay, err := s.revoke(ctx, &keys[i], clients)
		if err != nil {
			return err
		}
		delays = append(delays, delay)
	}
	slices.Sort(delays)
	p99 := percentile(delays, 0.99)
	r.add(&figure{
		what: "from revocation until the last of two replicas refuses, p99", measured: milliseconds(p99), limit: milliseconds(refusedWithin),
		ratio:  fmt.Sprintf("%.2f", float64(p99)/float64(refusedWithin)),
		target: "under " + milliseconds(refusedWithin), met: p99 < refusedWithin,
		note: fmt.Sprintf("%d rounds, from the API server's answer to spec.revoked: true; median %s, longest %s",
			len(delays), milliseconds(percentile(delays, 0.5)), milliseconds(delays[len(delays)-1])),
	})
	return s.stop(ctx)
}

// revoke returns how long after the API server's answer the last replica refused.
func (s *service) revoke(ctx context.Context, key *issuedKey, clients []*connection) (time.Duration, error) {
	request := refreshRequest("/token", key.token)
	for _, c := range clients {
		if _, err := c.must(request); err != nil {
			return 0, err
		}
	}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"revoked":true}}`))
	if err := s.admin.Patch(ctx, key.JWTRefreshKey, patch); err != nil {
		return 0, err
	}
	answered := time.Now()
	delays := make([]time.Duration, len(clients))
	var group errgroup.Group
	for i, c := range clients {
		group.Go(func() error {
			for ctx.Err() == nil {
				status, body, err := c.post(request)
				if err != nil {
					return err
				}
				if refused(status) {
					delays[i] = time.Since(answered)
					return nil
				}
				if status != http.StatusOK {
					return fmt.Errorf("answered %d: %s", status, body)
				}
				time.Sleep(time.Millisecond)
			}
			return ctx.Err()
		})
	}
	err := group.Wait()
	return slices.Max(delays), err
}

// refused reports whether an exchange was permanently refused.
func refused(status int) bool { return status == http.StatusBadRequest }
