// Command manager is the operator: it issues refresh tokens for JWTRefreshKeys into
// Secrets, and keeps the signing keys of JWTIssuers.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/refreshkeys/refreshkeys/cmd/internal/start"
	"github.com/refreshkeys/refreshkeys/controllers"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "manager: %v\n", err)
		os.Exit(1)
	}
}

type flags struct {
	kubeconfig     string
	namespace      string
	metricsAddress string
	metricsSecure  bool
	probeAddress   string
	leaderElect    bool
	keyMetrics     bool
	verbosity      int8
	options        controllers.Options
}

func parseFlags(args []string) (*flags, error) {
	f := &flags{}
	set := pflag.NewFlagSet("manager", pflag.ContinueOnError)
	set.StringVar(&f.kubeconfig, "kubeconfig", "", start.KubeconfigUsage)
	set.StringVar(&f.namespace, "namespace", os.Getenv("POD_NAMESPACE"), "the operator's own namespace, where the signing keys are; default: $POD_NAMESPACE")
	set.StringSliceVar(&f.options.Namespaces, "namespaces", nil, start.NamespacesUsage)
	set.StringVar(&f.metricsAddress, "metrics-bind-address", ":8443", "where metrics are served; 0 for not at all")
	set.BoolVar(&f.metricsSecure, "metrics-secure", true, "serve metrics over TLS, to callers that the API server authorises")
	set.StringVar(&f.probeAddress, "health-probe-bind-address", ":8081", "where /healthz and /readyz are served")
	set.BoolVar(&f.keyMetrics, "key-metrics", true, "have metrics of each key; with false keys are only counted, which is lighter where there are tens of thousands")
	set.BoolVar(&f.leaderElect, "leader-elect", true, "let one of several managers work at a time")
	set.IntVar(&f.options.Workers, "workers", 0, "how many keys are worked on at once; default 16")
	set.StringVar(&f.options.TLSSecret, "tls-secret", "refreshkeys-tokenserver-tls", "the Secret, in --namespace, with the token service's certificate; made and renewed where there is none")
	set.StringSliceVar(&f.options.TLSNames, "tls-names", nil, "DNS names and IP addresses that the certificate is for, beside the hosts of all issuers")
	set.Float64Var(&f.options.ReissuePerSecond, "reissue-per-second", 0, "how fast tokens are issued again after a signing key was withdrawn; default 50")
	set.BoolVar(&f.options.FastPropagation, "fast-propagation", false, "have the pods that mount a Secret read a new token within seconds; needs the rights of config/fast-propagation")
	set.BoolVar(&f.options.Restarts, "restarts", false, "restart the workloads that spec.rolloutRestart names after a rotation; needs the rights of config/restarts")
	set.Int8VarP(&f.verbosity, "verbosity", "v", 0, "how much is logged: 0 for what matters, 1 for each decision, 2 for debugging")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	if f.namespace == "" {
		return nil, errors.New("say the operator's own namespace with --namespace or $POD_NAMESPACE")
	}
	f.options.Namespace = f.namespace
	f.options.WithoutKeyMetrics = !f.keyMetrics
	return f, start.CheckNamespaces(f.options.Namespaces)
}

func run(args []string) error {
	if len(args) > 0 && args[0] == uninstallCommand {
		return runUninstall(args[1:], os.Stdout)
	}
	f, err := parseFlags(args)
	if errors.Is(err, pflag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	start.Logger(f.verbosity, true)
	config, err := start.RestConfig(f.kubeconfig)
	if err != nil {
		return err
	}
	mgr, err := controllers.NewManager(config, f.managerOptions(), f.options)
	if err != nil {
		return err
	}
	if err := errors.Join(
		mgr.AddHealthzCheck("alive", healthz.Ping),
		mgr.AddReadyzCheck("caches", controllers.Synced(mgr)),
	); err != nil {
		return err
	}
	return mgr.Start(ctrl.SetupSignalHandler())
}

func (f *flags) managerOptions() ctrl.Options {
	metrics := server.Options{BindAddress: f.metricsAddress, SecureServing: f.metricsSecure}
	if f.metricsSecure {
		metrics.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	return ctrl.Options{
		Metrics:                       metrics,
		HealthProbeBindAddress:        f.probeAddress,
		LeaderElection:                f.leaderElect,
		LeaderElectionID:              "refreshkeys-manager",
		LeaderElectionNamespace:       f.namespace,
		LeaderElectionReleaseOnCancel: true,
	}
}
