package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

func down(ctx context.Context, at place, keep bool) error {
	c, err := cluster.Load(at.dir)
	if errors.Is(err, cluster.ErrNoCluster) {
		fmt.Println("no cluster runs here")
		return nil
	}
	if err != nil {
		return err
	}
	c.Log = os.Stdout
	if err := c.Stop(ctx); err != nil {
		return fmt.Errorf("%w\nrun make down again to retry", err)
	}
	if keep {
		fmt.Printf("the data is kept in %s: make up continues with it\n", at.shown(at.dir))
		return nil
	}
	return os.RemoveAll(at.dir)
}
