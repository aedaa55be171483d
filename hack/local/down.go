package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/refreshkeys/refreshkeys/hack/cluster"
)

func down(ctx context.Context, at place, keep bool) error {
	c, err := cluster.Load(at.dir)
	if errors.Is(err, cluster.ErrNoCluster) {
		fmt.Println("nothing runs here")
		return nil
	}
	if err != nil {
		return err
	}
	c.Log = os.Stdout
	if err := c.Stop(ctx); err != nil {
		return fmt.Errorf("%w\nmake down again tries once more", err)
	}
	if keep {
		fmt.Printf("kept in %s: make up goes on from there\n", at.shown(at.dir))
		return nil
	}
	return os.RemoveAll(at.dir)
}
