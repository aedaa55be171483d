package commands

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/outlook"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// lister holds the flags of `list`.
type lister struct {
	*app
	output         *cli.Output
	filter         filter
	allNamespaces  bool
	noHeaders      bool
	watch          bool
	selector       string
	unusedFor      cli.SpanFlag
	expiringWithin cli.SpanFlag
}

func (c *app) listCommand() *cobra.Command {
	l := &lister{app: c, output: cli.NewOutput("")}
	l.output.Wide = true
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List refresh keys; filter them by expiry, use, status or session",
		Example: `  # Keys with a current token that expires within a week, soonest first
  kubectl refreshkey list -A --expiring-within 7d
  # Keys that were not used for 30 days
  kubectl refreshkey list -A --unused-for 30d
  # Sessions: the users and workloads that are signed in
  kubectl refreshkey list -A --sessions
  # Keys that wait or fail, as they change
  kubectl refreshkey list -A --status Issuing,PolicyDenied,IssuerNotReady --watch`,
		Args: cli.Arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return l.run(cmd.Context()) },
	}
	l.output.Add(cmd)
	flags := cmd.Flags()
	flags.BoolVarP(&l.allNamespaces, "all-namespaces", "A", false, "list the keys of all namespaces")
	flags.StringVarP(&l.selector, "selector", "l", "", "only keys that match this label selector, as in kubectl get")
	flags.Var(&l.unusedFor, "unused-for", "only keys that were not used for this time, such as 30d; a key that was never used counts from its creation")
	flags.Var(&l.expiringWithin, "expiring-within", "only keys with a current token that expires within this time, such as 7d")
	flags.StringSliceVar(&l.filter.statuses, "status", nil, "only keys with this status, the STATUS of the list, such as Issued or Revoked; separate several with commas")
	flags.BoolVar(&l.filter.sessions, "sessions", false, "only sessions (keys that a login created), with the user or workload that signed in")
	flags.BoolVarP(&l.watch, "watch", "w", false, "after the list, print a line for each change until the command is ended")
	completeFlag(cmd, "status", completeList(outlook.Statuses()))
	flags.BoolVar(&l.noHeaders, "no-headers", false, "do not print the header")
	return cmd
}

func (l *lister) run(ctx context.Context) error {
	if err := l.output.Check(); err != nil {
		return err
	}
	if err := l.filter.check(); err != nil {
		return err
	}
	selector, err := labels.Parse(l.selector)
	if err != nil {
		return cli.UsageError("--selector: %v", err)
	}
	k, err := l.connect()
	if err != nil {
		return err
	}
	l.filter.unusedFor, l.filter.expiringWithin = l.unusedFor.Value, l.expiringWithin.Value
	namespace := k.namespace
	if l.allNamespaces {
		namespace = ""
	}
	done := l.Progress.During("reading the keys")
	var list v1alpha1.JWTRefreshKeyList
	where := []client.ListOption{client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: selector}}
	err = k.List(ctx, &list, where...)
	done()
	if err != nil {
		return err
	}
	now := l.Clock.Now()
	shown := list.Items[:0]
	for i := range list.Items {
		if l.filter.matches(&list.Items[i], now) {
			list.Items[i].SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(keyKind))
			shown = append(shown, list.Items[i])
		}
	}
	l.filter.sort(shown)
	list.Items = shown
	if l.watch {
		return l.follow(ctx, k, &list, where)
	}
	return l.show(&list, namespace, now)
}

func (l *lister) show(list *v1alpha1.JWTRefreshKeyList, namespace string, now time.Time) error {
	if l.output.IsName() {
		for i := range list.Items {
			if err := l.output.Print(l.Out, &list.Items[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if !l.output.IsText() {
		list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(keyKind + "List"))
		return l.output.Print(l.Out, list)
	}
	if len(list.Items) == 0 {
		if l.allNamespaces {
			fmt.Fprintln(l.ErrOut, "No keys found.")
		} else {
			fmt.Fprintf(l.ErrOut, "No keys found in namespace %s.\n", namespace)
		}
		return nil
	}
	header := l.header()
	rows := make([][]cli.Cell, 0, len(list.Items))
	for i := range list.Items {
		rows = append(rows, l.row(&list.Items[i], now))
	}
	if l.noHeaders {
		header = make([]string, len(header))
	}
	cli.WriteTable(l.Out, l.Colours(), "", header, rows)
	return nil
}

func (l *lister) header() []string {
	var header []string
	if l.allNamespaces {
		header = append(header, "NAMESPACE")
	}
	header = append(header, "NAME")
	if l.filter.sessions {
		header = append(header, "SUBJECT", "BY", "STATUS", "EXPIRES", "LAST USED", "SINCE")
	} else {
		header = append(header, "AUDIENCE", "STATUS", "EXPIRES", "LAST USED", "AGE")
	}
	if l.output.IsWide() {
		header = append(header, "ISSUER", "REVISION", "MODE", "RENEWAL", "SECRET", "DEVICE")
	}
	return header
}

// maxCellWidth is the number of characters of an audience or a subject that list prints, so that a line fits a terminal.
const maxCellWidth = 40

func (l *lister) row(key *v1alpha1.JWTRefreshKey, now time.Time) []cli.Cell {
	short := func(s string) cli.Cell {
		if l.output.IsWide() {
			return cli.Text(s)
		}
		return cli.Text(cli.Truncate(s, maxCellWidth))
	}
	var row []cli.Cell
	if l.allNamespaces {
		row = append(row, cli.Text(key.Namespace))
	}
	row = append(row, cli.Text(key.Name))
	since := key.CreationTimestamp.Time
	if l.filter.sessions {
		session := key.Status.Session
		row = append(row, short(session.Subject), short(signedInBy(session)))
		since = session.StartedAt.Time
	} else {
		row = append(row, short(key.Spec.Audience))
	}
	row = append(row, statusCell(outlook.Status(key)), expiry(key, now), cli.Text(cli.RelativeOr(key.Status.LastUsed, now, "never")), cli.Text(duration.HumanDuration(now.Sub(since))))
	if l.output.IsWide() {
		row = append(row, cli.Text(cli.OrDash(key.Status.Issuer)), cli.Text(strconv.FormatInt(key.Status.Revision, 10)), cli.Text(string(lifecycle.Mode(key))),
			cli.Text(cli.RelativeOr(key.Status.RenewalTime, now, "-")), cli.Text(cli.OrDash(key.Status.SecretName)), cli.Text(cli.OrDash(device(key.Status.DeviceInfo))))
	}
	return row
}

// signedInBy returns how a session was signed in and, in parentheses, to which client.
func signedInBy(session *v1alpha1.SessionStatus) string {
	if session.Client == "" {
		return string(session.Method)
	}
	return fmt.Sprintf("%s (%s)", session.Method, session.Client)
}

// expiry returns the cell with the end of the current token. It is yellow if the token's renewal is overdue.
func expiry(key *v1alpha1.JWTRefreshKey, now time.Time) cli.Cell {
	shown := cli.Text(cli.RelativeOr(key.Status.ExpiresAt, now, "-"))
	renewal := key.Status.RenewalTime
	switch {
	case key.Status.RevokedAt != nil || key.Status.ExpiresAt == nil:
		shown.Text = "-"
	case key.Status.ExpiresAt.Time.Before(now):
		shown.Paint = cli.Faint
	case renewal != nil && renewal.Time.Before(now):
		shown.Paint = cli.Yellow
	}
	return shown
}
