package main

import (
	"context"
	"fmt"
	"slices"
)

// exchangeAtMost is the limit for the cost of an exchange, as a multiple of the floor's cost.
const exchangeAtMost = 1.5

// turns is the number of alternating measurements of the floor and the token service.
const turns = 15

// measureExchangeCPU compares the processor time of an exchange with that of the floor: for a
// token that was used before, and for one that was not.
func measureExchangeCPU(ctx context.Context, s *service, r *report) error {
	keys, err := s.exchangedKeys(ctx)
	if err != nil {
		return err
	}
	unseen, err := s.unseen(keys, s.settings.exchanges)
	if err != nil {
		return err
	}
	return s.onOneCore(ctx, s.recordExchange, func(pair *pair) error { return s.compareCPU(ctx, pair, keys, unseen, r) })
}

func (s *service) compareCPU(ctx context.Context, pair *pair, keys []issuedKey, unseen map[string][][]byte, r *report) error {
	seen := requestsOf(keys)
	// Use every token once, and the floor as often.
	for _, server := range []*served{pair.floor, pair.service} {
		if err := send(ctx, server.address, 0, int64(len(keys)), cycle(seen[server.kind])); err != nil {
			return err
		}
	}
	cost, err := pair.cost(ctx, s.settings.exchanges, func(kind string) requests { return cycle(seen[kind]) })
	if err != nil {
		return err
	}
	r.add(cost.figure("processor time of an exchange, token seen before", fmt.Sprintf("%d exchanges of %d keys", s.settings.exchanges, len(keys))))
	cost, err = pair.cost(ctx, s.settings.exchanges, func(kind string) requests { return cycle(unseen[kind]) })
	if err != nil {
		return err
	}
	r.add(cost.figure("processor time of an exchange, first sight of the token", fmt.Sprintf("%d tokens; the reference server verifies one signature as well", s.settings.exchanges)))
	return nil
}

// The kinds of server; their requests differ in the path.
const (
	kindFloor   = "floor"
	kindService = "service"
)

// requestsOf returns exchanges of the current tokens.
func requestsOf(keys []issuedKey) map[string][][]byte {
	all := make([][]byte, len(keys))
	for i := range keys {
		all[i] = refreshRequest("/token", keys[i].token)
	}
	return map[string][][]byte{kindFloor: all, kindService: all}
}

// unseen returns exchanges of tokens that are all different.
func (s *service) unseen(keys []issuedKey, count int) (map[string][][]byte, error) {
	all := map[string][][]byte{}
	for i := range count {
		token, err := s.variant(&keys[i%len(keys)], 1+i/len(keys))
		if err != nil {
			return nil, err
		}
		all[kindFloor] = append(all[kindFloor], refreshRequest("/first", token))
		all[kindService] = append(all[kindService], refreshRequest("/token", token))
	}
	return all, nil
}

// served is a server under load.
type served struct {
	kind, address string
	pid           int
}

// pair is the floor and a replica of the token service on the same core.
type pair struct{ floor, service *served }

func (s *service) pair(floor int) (*pair, error) {
	bare, err := s.addressOf("floor")
	if err != nil {
		return nil, err
	}
	address, err := s.address(0)
	return &pair{floor: &served{kindFloor, bare, floor}, service: &served{kindService, address, s.replicas[0].Pid()}}, err
}

// cost is the processor time of one request to each, in seconds, and the ratios of the service to the floor in the turns, sorted.
type cost struct {
	floor, service float64
	ratios         []float64
}

// cost sends the same number of requests to each, in turns, since the machine's speed varies
// over time.
func (p *pair) cost(ctx context.Context, count int, of func(kind string) requests) (*cost, error) {
	return p.turns(turns, int64(count)/turns, func(server *served, from, count int64) error {
		return send(ctx, server.address, from, count, of(server.kind))
	})
}

// turns does the same number of things at each server, in turns. do gets the number of the first thing and how many.
func (p *pair) turns(turns, each int64, do func(server *served, from, count int64) error) (*cost, error) {
	c := &cost{}
	for turn := range turns {
		var took [2]float64
		for i, server := range []*served{p.floor, p.service} {
			before, err := processorSeconds(server.pid)
			if err != nil {
				return nil, err
			}
			if err := do(server, turn*each, each); err != nil {
				return nil, fmt.Errorf("%s: %w", server.kind, err)
			}
			after, err := processorSeconds(server.pid)
			if err != nil {
				return nil, err
			}
			took[i] = (after - before) / float64(each)
		}
		c.floor, c.service = c.floor+took[0]/float64(turns), c.service+took[1]/float64(turns)
		c.ratios = append(c.ratios, took[1]/took[0])
	}
	slices.Sort(c.ratios)
	return c, nil
}

// spread describes the ratios of the turns.
func (c *cost) spread() string {
	return fmt.Sprintf("in %d turns the ratio was between %.2f and %.2f, with a median of %.2f",
		len(c.ratios), c.ratios[0], c.ratios[len(c.ratios)-1], c.ratios[len(c.ratios)/2])
}

func (c *cost) figure(what, note string) *figure {
	inMicroseconds := func(seconds float64) string { return fmt.Sprintf("%.0f µs", seconds*1e6) }
	ratio := c.service / c.floor
	return &figure{
		what: what, measured: inMicroseconds(c.service), limit: inMicroseconds(c.floor), ratio: fmt.Sprintf("%.2f", ratio),
		target: fmt.Sprintf("at most %.2f", exchangeAtMost), met: ratio <= exchangeAtMost,
		note: fmt.Sprintf("%s over %d connections; %s", note, connections, c.spread()),
	}
}
