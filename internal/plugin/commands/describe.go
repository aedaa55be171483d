package commands

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/outlook"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

func (c *app) describeCommand() *cobra.Command {
	out := cli.NewOutput("")
	cmd := &cobra.Command{
		Use: "describe NAME...", Short: "Show the tokens, use, conditions and events of keys, and what happens next",
		Example: `  kubectl refreshkey describe orders
  # All keys whose token expires within a week
  kubectl refreshkey describe $(kubectl refreshkey list --expiring-within 7d -o name)`,
		Args:              cli.SomeArguments("the names of keys"),
		ValidArgsFunction: c.completeSeveralKeys,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.describe(cmd.Context(), out, args) },
	}
	out.Add(cmd)
	return cmd
}

// describe prints the keys one after another.
func (c *app) describe(ctx context.Context, out *cli.Output, args []string) error {
	if err := out.Check(); err != nil {
		return err
	}
	names, err := keyResource.names(args)
	if err != nil {
		return err
	}
	k, err := c.connect()
	if err != nil {
		return err
	}
	written := false
	return c.each(ctx, names, func(name string) error {
		done := c.Progress.During("reading the key")
		defer done()
		key, err := k.key(ctx, name)
		if err != nil {
			return err
		}
		if !out.IsText() {
			return out.Print(c.Out, key)
		}
		events, eventsErr := k.events(ctx, key)
		done()
		if written {
			fmt.Fprint(c.Out, "\n\n")
		}
		written = true
		d := &description{Writer: c.Out, colours: c.Colours(), key: key, now: c.Clock.Now()}
		d.write(events, eventsErr)
		return nil
	})
}

// events returns the events about a key, oldest first.
func (k *cluster) events(ctx context.Context, key *v1alpha1.JWTRefreshKey) ([]eventsv1.Event, error) {
	about := fields.Set{"regarding.uid": string(key.UID)}.AsSelector().String()
	list, err := k.clients.EventsV1().Events(key.Namespace).List(ctx, metav1.ListOptions{FieldSelector: about})
	if err != nil {
		return nil, err
	}
	outlook.SortEvents(list.Items)
	return list.Items, nil
}

// description writes the state of a key for people.
type description struct {
	io.Writer
	colours bool
	key     *v1alpha1.JWTRefreshKey
	now     time.Time
}

func (d *description) write(events []eventsv1.Event, eventsErr error) {
	cli.WriteTable(d, d.colours, "", []string{"", ""}, d.facts())
	d.section("Next", nil, d.next())
	d.section("Revisions", []string{"REVISION", "STATE", "ISSUED", "ENDS"}, d.revisions())
	d.section("Use", nil, d.use())
	d.section("Conditions", []string{"TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"}, d.conditions())
	if eventsErr != nil {
		fmt.Fprintf(d, "\nEvents:\n  cannot be read: %s\n", cli.Printable(eventsErr.Error()))
		return
	}
	d.section("Events", []string{"WHEN", "TYPE", "REASON", "NOTE"}, d.events(events))
}

func (d *description) section(title string, header []string, rows [][]cli.Cell) {
	if len(rows) == 0 {
		fmt.Fprintf(d, "\n%s:\n  none\n", title)
		return
	}
	fmt.Fprintf(d, "\n%s:\n", title)
	if header == nil {
		header = make([]string, len(rows[0]))
	}
	cli.WriteTable(d, d.colours, "  ", header, rows)
}

func (d *description) facts() [][]cli.Cell {
	key := d.key
	rows := [][]cli.Cell{}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []cli.Cell{cli.Text(name + ":"), cli.Text(value)})
		}
	}
	add("Name", key.Name)
	add("Namespace", key.Namespace)
	rows = append(rows, []cli.Cell{cli.Text("Status:"), statusCell(outlook.Status(key))})
	if at := key.Status.RevokedAt; at != nil {
		add("Revoked", fmt.Sprintf("%s, %s", key.Status.RevocationReason, cli.Stamp(at.Time, d.now)))
	}
	add("Revocation note", outlook.RevocationNote(key))
	add("Made", cli.Stamp(key.CreationTimestamp.Time, d.now))
	for _, fact := range outlook.Settings(key) {
		add(fact.Name, fact.Value)
	}
	if session := key.Status.Session; session != nil {
		to := ""
		if session.Client != "" {
			to = " to " + session.Client
		}
		add("Session of", fmt.Sprintf("%s, signed in%s by %s %s", session.Subject, to, session.Method, cli.Stamp(session.StartedAt.Time, d.now)))
	}
	return rows
}

