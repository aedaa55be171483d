package plugin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/outlook"
)

func (c *cli) describeCommand() *cobra.Command {
	out := newOutput("")
	cmd := &cobra.Command{
		Use: "describe NAME", Short: "Show a key's tokens, use, conditions and events, and what happens next",
		Args:              arguments(1, 1, "the name of one key"),
		ValidArgsFunction: c.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			k, err := c.connect()
			if err != nil {
				return err
			}
			defer c.progress.during("reading the key")()
			key, err := k.key(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if !out.isText() {
				return out.print(c, key)
			}
			events, eventsErr := k.events(cmd.Context(), key)
			d := &description{Writer: c.Out, colours: c.colours(), key: key, now: c.Clock.Now()}
			d.write(events, eventsErr)
			return nil
		},
	}
	out.add(cmd)
	return cmd
}

// events returns the events about a key, oldest first.
func (k *cluster) events(ctx context.Context, key *v1alpha1.JWTRefreshKey) ([]eventsv1.Event, error) {
	about := fields.Set{"regarding.uid": string(key.UID)}.AsSelector().String()
	list, err := k.clients.EventsV1().Events(key.Namespace).List(ctx, metav1.ListOptions{FieldSelector: about})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list.Items, func(a, b eventsv1.Event) int { return cmp.Compare(happened(&a).UnixNano(), happened(&b).UnixNano()) })
	return list.Items, nil
}

// happened returns the time of an event's last occurrence.
func happened(event *eventsv1.Event) time.Time {
	switch {
	case event.Series != nil:
		return event.Series.LastObservedTime.Time
	case !event.EventTime.IsZero():
		return event.EventTime.Time
	default:
		return event.CreationTimestamp.Time
	}
}

// description writes the state of a key for people.
type description struct {
	io.Writer
	colours bool
	key     *v1alpha1.JWTRefreshKey
	now     time.Time
}

func (d *description) write(events []eventsv1.Event, eventsErr error) {
	writeTable(d, d.colours, "", []string{"", ""}, d.facts())
	d.section("Next", nil, d.next())
	d.section("Revisions", []string{"REVISION", "STATE", "ISSUED", "ENDS"}, d.revisions())
	d.section("Use", nil, d.use())
	d.section("Conditions", []string{"TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"}, d.conditions())
	if eventsErr != nil {
		fmt.Fprintf(d, "\nEvents:\n  cannot be read: %v\n", eventsErr)
		return
	}
	d.section("Events", []string{"WHEN", "TYPE", "REASON", "NOTE"}, d.events(events))
}

func (d *description) section(title string, header []string, rows [][]cell) {
	if len(rows) == 0 {
		fmt.Fprintf(d, "\n%s:\n  none\n", title)
		return
	}
	fmt.Fprintf(d, "\n%s:\n", title)
	if header == nil {
		header = make([]string, len(rows[0]))
	}
	writeTable(d, d.colours, "  ", header, rows)
}

func (d *description) facts() [][]cell {
	key := d.key
	rows := [][]cell{}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []cell{text(name + ":"), text(value)})
		}
	}
	add("Name", key.Name)
	add("Namespace", key.Namespace)
	rows = append(rows, []cell{text("Status:"), statusCell(outlook.Status(key))})
	if at := key.Status.RevokedAt; at != nil {
		add("Revoked", fmt.Sprintf("%s, %s", key.Status.RevocationReason, stamp(at.Time, d.now)))
	}
	add("Made", stamp(key.CreationTimestamp.Time, d.now))
	add("Audience", key.Spec.Audience)
	add("Issuer", lifecycle.IssuerName(key))
	add("Subject", cmp.Or(key.Spec.Subject, lifecycle.DefaultSubject(key.Namespace, key.Name)))
	add("Scopes", strings.Join(key.Spec.Scopes, " "))
	add("Rotation", d.rotation())
	add("Bound to", bound(key.Spec.Binding))
	add("Secret", cmp.Or(lifecycle.SecretName(key), "none"))
	if session := key.Status.Session; session != nil {
		add("Session of", fmt.Sprintf("%s, signed in by %s %s", session.Subject, session.Method, stamp(session.StartedAt.Time, d.now)))
	}
	return rows
}

