package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"sigs.k8s.io/yaml"

	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// verification holds the flags of `verify` and `token`.
type verification struct {
	*app
	output *cli.Output
	caFile string
}

func (v *verification) add(cmd *cobra.Command) {
	v.output.Add(cmd)
	cmd.Flags().StringVar(&v.caFile, "ca-file", "", "a PEM file with the CA certificate of the issuer's URL, which serves the published keys")
}

func (c *app) verifyCommand() *cobra.Command {
	v := &verification{app: c, output: cli.NewDocument()}
	cmd := &cobra.Command{
		Use: "verify TOKEN|-|@FILE", Short: "Show, check by check, why a token is or is not accepted",
		Long: `Show, check by check, why a refresh token or an access token is or is not accepted.

Pass the token with - (stdin) or @FILE, because the shell stores a command line in its history. The command sends the
token to no server: it compares the token with the refresh key and the issuer in the API server, and with the issuer's
published keys. The signing keys of refresh tokens are not published: for a refresh token, the command compares the
hash on record.`,
		Example: `  kubectl refreshkey verify @token.jwt
  kubectl refreshkey token orders --show-token | kubectl refreshkey verify -`,
		Args: cli.Arguments(1, 1, "one token, - for stdin, or @FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return v.run(cmd.Context(), args[0]) },
	}
	v.add(cmd)
	return cmd
}

func (v *verification) run(ctx context.Context, source string) error {
	if err := v.output.Check(); err != nil {
		return err
	}
	compact := strings.TrimSpace(source)
	if file, ok := strings.CutPrefix(source, "@"); ok || source == "-" {
		if source == "-" {
			file = source
		}
		var err error
		if compact, err = v.Read(file); err != nil {
			return err
		}
	}
	p, err := parse(compact)
	if err != nil {
		return v.report(&document{Checks: []check{reject("form", "%v", err)}}, nil)
	}
	k, err := v.connect()
	if err != nil {
		return err
	}
	return v.examine(ctx, k, p, "")
}

// examine gathers the evidence, makes the checks and reports. shown is the token's text if it is to be printed.
func (v *verification) examine(ctx context.Context, k *cluster, p *parsed, shown string) error {
	done := v.Progress.During("looking up the token")
	e := v.gather(ctx, k, p)
	done()
	return v.report(&document{Header: p.header, Claims: p.payload, Checks: examine(e), Token: shown}, p)
}

func (v *verification) gather(ctx context.Context, k *cluster, p *parsed) *evidence {
	e := &evidence{token: p, now: v.Clock.Now(), issuerErr: errNotLookedUp, keyErr: errNotLookedUp, jwksErr: errNotLookedUp}
	if p.claims == nil {
		return e
	}
	e.issuer, e.issuerErr = k.issuerOfURL(ctx, p.claims.Issuer)
	object := p.claims.Object
	if len(content.IsPathSegmentName(object.Namespace)) == 0 && len(content.IsPathSegmentName(object.Name)) == 0 {
		there := *k
		there.namespace = object.Namespace
		if e.key, e.keyErr = there.key(ctx, object.Name); apierrors.IsNotFound(e.keyErr) {
			e.key, e.keyErr = nil, nil
		}
	}
	// Only query an issuer of the cluster: a token may name any URL.
	if e.issuer != nil && !e.refresh() {
		e.jwks, e.jwksErr = v.published(ctx, endpoint.JWKSURL(e.issuer.Spec.URL))
	}
	return e
}

// published fetches the signing keys that are published at a URL.
func (v *verification) published(ctx context.Context, url string) (*jose.JSONWebKeySet, error) {
	client, err := v.httpClient(v.caFile, nil)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, unreachable(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	keys := &jose.JSONWebKeySet{}
	if err != nil || response.StatusCode != http.StatusOK || json.Unmarshal(raw, keys) != nil {
		return nil, fmt.Errorf("%s answered %s, without signing keys", url, response.Status)
	}
	return keys, nil
}

// report prints the result and returns its exit code.
func (v *verification) report(d *document, p *parsed) error {
	found := accepted(d.Checks)
	d.Accepted = map[verdict]string{passed: "yes", failed: "no", unknown: "unknown"}[found]
	if err := v.write(d, p); err != nil {
		return err
	}
	return cli.ExitOnly(map[verdict]int{passed: cli.ExitDone, failed: cli.ExitRefused, unknown: cli.ExitUnverified}[found])
}

func (v *verification) write(d *document, p *parsed) error {
	if !v.output.IsText() {
		return v.output.Document(v.Out, d)
	}
	// The token's text, if it is to be printed, is alone on stdout.
	to, colours := v.Out, v.Colours()
	if d.Token != "" {
		to, colours = v.ErrOut, false
	}
	if p != nil && p.claims != nil {
		decoded(to, p)
	}
	rows := make([][]cli.Cell, 0, len(d.Checks))
	for _, one := range d.Checks {
		rows = append(rows, []cli.Cell{marks[one.Verdict], cli.Text(one.Name), cli.Text(one.Reason)})
	}
	cli.WriteTable(to, colours, "", make([]string, 3), rows)
	fmt.Fprintf(to, "\naccepted: %s\n", d.Accepted)
	if d.Token != "" {
		fmt.Fprintln(v.Out, d.Token)
	}
	return nil
}

// marks are the marks of the verdicts.
var marks = map[verdict]cli.Cell{passed: cli.Painted("✓", cli.Green), failed: cli.Painted("✗", cli.Red), unknown: cli.Painted("?", cli.Yellow)}

// decoded writes the header and the claims as text.
func decoded(to io.Writer, p *parsed) {
	for _, part := range []struct {
		name string
		what any
	}{{"header", p.header}, {"claims", p.payload}} {
		raw, err := json.Marshal(part.what)
		if err != nil {
			continue
		}
		block, err := yaml.JSONToYAML(raw)
		if err != nil {
			continue
		}
		fmt.Fprintf(to, "%s:\n", part.name)
		for line := range strings.Lines(string(block)) {
			fmt.Fprint(to, "  "+line)
		}
	}
	fmt.Fprintln(to)
}
