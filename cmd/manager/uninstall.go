package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/metadata"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/refreshkeys/refreshkeys/cmd/internal/start"
	"github.com/refreshkeys/refreshkeys/internal/uninstall"
	"github.com/refreshkeys/refreshkeys/internal/unthrottled"
)

// uninstallCommand is the argument with which the manager removes everything that was issued, and ends.
const uninstallCommand = "uninstall"

// runUninstall removes everything that was issued. The chart runs it at an uninstallation unless uninstall.keepTokens is set.
func runUninstall(args []string, report io.Writer) error {
	removal := uninstall.Removal{Report: report}
	var kubeconfig string
	var timeout time.Duration
	set := pflag.NewFlagSet("manager "+uninstallCommand, pflag.ContinueOnError)
	set.StringVar(&kubeconfig, "kubeconfig", "", start.KubeconfigUsage)
	set.StringVar(&removal.Namespace, "namespace", os.Getenv("POD_NAMESPACE"), "the operator's own namespace, which holds the signing keys; default: $POD_NAMESPACE")
	set.StringSliceVar(&removal.Namespaces, "namespaces", nil, start.NamespacesUsage)
	set.BoolVar(&removal.CRDs, "remove-crds", false, "also remove the CRDs")
	set.DurationVar(&timeout, "timeout", 5*time.Minute, "the maximum duration of the uninstallation")
	err := set.Parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if removal.Namespace == "" {
		return errors.New("--namespace or $POD_NAMESPACE is required")
	}
	if err := start.CheckNamespaces(removal.Namespaces); err != nil {
		return err
	}
	config, err := start.RestConfig(kubeconfig)
	if err != nil {
		return err
	}
	if removal.Client, err = metadata.NewForConfig(unthrottled.Config(config)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctrl.SetupSignalHandler(), timeout)
	defer cancel()
	if err := removal.Run(ctx); err != nil {
		return fmt.Errorf("some objects remain; run the command again: %w", err)
	}
	return nil
}
