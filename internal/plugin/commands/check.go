package commands

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// installation holds the flags of `check`, and what its checks found.
type installation struct {
	*app
	output   *cli.Output
	replicas replicaFlags
	pre      bool
	url      string

	*cluster
	// api is a client of the API server that shows the headers of answers.
	api *http.Client
	// serving is the Secret with the serving certificate of the token service; unserving says why it cannot be read.
	serving   *corev1.Secret
	unserving error
	// direct is a client of the token service.
	direct *http.Client
	// offset is how far the API server's clock is ahead of this machine's.
	offset time.Duration
	checks []check
}

func (c *app) checkCommand() *cobra.Command {
	i := &installation{app: c, output: cli.NewDocument()}
	cmd := &cobra.Command{
		Use: "check", Short: "Check an installation, or with --pre whether a cluster is ready for one",
		Long: `Check an installation: the API server and its clock, the CRDs and the admission policy, the manager, the replicas of the
token service and their clocks, and for each issuer its state, whether its URL can be reached from here, and its
serving certificate.

With --pre, check whether a cluster is ready for an installation: the version of Kubernetes, the rights of the user,
whether admission accepts what is installed and the Secrets that the operator writes (by dry runs that store
nothing), and with --url whether the name of the future issuer resolves and can be reached from here.

A line begins with ✓ for a check that passed, ✗ for one that failed, and ? for one that cannot be made from here. The
exit code is 1 if a check failed.`,
		Example: `  kubectl refreshkey check --pre --url https://tokens.example.com
  kubectl refreshkey check`,
		Args: cli.Arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return i.run(cmd.Context()) },
	}
	i.output.Add(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&i.pre, "pre", false, "check a cluster before the installation")
	flags.StringVar(&i.url, "url", "", "with --pre: the URL that the issuer will have")
	flags.StringArrayVar(&i.replicas.urls, "replica", nil, "the URL of a replica of the token service; repeat the flag for several; if not set, the plugin looks in --operator-namespace")
	flags.StringVar(&i.replicas.caFile, "ca-file", "", "a PEM file with the CA certificate of the token service, in addition to the system's and the operator's")
	flags.StringVar(&i.replicas.namespace, "operator-namespace", operatorNamespace, "the namespace of the operator")
	completeFlag(cmd, "operator-namespace", c.completeNamespaces)
	return cmd
}

// installationDocument is what `check` found, for scripts.
type installationDocument struct {
	Failed  int     `json:"failed"`
	Unknown int     `json:"unknown"`
	Checks  []check `json:"checks"`
}

func (i *installation) run(ctx context.Context) error {
	if err := i.output.Check(); err != nil {
		return err
	}
	if i.url != "" && !i.pre {
		return cli.UsageError("--url is for --pre: after the installation, the issuers say their URLs")
	}
	var err error
	if i.cluster, err = i.connect(); err != nil {
		return err
	}
	if i.api, err = rest.HTTPClientFor(i.config); err != nil {
		return err
	}
	i.serving, i.unserving = i.clients.CoreV1().Secrets(i.replicas.namespace).Get(ctx, servingSecret, metav1.GetOptions{})
	if i.direct, err = i.httpClient(i.replicas.caFile, i.operatorCA()); err != nil {
		return err
	}
	done := i.Progress.During("checking the cluster")
	if i.apiServer(ctx) {
		if i.pre {
			i.before(ctx)
		} else {
			i.after(ctx)
		}
	}
	done()
	return i.report()
}

// before checks whether the cluster is ready for an installation.
func (i *installation) before(ctx context.Context) {
	i.definitionsBefore()
	i.policiesServed()
	i.rights(ctx)
	i.admitsOperator(ctx)
	i.admitsSecrets(ctx)
	if i.url != "" {
		i.futureURL(ctx)
	}
}

// after checks an installation.
func (i *installation) after(ctx context.Context) {
	if !i.definitionsAfter() {
		return
	}
	i.policy(ctx)
	i.manager(ctx)
	i.issuers(ctx)
}

// add adds the result of a check.
func (i *installation) add(one check) { i.checks = append(i.checks, one) }

// report prints the checks, and returns an error if one failed.
func (i *installation) report() error {
	d := &installationDocument{Checks: i.checks}
	rows := make([][]cli.Cell, 0, len(i.checks))
	for _, one := range i.checks {
		switch one.Verdict {
		case failed:
			d.Failed++
		case unknown:
			d.Unknown++
		}
		rows = append(rows, []cli.Cell{marks[one.Verdict], cli.Text(one.Name), cli.Text(one.Reason)})
	}
	if i.output.IsText() {
		cli.WriteTable(i.Out, i.Colours(), "", make([]string, 3), rows)
		fmt.Fprintf(i.Out, "\n%s\n", d.summary())
	} else if err := i.output.Document(i.Out, d); err != nil {
		return err
	}
	if d.Failed > 0 {
		return cli.ExitOnly(cli.ExitError)
	}
	return nil
}

// summary returns the result in one sentence.
func (d *installationDocument) summary() string {
	count := func(n int) string {
		if n == 1 {
			return "1 check"
		}
		return fmt.Sprintf("%d checks", n)
	}
	switch {
	case d.Failed > 0:
		return count(d.Failed) + " failed"
	case d.Unknown > 0:
		return "no check failed; " + count(d.Unknown) + " could not be made"
	default:
		return "all checks passed"
	}
}
