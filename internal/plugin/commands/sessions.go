package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// sessions holds the flags of `sessions` and of `sessions end`.
type sessions struct {
	*app
	output      *cli.Output
	name        string
	caFile      string
	all, others bool
}

func (c *app) sessionsCommand() *cobra.Command {
	x := &sessions{app: c, output: cli.NewDocument()}
	cmd := &cobra.Command{
		Use: "sessions", Short: "List your own sessions at the token service, and end them",
		Long: `List the sessions of the person or the workload that signed in with kubectl refreshkey login, on all devices. The
command asks the token service with the stored session, and needs no right in Kubernetes. To list the sessions of others, use kubectl refreshkey list --sessions.`,
		Example: `  kubectl refreshkey sessions
  kubectl refreshkey sessions end 7f0c6a52-6f0e-4a55-9b0e-3f6d1c0d5a11
  kubectl refreshkey sessions end --others`,
		Args: cli.Arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return x.list(cmd.Context()) },
	}
	x.output.Add(cmd)
	cmd.PersistentFlags().StringVar(&x.name, "session", "default", "the stored session to ask with")
	cmd.PersistentFlags().StringVar(&x.caFile, "ca-file", "", "a PEM file with the CA certificate of the token service; if not set, the one that login stored")
	completeFlag(cmd, "session", c.completeSessions)
	cmd.AddCommand(x.endCommand())
	return cmd
}

func (x *sessions) endCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "end ID... | end --others | end --all", Short: "End your own sessions",
		Long: `End sessions of the person or the workload that signed in, by their ids: their refresh tokens are refused from then
on. Access tokens that were issued before stay valid until they expire. If the session that asks is among them, the command deletes its tokens, as logout does.`,
		Args: func(cmd *cobra.Command, args []string) error {
			ways := 0
			for _, way := range []bool{len(args) > 0, x.all, x.others} {
				if way {
					ways++
				}
			}
			if ways != 1 {
				return cli.UsageError("`%s` takes the ids of sessions, --others or --all", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return x.end(cmd.Context(), args) },
	}
	cmd.Flags().BoolVar(&x.others, "others", false, "end all sessions but the one that asks")
	cmd.Flags().BoolVar(&x.all, "all", false, "end all sessions, also the one that asks")
	return cmd
}

func (x *sessions) list(ctx context.Context) error {
	if err := x.output.Check(); err != nil {
		return err
	}
	var answer oauth.SessionsAnswer
	err := x.withSession(x.name, "reading the sessions", func(file string) error {
		s, err := x.open(ctx, file)
		if err != nil {
			return err
		}
		return s.ask(ctx, http.MethodGet, endpoint.SessionsURL(s.issuer), nil, &answer)
	})
	if err != nil {
		return err
	}
	if !x.output.IsText() {
		return x.output.Document(x.Out, &answer)
	}
	now := x.Clock.Now()
	rows := make([][]cli.Cell, 0, len(answer.Sessions))
	for i := range answer.Sessions {
		rows = append(rows, ownSession(&answer.Sessions[i], now))
	}
	cli.WriteTable(x.Out, x.Colours(), "", []string{"CURRENT", "ID", "DEVICE", "CLIENT", "AUDIENCE", "STATUS", "ENDS", "LAST USED", "SINCE"}, rows)
	return nil
}

func ownSession(one *oauth.Session, now time.Time) []cli.Cell {
	current, ends, paint := "", cli.Relative(one.ExpiresAt, now), cli.Green
	if one.Current {
		current = "*"
	}
	if one.Status != oauth.SessionActive {
		ends, paint = "-", cli.Faint
	}
	lastUsed := "never"
	if one.LastUsed != nil {
		lastUsed = cli.Relative(*one.LastUsed, now)
	}
	seen := &v1alpha1.SeenDevice{IPAddress: one.IPAddress}
	seen.ID, seen.Browser, seen.OS = one.Device.ID, one.Device.Browser, one.Device.OS
	return []cli.Cell{
		cli.Text(current), cli.Text(one.ID), cli.Text(cli.OrDash(device(seen))), cli.Text(cli.OrDash(one.Client)), cli.Text(cli.Truncate(one.Audience, maxCellWidth)),
		cli.Painted(string(one.Status), paint), cli.Text(ends), cli.Text(lastUsed), cli.Text(duration.HumanDuration(now.Sub(one.StartedAt))),
	}
}

func (x *sessions) end(ctx context.Context, ids []string) error {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	var ended oauth.EndAnswer
	gone := x.all
	err := x.withSession(x.name, "ending the sessions", func(file string) error {
		s, err := x.open(ctx, file)
		if err != nil {
			return err
		}
		which := map[string]any{"all": true}
		switch {
		case x.others:
			which = map[string]any{"others": true}
		case !x.all:
			which = map[string]any{"ids": ids}
			if gone, err = s.among(ctx, ids); err != nil {
				return err
			}
		}
		if err := s.ask(ctx, http.MethodPost, endpoint.EndSessionsURL(s.issuer), which, &ended); err != nil || !gone {
			return err
		}
		return os.Remove(file)
	})
	if err != nil {
		return err
	}
	noun := "sessions"
	if ended.Ended == 1 {
		noun = "session"
	}
	fmt.Fprintf(x.Out, "ended %d %s\n", ended.Ended, noun)
	if gone {
		fmt.Fprintf(x.Out, "signed out; session %s is deleted\n", x.name)
	}
	if missing := len(ids) - ended.Ended; missing > 0 {
		return cli.Fail(cli.ExitNotFound, "%d of these ids name none of your active sessions: kubectl refreshkey sessions lists them", missing)
	}
	return nil
}

// ownSessions asks the token service for the sessions of a subject.
type ownSessions struct {
	client *http.Client
	issuer string
	access *accessToken
}

// open exchanges the token of a session for an access token with which its subject lists and ends its sessions. It stores the next refresh
// token, and keeps the access token of the session as it is.
func (x *sessions) open(ctx context.Context, file string) (*ownSessions, error) {
	s, err := loadSession(file)
	if err != nil {
		return nil, err
	}
	client, err := x.httpClient(x.caFile, []byte(s.CA))
	if err != nil {
		return nil, err
	}
	access, err := (&exchange{app: x.app, session: x.name, resource: s.Issuer, scope: oauth.ScopeSessions}).refreshSession(ctx, client, s)
	if err != nil {
		return nil, err
	}
	return &ownSessions{client: client, issuer: s.Issuer, access: access}, s.saveNext(file)
}

// ask sends a request with the access token, and the body in JSON unless it is nil.
func (s *ownSessions) ask(ctx context.Context, method, at string, body, into any) error {
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(ctx, method, at, content)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", s.access.Type+" "+s.access.Token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return send(s.client, request, into)
}

// among reports whether the session that asks has one of the ids.
func (s *ownSessions) among(ctx context.Context, ids []string) (bool, error) {
	var answer oauth.SessionsAnswer
	err := s.ask(ctx, http.MethodGet, endpoint.SessionsURL(s.issuer), nil, &answer)
	return slices.ContainsFunc(answer.Sessions, func(one oauth.Session) bool { return one.Current && slices.Contains(ids, one.ID) }), err
}
