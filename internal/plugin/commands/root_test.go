package commands

import (
	"strings"
	"testing"

	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// TestHelp checks that a command line without a command prints help. test/contract holds the commands and their flags.
func TestHelp(t *testing.T) {
	for args, want := range map[string]string{
		"": "Available Commands:", "issuer": "Available Commands:", "revoke --help": "kubectl refreshkey revoke NAME [flags]",
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
		{name: "namespaces", args: "__complete list -n s"},
		{name: "contexts", args: "__complete list --context s"},
		{name: "commands of issuer", args: "__complete issuer w"},
		{name: "signing keys", args: "__complete issuer withdraw --kid r"},
		{name: "no rights", args: "__complete --as guest describe o"},
	})
}
