package commands

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// bare makes the cluster one without Refresh Keys.
func bare(w *harness) {
	w.prepare = func(f *fakeCluster) { f.bare = true }
}

// eachCommand calls do for the root command and all below it.
func eachCommand(do func(*cobra.Command)) {
	root := (&app{cli.New(cli.Options{IOStreams: genericiooptions.IOStreams{Out: io.Discard, ErrOut: io.Discard}, Build: build})}).root()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		do(cmd)
		for _, child := range cmd.Commands() {
			visit(child)
		}
	}
	visit(root)
}

// TestHelpFits checks that the help of every command fits 100 columns, and names the flags of all commands only in options.
func TestHelpFits(t *testing.T) {
	commands := 0
	eachCommand(func(cmd *cobra.Command) {
		commands++
		var out bytes.Buffer
		cmd.SetOut(&out)
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if width := utf8.RuneCountInString(strings.TrimRight(line, "\n")); width > 100 {
				t.Errorf("%s --help: %d columns: %s", cmd.CommandPath(), width, line)
			}
		}
		if strings.Contains(out.String(), "--as-user-extra") {
			t.Errorf("%s --help lists the flags of all commands", cmd.CommandPath())
		}
	})
	if commands < 20 {
		t.Errorf("only %d commands were checked", commands)
	}
}

// TestEveryFlagCompletes checks that each flag with a value has a completion, unless it names a file.
func TestEveryFlagCompletes(t *testing.T) {
	files := []string{
		"ca-file", "cache-dir", "certificate-authority", "client-certificate", "client-key", "kubeconfig", "one-time-file", "password-file",
		"subject-token-file", "template", "token-file",
	}
	eachCommand(func(cmd *cobra.Command) {
		check := func(flag *pflag.Flag) {
			_, completes := cmd.GetFlagCompletionFunc(flag.Name)
			if flag.NoOptDefVal != "true" && !completes && !slices.Contains(files, flag.Name) {
				t.Errorf("%s --%s has no completion: offer its values, or add it to freeText", cmd.CommandPath(), flag.Name)
			}
		}
		cmd.LocalNonPersistentFlags().VisitAll(check)
		cmd.PersistentFlags().VisitAll(check)
	})
}

// TestVerbose checks that -v shows requests and headers on stderr, and no token.
func TestVerbose(t *testing.T) {
	for level, want := range map[string]string{"5": "", "6": "/namespaces/shop/secrets/orders", "7": "Authorization: (hidden)", "9": "Authorization: (hidden)"} {
		w := newHarness(t)
		transcript, code := w.run(t, "exchange orders -v "+level)
		_, logged, _ := strings.Cut(transcript, "stderr:")
		if code != cli.ExitDone || !strings.Contains(logged, want) || (logged != "") != (want != "") {
			t.Errorf("-v %s: exit code %d: %s", level, code, transcript)
		}
		for _, secret := range []string{string(w.secret.Data[v1alpha1.SecretToken]), "an-access-token", "Bearer admin", "<token>"} {
			if strings.Contains(logged, secret) {
				t.Errorf("-v %s shows a token: %s", level, logged)
			}
		}
		if want != "" && (!strings.Contains(logged, `url="https://tokens.test/token"`) || !strings.Contains(logged, `status="200 OK"`)) {
			t.Errorf("-v %s does not show the request to the token service: %s", level, logged)
		}
	}
}

// TestHelp checks that a command line without a command prints help. test/contract holds the commands and their flags.
func TestHelp(t *testing.T) {
	for args, want := range map[string]string{
		"": "Available Commands:", "options": "--as-user-extra", "issuer": "Available Commands:", "revoke --help": "kubectl refreshkey revoke NAME... [flags]",
	} {
		if transcript, code := newHarness(t).run(t, args); code != cli.ExitDone || !strings.Contains(transcript, want) {
			t.Errorf("%q: exit code %d: %s", args, code, transcript)
		}
	}
}

func TestRoot(t *testing.T) {
	play(t, "root", []row{
		{name: "an unknown command", args: "nonsense", code: cli.ExitUsage},
		{name: "the version", args: "--version"},
		{name: "the exit codes", args: "help exit-codes"},
		{name: "an unknown command of issuer", args: "issuer nonsense", code: cli.ExitUsage},
		{name: "not installed", args: "list", with: bare, code: cli.ExitError},
		{name: "not installed, one key", args: "describe orders", with: bare, code: cli.ExitError},
		{name: "not installed, a token", args: "verify -", with: all(bare, func(w *harness) { w.stdin = w.tokens.refresh(2) }), code: cli.ExitUnverified},
		{name: "not installed, a new key", args: "create other --audience https://orders.example.com", with: bare, code: cli.ExitError},
		{name: "the API server is unavailable", args: "list --server https://127.0.0.1:1", code: cli.ExitError},
	})
}

func TestCompletion(t *testing.T) {
	play(t, "completion", []row{
		{name: "keys", args: "__complete describe o", with: several},
		{name: "no such key", args: "__complete describe nothing", with: several},
		{name: "issuers", args: "__complete issuer keys d"},
		{name: "issuers of a flag", args: "__complete create orders --issuer d"},
		{name: "modes", args: "__complete create --mode O"},
		{name: "formats", args: "__complete list -o w"},
		{name: "several keys", args: "__complete describe orders o", with: several},
		{name: "keys with their kind", args: "__complete rotate jrk/o", with: several},
		{name: "statuses", args: "__complete list --status Issued,se"},
		{name: "ServiceAccounts", args: "__complete login --service-account shop/"},
		{name: "sessions", args: "__complete exchange --session d", with: func(w *harness) { w.write(".config/refreshkeys/sessions/default.json", "{}") }},
		{name: "users", args: "__complete list --user s"},
		{name: "clusters", args: "__complete list --cluster h"},
		{name: "levels", args: "__complete list -v 6"},
		{name: "a text", args: "__complete create --audience h"},
		{name: "namespaces", args: "__complete list -n s"},
		{name: "contexts", args: "__complete list --context s"},
		{name: "commands of issuer", args: "__complete issuer w"},
		{name: "signing keys", args: "__complete issuer withdraw --kid r"},
		{name: "no rights", args: "__complete --as guest describe o"},
	})
}