func (d *description) next() [][]cli.Cell {
	var rows [][]cli.Cell
	for _, one := range outlook.Of(d.key, d.now) {
		when := cli.Text("-")
		if !one.At.IsZero() {
			when = cli.Text(cli.Stamp(one.At, d.now))
		}
		rows = append(rows, []cli.Cell{when, cli.Text(one.Sentence + commandFor(one.Action, d.key.Name))})
	}
	return rows
}

// commandFor returns the command for an action about a key, to follow the sentence of the event; empty for none.
func commandFor(action outlook.Action, key string) string {
	switch action {
	case outlook.Rotate:
		return "; `kubectl refreshkey rotate " + key + "` issues a new token"
	case outlook.RotateNow:
		return " `kubectl refreshkey rotate " + key + " --now` does not wait"
	default:
		return ""
	}
}

// stateCells are the states of tokens, in words and colours.
var stateCells = map[outlook.State]cli.Cell{
	outlook.Current: cli.Painted("current", cli.Green), outlook.Superseded: cli.Painted("superseded, still accepted", cli.Yellow),
	outlook.Revoked: cli.Painted("revoked", cli.Faint), outlook.Ended: cli.Painted("ended", cli.Faint),
}

// revisions returns rows for the current and the superseded tokens, newest first.
func (d *description) revisions() [][]cli.Cell {
	var rows [][]cli.Cell
	for _, one := range outlook.Revisions(d.key, d.now) {
		rows = append(rows, []cli.Cell{cli.Text(strconv.FormatInt(one.Number, 10)), stateCells[one.State],
			cli.Text(cli.StampOr(one.CreatedAt, d.now, "-")), cli.Text(cli.StampOr(one.ExpiresAt, d.now, "-"))})
	}
	return rows
}

func (d *description) use() [][]cli.Cell {
	status := &d.key.Status
	last := cli.StampOr(status.LastUsed, d.now, "never")
	if status.LastUsed != nil && status.LastUsedRevision > 0 {
		last += fmt.Sprintf(", revision %d", status.LastUsedRevision)
	}
	rows := [][]cli.Cell{{cli.Text("Last used:"), cli.Text(last)}}
	if len(status.Previous) > 0 || status.SupersededLastUsed != nil {
		rows = append(rows, []cli.Cell{cli.Text("Superseded token:"), cli.Text(cli.StampOr(status.SupersededLastUsed, d.now, "never"))})
	}
	if by := device(status.DeviceInfo); by != "" {
		rows = append(rows, []cli.Cell{cli.Text("By:"), cli.Text(by)})
	}
	return rows
}

// device returns one line about the client that last used a key; empty if nothing is recorded.
func device(seen *v1alpha1.SeenDevice) string {
	if seen == nil {
		return ""
	}
	var parts []string
	for _, part := range []string{seen.ID, cmp.Or(seen.Browser, seen.UserAgent), seen.OS, seen.IPAddress} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}

func (d *description) conditions() [][]cli.Cell {
	var rows [][]cli.Cell
	for _, condition := range d.key.Status.Conditions {
		shade := cli.Plain
		if (condition.Type == v1alpha1.ConditionReady) != (condition.Status == metav1.ConditionTrue) {
			shade = cli.Yellow
		}
		rows = append(rows, []cli.Cell{cli.Text(condition.Type), cli.Painted(string(condition.Status), shade), cli.Text(condition.Reason),
			cli.Text(cli.Relative(condition.LastTransitionTime.Time, d.now)), cli.Text(condition.Message)})
	}
	return rows
}

func (d *description) events(events []eventsv1.Event) [][]cli.Cell {
	var rows [][]cli.Cell
	for i := range events {
		event := &events[i]
		shade := cli.Plain
		if event.Type != "Normal" {
			shade = cli.Yellow
		}
		rows = append(rows, []cli.Cell{cli.Text(cli.Relative(outlook.Happened(event), d.now)), cli.Painted(event.Type, shade), cli.Text(event.Reason), cli.Text(event.Note)})
	}
	return rows
}
