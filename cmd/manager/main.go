// Command manager is the operator: it issues the refresh tokens of JWTRefreshKeys into Secrets, and manages the
// signing keys of JWTIssuers.
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
	version        bool
	options        controllers.Options
}

func parseFlags(args []string) (*flags, error) {
	f := &flags{}
	set := pflag.NewFlagSet("manager", pflag.ContinueOnError)
	set.StringVar(&f.kubeconfig, "kubeconfig", "", start.KubeconfigUsage)
	set.StringVar(&f.namespace, "namespace", os.Getenv("POD_NAMESPACE"), "the operator's own namespace, which holds the signing keys; default: $POD_NAMESPACE")
	set.StringSliceVar(&f.options.Namespaces, "namespaces", nil, start.NamespacesUsage)
	set.StringVar(&f.metricsAddress, "metrics-bind-address", ":8443", "the address that serves metrics; 0 to serve none")
	set.BoolVar(&f.metricsSecure, "metrics-secure", true, "serve metrics over TLS, only to callers that the API server authorises")
	set.StringVar(&f.probeAddress, "health-probe-bind-address", ":8081", "the address that serves /healthz and /readyz")
	set.BoolVar(&f.keyMetrics, "key-metrics", true, "export metrics of each refresh key; false exports counts only, for clusters with tens of thousands of refresh keys")
	set.BoolVar(&f.leaderElect, "leader-elect", true, "run one active manager at a time, by leader election")
	set.IntVar(&f.options.Workers, "workers", 0, "the number of refresh keys that are reconciled at the same time; default 16")
	set.StringVar(&f.options.TLSSecret, "tls-secret", "refreshkeys-tokenserver-tls", "the Secret, in --namespace, with the token service's serving certificate; the operator makes and renews it unless you provide it")
	set.StringSliceVar(&f.options.TLSNames, "tls-names", nil, "DNS names and IP addresses of the serving certificate, in addition to the hosts of all issuers")
	set.StringVar(&f.options.ConsoleTLSSecret, "console-tls-secret", "", "the Secret, in --namespace, with the console's serving certificate; the operator makes and renews it unless you provide it. Default: none")
	set.StringSliceVar(&f.options.ConsoleTLSNames, "console-tls-names", nil, "DNS names and IP addresses of the console's certificate, in addition to those of its Service and localhost")
	set.Float64Var(&f.options.ReissuePerSecond, "reissue-per-second", 0, "the number of tokens a second that are issued again after a signing key is withdrawn, and of Secrets a second that an upgrade writes; default 50")
	set.BoolVar(&f.options.FastPropagation, "fast-propagation", false, "make the pods that mount a Secret read a new token within seconds; requires the rights of config/fast-propagation")
	set.BoolVar(&f.options.Restarts, "restarts", false, "restart the workloads that spec.rolloutRestart names after a rotation; requires the rights of config/restarts")
	set.BoolVar(&f.options.PublishCA, "publish-ca", false, "keep the ConfigMap refreshkeys-ca.crt with the CA bundle of the token service in each namespace; requires the rights of config/publish-ca")
	set.Int8VarP(&f.verbosity, "verbosity", "v", 0, "log verbosity: 0 for changes and errors, 1 for each decision, 2 for debugging")
	set.BoolVar(&f.version, "version", false, start.VersionUsage)
	if err := set.Parse(args); err != nil || f.version {
		return f, err
	}
	if f.namespace == "" {
		return nil, errors.New("--namespace or $POD_NAMESPACE is required")
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
	if f.version {
		fmt.Println(start.VersionLine("manager"))
		return nil
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
