// Command kubectl-refreshkey is the kubectl plugin `kubectl refreshkey`.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/pkg/browser"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // kubectl's authentication plugins
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
	"github.com/refreshkeys/refreshkeys/internal/plugin/commands"
	"github.com/refreshkeys/refreshkeys/internal/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// What a browser prints is not output of the plugin.
	browser.Stdout = os.Stderr
	// Clients of controller-runtime complain on stderr about a process without a logger. It is one for the process, so main sets it.
	log.SetLogger(cli.ErrorLog(os.Stderr))
	code := commands.Main(ctx, os.Args[1:], cli.Options{
		IOStreams: genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
		Clock:     clock.RealClock{}, Getenv: os.Getenv, Browse: browser.OpenFile, Build: version.Get(),
	})
	stop()
	os.Exit(code)
}
