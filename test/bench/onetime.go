package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

const (
	// oneTimeAtLeast is the share of bare status updates a second.
	oneTimeAtLeast = 0.8
	// generations are exchanged of each key, after the first.
	generations = 4
)

func oneTimeUse(key *v1alpha1.JWTRefreshKey) {
	key.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
}

// measureOneTime compares one-time exchanges with bare compare-and-swap updates of as large
// a status, in turns, while both replicas watch.
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
	limit := (before + after) / 2
	r.add(&figure{
		what: "one-time exchanges a second", measured: fmt.Sprintf("%.0f/s", exchanged), limit: fmt.Sprintf("%.0f/s", limit),
		ratio: fmt.Sprintf("%.2f", exchanged/limit), target: fmt.Sprintf("at least %.2f", oneTimeAtLeast), met: exchanged/limit >= oneTimeAtLeast,
		note: fmt.Sprintf("%d exchanges each of %d keys from the second generation on, by %d clients at two replicas in turn; "+
			"the raw client as many updates by as many workers, %.0f/s before and %.0f/s after; both replicas watch throughout",
			generations, s.settings.oneTimeKeys, connections, before, after),
	})
	return s.stop(ctx)
}

// exchangeOnce returns the one-time exchanges a second. All keys come by turns, as those of
// devices do, and each goes to the other replica the next time.
func (s *service) exchangeOnce(ctx context.Context, name string) (float64, error) {
	b := batch{name: name, keys: s.settings.oneTimeKeys}
	keys, err := s.issue(ctx, b, oneTimeUse)
	if err != nil {
		return 0, err
	}
	clients := make([]chan *connection, replicaCount)
	for replica := range clients {
		clients[replica] = make(chan *connection, connections)
		address, err := s.address(replica)
		if err != nil {
			return 0, err
		}
		for range connections {
			c, err := dial(ctx, address)
			if err != nil {
				return 0, err
			}
			defer func() { _ = c.Close() }()
			clients[replica] <- c
		}
	}
	generation := func(number int) error {
		return b.each(ctx, connections, func(_ context.Context, i int) error {
			free := clients[(i+number)%replicaCount]
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
	if err := generation(1); err != nil {
		return 0, err
	}
	began := time.Now()
	for number := range generations {
		if err := generation(number + 2); err != nil {
			return 0, err
		}
	}
	return s.oneTimeRate(began), nil
}

func (s *service) oneTimeRate(began time.Time) float64 {
	return float64(generations*s.settings.oneTimeKeys) / time.Since(began).Seconds()
}

// updateRaw returns the updates a second of a client that knows beforehand what to write.
func (s *service) updateRaw(ctx context.Context, name string) (float64, error) {
	b := batch{name: name, keys: s.settings.oneTimeKeys}
	keys, err := s.issue(ctx, b, oneTimeUse)
	if err != nil {
		return 0, err
	}
	writer, err := client.New(s.asService, client.Options{Scheme: controllers.Scheme()})
	if err != nil {
		return 0, err
	}
	generation := func(number int64) error {
		for i := range keys {
			if err := s.advance(&keys[i]); err != nil {
				return err
			}
			keys[i].Status.LastUsed, keys[i].Status.LastUsedRevision = &metav1.Time{Time: time.Now()}, number
		}
		return nil
	}
	update := func(ctx context.Context, i int) error { return writer.Status().Update(ctx, keys[i].JWTRefreshKey) }
	var took time.Duration
	for number := range generations + 1 {
		if err := generation(int64(number + 1)); err != nil {
			return 0, err
		}
		began := time.Now()
		if err := b.each(ctx, connections, update); err != nil {
			return 0, err
		}
		if number > 0 {
			took += time.Since(began)
		}
	}
	return float64(generations*len(keys)) / took.Seconds(), nil
}