func (d *description) rotation() string {
	parts := []string{string(lifecycle.Mode(d.key))}
	if e := d.key.Status.Effective; e != nil {
		if e.Lifetime != nil {
			parts = append(parts, "token lifetime "+outlook.Short(e.Lifetime.Duration))
		}
		if e.RenewBefore != nil {
			parts = append(parts, "renewed "+outlook.Short(e.RenewBefore.Duration)+" before expiry")
		}
		if e.AccessTokenLifetime != nil {
			parts = append(parts, "access token lifetime "+outlook.Short(e.AccessTokenLifetime.Duration))
		}
	}
	return strings.Join(parts, ", ")
}

func bound(binding *v1alpha1.BindingSpec) string {
	if binding == nil {
		return ""
	}
	var to []string
	if binding.ServiceAccountName != "" {
		to = append(to, "ServiceAccount "+binding.ServiceAccountName)
	}
	if binding.JWKThumbprint != "" {
		to = append(to, "DPoP key "+binding.JWKThumbprint)
	}
	return strings.Join(to, " and ")
}

func (d *description) next() [][]cell {
	var rows [][]cell
	for _, one := range outlook.Of(d.key, d.now) {
		when := text("-")
		if !one.At.IsZero() {
			when = text(stamp(one.At, d.now))
		}
		rows = append(rows, []cell{when, text(one.Sentence)})
	}
	return rows
}

// revisions returns rows for the current and the superseded tokens, newest first.
func (d *description) revisions() [][]cell {
	status := &d.key.Status
	if status.Revision == 0 {
		return nil
	}
	state := cell{"current", green}
	switch {
	case status.RevokedAt != nil || d.key.Spec.Revoked:
		state = cell{"revoked", faint}
	case status.ExpiresAt != nil && status.ExpiresAt.Time.Before(d.now):
		state = cell{"ended", faint}
	}
	rows := [][]cell{{text(strconv.FormatInt(status.Revision, 10)), state, text(stampOr(status.CreatedAt, d.now, "-")), text(stampOr(status.ExpiresAt, d.now, "-"))}}
	for _, token := range slices.Backward(status.Previous) {
		rows = append(rows, []cell{text(strconv.FormatInt(token.Revision, 10)), {"superseded, still accepted", yellow},
			text(stamp(token.CreatedAt.Time, d.now)), text(stamp(token.ExpiresAt.Time, d.now))})
	}
	return rows
}

func (d *description) use() [][]cell {
	status := &d.key.Status
	last := stampOr(status.LastUsed, d.now, "never")
	if status.LastUsed != nil && status.LastUsedRevision > 0 {
		last += fmt.Sprintf(", revision %d", status.LastUsedRevision)
	}
	rows := [][]cell{{text("Last used:"), text(last)}}
	if len(status.Previous) > 0 || status.SupersededLastUsed != nil {
		rows = append(rows, []cell{text("Superseded token:"), text(stampOr(status.SupersededLastUsed, d.now, "never"))})
	}
	if by := device(status.DeviceInfo); by != "" {
		rows = append(rows, []cell{text("By:"), text(by)})
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

func (d *description) conditions() [][]cell {
	var rows [][]cell
	for _, condition := range d.key.Status.Conditions {
		shade := plain
		if (condition.Type == v1alpha1.ConditionReady) != (condition.Status == metav1.ConditionTrue) {
			shade = yellow
		}
		rows = append(rows, []cell{text(condition.Type), {string(condition.Status), shade}, text(condition.Reason),
			text(relative(condition.LastTransitionTime.Time, d.now)), text(condition.Message)})
	}
	return rows
}

func (d *description) events(events []eventsv1.Event) [][]cell {
	var rows [][]cell
	for i := range events {
		event := &events[i]
		shade := plain
		if event.Type != "Normal" {
			shade = yellow
		}
		rows = append(rows, []cell{text(relative(happened(event), d.now)), {event.Type, shade}, text(event.Reason), text(event.Note)})
	}
	return rows
}
