// Command tokenserver exchanges refresh tokens for access tokens by OAuth 2.0, for all
// issuers of a cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/pflag"

	// The image has no certificate authorities, so these verify OpenID Connect providers. `login.oidc.caBundle`
	// names a private authority.
	_ "golang.org/x/crypto/x509roots/fallback"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/refreshkeys/refreshkeys/cmd/internal/start"
	"github.com/refreshkeys/refreshkeys/internal/apicalls"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/serving"
	"github.com/refreshkeys/refreshkeys/internal/tokenserver"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "tokenserver: %v\n", err)
		os.Exit(1)
	}
}

// gcPercent is the default of GOGC. Go's default of 100 saves memory, of which a refresh key uses about a kilobyte
// here. But each collection scans all refresh keys, and an exchange allocates only short-lived objects.
const gcPercent = 300

// minStaleness is the smallest value of --max-staleness, in whole minutes. A view must be proven again before it is that old: the
// difference to registry.SlowestProof must stay positive.
const minStaleness = 2 * time.Minute

const _ = uint64(minStaleness - registry.SlowestProof)

type flags struct {
	kubeconfig    string
	address       string
	probeAddress  string
	tlsSecret     string
	account       string
	recordAddress bool
	auditLog      string
	shutdownDelay time.Duration
	verbosity     int8
	version       bool
	registry      registry.Options
}

func parseFlags(args []string) (*flags, error) {
	f := &flags{}
	set := pflag.NewFlagSet("tokenserver", pflag.ContinueOnError)
	set.StringVar(&f.kubeconfig, "kubeconfig", "", start.KubeconfigUsage)
	set.StringVar(&f.registry.Namespace, "namespace", os.Getenv("POD_NAMESPACE"), "the operator's own namespace, which holds the signing keys; default: $POD_NAMESPACE")
	set.StringSliceVar(&f.registry.Namespaces, "namespaces", nil, start.NamespacesUsage)
	set.StringVar(&f.address, "bind-address", ":8443", "the address that serves the endpoints, over TLS")
	set.StringVar(&f.probeAddress, "health-probe-bind-address", ":8081", "the address that serves /healthz, /readyz and /metrics")
	set.StringVar(&f.tlsSecret, "tls-secret", "refreshkeys-tokenserver-tls", "the Secret, in --namespace, with tls.crt and tls.key; changes apply without a restart")
	set.StringVar(&f.account, "service-account", os.Getenv("POD_SERVICE_ACCOUNT"), "the token service's own ServiceAccount, in --namespace, whose tokens authenticate it at OpenID Connect providers (login.oidc.client.assertion); default: $POD_SERVICE_ACCOUNT")
	set.DurationVar(&f.registry.MaxStaleness, "max-staleness", 10*time.Minute, fmt.Sprintf("the maximum age of a view of the cluster that tokens are exchanged from; at least %dm", minStaleness/time.Minute))
	set.Float64Var(&f.registry.LiveReads, "live-reads-per-second", 100, "the number of refresh keys a second that are read from the API server before a token is refused; above it, clients get 503")
	set.BoolVar(&f.recordAddress, "record-ip-address", false, "record the client's IP address in status.deviceInfo")
	set.StringVar(&f.auditLog, "audit-log", "", "the file that a JSON line is appended to for each exchange, login and revocation, or - for stdout; when empty: no audit log")
	set.DurationVar(&f.shutdownDelay, "shutdown-delay", 5*time.Second, "how long requests are served after SIGTERM while /readyz fails, so that load balancers remove the replica")
	set.Int8VarP(&f.verbosity, "verbosity", "v", 0, "log verbosity: 0 for one line a request, 2 for debugging")
	set.BoolVar(&f.version, "version", false, start.VersionUsage)
	if err := set.Parse(args); err != nil || f.version {
		return f, err
	}
	if f.registry.Namespace == "" {
		return nil, errors.New("--namespace or $POD_NAMESPACE is required")
	}
	if f.registry.MaxStaleness < minStaleness {
		return nil, fmt.Errorf("--max-staleness must be at least %dm: proving that a view is fresh takes up to %ds", minStaleness/time.Minute, registry.SlowestProof/time.Second)
	}
	if f.shutdownDelay < 0 {
		return nil, errors.New("--shutdown-delay must be at least 0")
	}
	if f.registry.LiveReads < 1 {
		return nil, errors.New("--live-reads-per-second must be at least 1")
	}
	return f, start.CheckNamespaces(f.registry.Namespaces)
}

