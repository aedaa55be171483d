package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// insideArguments are the paths that the isolated program needs.
type insideArguments struct{ dir, found, node, images, client, helm string }

// inside is the whole run, in isolation.
func inside(ctx context.Context, args []string) error {
	a := insideArguments{args[0], args[1], args[2], args[3], args[4], args[5]}
	began := time.Now()
	s, err := startHarness(ctx, a)
	if err == nil {
		err = s.play(ctx)
	}
	if err != nil {
		err = errors.Join(err, s.gather(context.WithoutCancel(ctx), a.found))
	}
	if len(s.rows) > 0 {
		table := summary(s.rows)
		fmt.Printf("\n%s\nin all %s\n", table, seconds(time.Since(began)))
	}
	if s.node != nil && s.node.Cluster != nil {
		err = errors.Join(err, s.node.Cluster.Stop(context.WithoutCancel(ctx)))
	}
	return err
}
