// Command console serves the web page of refresh keys in a cluster. It shows and does what the person who is signed in may see and
// do, and has no rights of its own.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/pflag"

	// The image has no certificate authorities, so these verify the OpenID Connect provider. `caFile` names a private authority.
	_ "golang.org/x/crypto/x509roots/fallback"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/refreshkeys/refreshkeys/cmd/internal/start"
	"github.com/refreshkeys/refreshkeys/internal/console"
	"github.com/refreshkeys/refreshkeys/internal/console/signin"
	"github.com/refreshkeys/refreshkeys/internal/serving"
	"github.com/refreshkeys/refreshkeys/internal/version"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "console: %v\n", err)
		os.Exit(1)
	}
}

// The values of --reveal.
const (
	revealForwarded = "Forwarded"
	revealNever     = "Never"
)

type flags struct {
	kubeconfig string
	namespace  string
	address    string
	health     string
	tlsSecret  string
	hosts      []string
	reveal     string
	// oidc is the file that describes the provider; empty for none.
	oidc        string
	impersonate bool
	// tokenService is its URL; empty for none. tokenServiceCA is a file.
	tokenService, tokenServiceCA string
	verbosity                    int8
	version                      bool
	console                      console.Options
}

func parseFlags(args []string) (*flags, error) {
	f := &flags{}
	set := pflag.NewFlagSet("console", pflag.ContinueOnError)
	set.StringVar(&f.kubeconfig, "kubeconfig", "", start.KubeconfigUsage+". Only the address of the API server and its CA are read, no credential")
	set.StringVar(&f.namespace, "namespace", os.Getenv("POD_NAMESPACE"), "the console's own namespace, for the names of its Service; default: $POD_NAMESPACE")
	set.StringVar(&f.address, "listen", ":8443", "the address that serves the page, over TLS")
	set.StringVar(&f.health, "health", ":8081", "the address that serves /healthz, /readyz and /metrics")
	set.StringVar(&f.tlsSecret, "tls-secret", "/etc/refreshkeys/tls", "the directory in which the Secret with tls.crt and tls.key is mounted; changes apply without a restart")
	set.StringSliceVar(&f.hosts, "host", nil, "a host name under which people reach the console, with a port or for every port; may be repeated. Default: the names of the Service, and localhost")
	set.StringVar(&f.console.BasePath, "base-path", "/", "the path below which the console is served, with a slash at both ends")
	set.StringVar(&f.reveal, "reveal", revealForwarded, "whether tokens can be revealed: Forwarded (where the person may get the Secret) or Never")
	set.StringVar(&f.oidc, "oidc-config", "", "the file that describes how people sign in at an OpenID Connect provider; when empty: by token only")
	set.BoolVar(&f.impersonate, "impersonate", false, "act with the console's own credential as the person of --oidc-config, by constrained impersonation")
	set.StringVar(&f.tokenService, "token-service", "", "the URL of the token service, without a path, where the page reads the public keys that verify access tokens; when empty: it verifies none")
	set.StringVar(&f.tokenServiceCA, "token-service-ca-file", "", "a file with the certificate authority of the token service, in PEM, which may change or come later; a publicly trusted certificate is accepted, too")
	set.StringVar(&f.console.DocsURL, "docs-url", "", "the address of the documentation that the page links to")
	set.DurationVar(&f.console.SessionIdle, "session-idle", 30*time.Minute, "how long a session lives without a request of the person")
	set.DurationVar(&f.console.SessionMax, "session-max", 12*time.Hour, "how long a session lives at most")
	set.Int8VarP(&f.verbosity, "verbosity", "v", 0, "log verbosity: 0 for one line a request, 2 for debugging")
	set.BoolVar(&f.version, "version", false, start.VersionUsage)
	if err := set.Parse(args); err != nil || f.version {
		return f, err
	}
	if f.reveal != revealForwarded && f.reveal != revealNever {
		return nil, fmt.Errorf("--reveal must be %s or %s", revealForwarded, revealNever)
	}
	if f.impersonate && f.oidc == "" {
		return nil, errors.New("--impersonate needs --oidc-config, which says where people sign in")
	}
	f.console.Reveal = f.reveal == revealForwarded
	if f.console.Hosts = f.hosts; len(f.hosts) == 0 {
		f.console.Hosts = serviceNames(f.namespace)
	}
	return f, nil
}

// service is the name of the Service of an installation.
const service = "refreshkeys-console"

// serviceNames are the names under which the console is reached without a name of its own: by its Service, and by a port-forward.
func serviceNames(namespace string) []string {
	names := []string{"localhost", "127.0.0.1", "::1", service}
	if namespace != "" {
		inCluster := service + "." + namespace
		names = append(names, inCluster, inCluster+".svc", inCluster+".svc.cluster.local")
	}
	return names
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
		fmt.Println(start.VersionLine("console"))
		return nil
	}
	log := start.Logger(f.verbosity, false)
	config, err := apiServer(f.kubeconfig, accountDir)
	if err != nil {
		return err
	}
	if f.console.SignIn, err = f.signIn(config, log); err != nil {
		return err
	}
	if f.console.TokenService, err = tokenService(f.tokenService, f.tokenServiceCA); err != nil {
		return err
	}
	// The console never acts with a credential of its own, so it forgets it here. Only signIn may keep it, for impersonation.
	return f.serve(ctrl.SetupSignalHandler(), rest.AnonymousClientConfig(config), log)
}

// signIn returns the sign-in at a provider; nil without --oidc-config.
func (f *flags) signIn(config *rest.Config, log logr.Logger) (console.SignIn, error) {
	if f.oidc == "" {
		return nil, nil //nolint:nilnil // the console takes nil for none
	}
	provider, err := signin.Load(f.oidc, f.impersonate)
	if err != nil {
		return nil, err
	}
	if !f.impersonate {
		config = rest.AnonymousClientConfig(config)
	}
	return signin.New(signin.Options{
		Config: provider, API: config, BasePath: f.console.BasePath, Clock: clock.RealClock{}, Random: rand.Reader, Log: log,
	})
}

// serve serves until ctx ends. Then pages get an event, and requests are answered that came before.
func (f *flags) serve(ctx context.Context, config *rest.Config, log logr.Logger) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	o := f.console
	o.API, o.Clock, o.Random, o.Log, o.Registerer, o.Version = config, clock.RealClock{}, rand.Reader, log, registry, version.Get().Version
	server, err := console.New(o)
	if err != nil {
		return err
	}
	certificate := serving.NewCertificate(serving.OfDirectory(f.tlsSecret), clock.RealClock{}, log)
	drain := &serving.Drain{}
	health := http.NewServeMux()
	health.HandleFunc("/healthz", serving.Check(serving.All()))
	health.HandleFunc("/readyz", serving.Check(serving.All(drain.Ready, certificate.Ready)))
	health.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))

	group, ctx := errgroup.WithContext(ctx)
	last, stop := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error { return certificate.Run(last) })
	group.Go(func() error { return serving.Serve(last, serving.NewHTTPServer(health, nil), f.health) })
	group.Go(func() error {
		<-ctx.Done()
		drain.Begin()
		return nil
	})
	group.Go(func() error {
		defer stop()
		return serving.Serve(ctx, server.HTTPServer(certificate.Config()), f.address)
	})
	return group.Wait()
}