func run(args []string) error {
	f, err := parseFlags(args)
	if errors.Is(err, pflag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if f.version {
		fmt.Println(start.VersionLine("tokenserver"))
		return nil
	}
	// Log lines are not sampled, since each is one request.
	log := start.Logger(f.verbosity, false)
	config, err := start.RestConfig(f.kubeconfig)
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	return f.serve(ctrl.SetupSignalHandler(), config, log)
}

// replica is one replica of the token service.
type replica struct {
	cluster     *registry.Cluster
	certificate *serving.Certificate
	drain       *serving.Drain
	handler     *tokenserver.Server
	ready       func() error
}

func (f *flags) serve(ctx context.Context, config *rest.Config, log logr.Logger) error {
	calls := apicalls.New()
	calls.Wrap(config)
	clients, err := tokenserver.Clients(config)
	if err != nil {
		return err
	}
	r := &replica{
		certificate: serving.NewCertificate(serving.OfSecret(clients, f.registry.Namespace, f.tlsSecret), clock.RealClock{}, log),
		drain:       &serving.Drain{},
	}
	if r.cluster, err = registry.New(config, f.registry); err != nil {
		return err
	}
	newID := func() string { return uuid.Must(uuid.NewV7()).String() }
	r.handler, err = tokenserver.ForCluster(config, r.cluster, f.registry.Namespace, clock.RealClock{}, newID, tokenserver.Options{
		Clock: clock.RealClock{}, Log: log, ServiceAccount: f.account, RecordAddress: f.recordAddress,
	})
	if err != nil {
		return err
	}
	r.ready = serving.All(r.drain.Ready, r.certificate.Ready, r.cluster.Fresh)
	if err := metrics.Registry.Register(calls); err != nil {
		return err
	}
	counters, err := tokenserver.NewMetrics(metrics.Registry, tokenserver.Facts{
		Staleness: r.cluster.Staleness, MaxStaleness: f.registry.MaxStaleness, Ready: r.ready,
		CertificateSpan: r.certificate.Span, Verifications: r.handler.Grants.Verifications,
	})
	if err != nil {
		return err
	}
	if r.handler.Observe, err = f.observe(counters, log); err != nil {
		return err
	}
	return r.run(ctx, f)
}

// run serves until ctx ends, and then for the shutdown delay, so that load balancers remove the replica while it
// still answers. Uses are written after the last request is answered.
func (r *replica) run(ctx context.Context, f *flags) error {
	health := http.NewServeMux()
	health.HandleFunc("/healthz", serving.Check(serving.All()))
	health.HandleFunc("/readyz", serving.Check(r.ready))
	health.Handle("/metrics", promhttp.HandlerFor(metrics.Registry, promhttp.HandlerOpts{}))

	group, ctx := errgroup.WithContext(ctx)
	answering, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error {
		defer stopServing()
		<-ctx.Done()
		r.drain.Begin()
		time.Sleep(f.shutdownDelay)
		return nil
	})
	group.Go(func() error { return r.cluster.Run(watching) })
	group.Go(func() error { return r.certificate.Run(answering) })
	group.Go(func() error {
		return serving.Serve(watching, serving.NewHTTPServer(health, nil), f.probeAddress)
	})
	group.Go(func() error {
		defer stopWatching()
		return serving.Serve(answering, tokenserver.NewHTTPServer(r.drain.Handler(r.handler), r.certificate.Config()), f.address)
	})
	return group.Wait()
}

// observe returns the function that is called with every answered request.
func (f *flags) observe(counters *tokenserver.Metrics, log logr.Logger) (func(*tokenserver.Request), error) {
	if f.auditLog == "" {
		return counters.Observe, nil
	}
	var out io.Writer = os.Stdout
	if f.auditLog != "-" {
		file, err := tokenserver.OpenAuditFile(f.auditLog)
		if err != nil {
			return nil, fmt.Errorf("open the audit log: %w", err)
		}
		out = file
	}
	audit := tokenserver.NewAudit(out, clock.RealClock{}, func(err error) {
		counters.Lost()
		log.Error(err, "cannot write a line of the audit log")
	})
	return func(r *tokenserver.Request) {
		counters.Observe(r)
		audit.Observe(r)
	}, nil
}
