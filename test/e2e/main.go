package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/refreshkeys/refreshkeys/hack/isolation"
	"github.com/refreshkeys/refreshkeys/hack/node"
)

func main() {
	isolation.Hook()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "inside" {
		n, err := node.Start(ctx, node.Options{Dir: os.Args[2], Binaries: os.Args[3], Log: os.Stdout})
		fmt.Println(err)
		if os.Getenv("HOLD") != "" {
			fmt.Println(os.Getpid())
			<-ctx.Done()
		}
		if n != nil && n.Cluster != nil {
			fmt.Println(n.Cluster.Stop(context.Background()))
		}
		return
	}
	dir, _ := os.MkdirTemp("", "refreshkeys-e2e-")
	err := isolation.Run(ctx, isolation.Options{Dir: dir, Args: []string{"inside", dir, os.Args[1]}, Stdout: os.Stdout, Stderr: os.Stderr})
	fmt.Println(err)
}
