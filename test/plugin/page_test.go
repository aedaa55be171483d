package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

// page is a run of docs/plugin.md.
type page struct {
	t           *testing.T
	dir         string
	environment []string
	// shown replaces the names of a run by those on the page, and typed does the reverse.
	shown *strings.Replacer
	typed *strings.Replacer
	ran   map[string]bool
}

// TestThePage runs the commands of docs/plugin.md in their order, and compares their output with the page, except for times and
// identifiers. UPDATE_DOCS=true updates the page.
func TestThePage(t *testing.T) {
	h := newHarness(t)
	namespace, kubeconfig := h.newNamespace()
	if err := h.pods(apiserver.Namespace); err != nil {
		t.Fatal(err)
	}
	p := &page{t: t, dir: t.TempDir(), environment: h.variables(namespace, kubeconfig), ran: map[string]bool{}}
	url := h.replicas[0].Server.URL
	home := ""
	for _, variable := range p.environment {
		if value, ok := strings.CutPrefix(variable, "HOME="); ok {
			home = value
		}
		if value, ok := strings.CutPrefix(variable, "CA="); ok {
			authority, err := os.ReadFile(value)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(p.dir, "ca.crt"), authority, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.shown = strings.NewReplacer(url, "https://tokens.example.com", namespace, "shop", filepath.Join(home, "config"), "/home/jane/.config")
	p.typed = strings.NewReplacer("shop/", namespace+"/")

	file := filepath.Join(server.Root, "docs", "plugin.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := p.run(string(text))
	if os.Getenv("UPDATE_DOCS") == "true" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(lasting(string(text)), lasting(got)); diff != "" {
		t.Errorf("the page and a run differ (UPDATE_DOCS=true go test -run TestThePage ./test/plugin updates the page):\n%s", diff)
	}
	p.mentionsAll(string(text))
	p.kubeconfig(string(text))
}

// run runs the commands of the page, and returns the page with their output.
func (p *page) run(text string) string {
	var out strings.Builder
	console := false
	for line := range strings.Lines(text) {
		waits, isWait := strings.CutPrefix(line, "<!-- until ")
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, "```"):
			console = line == "```console\n"
			out.WriteString(line)
		case isWait:
			p.until(strings.TrimSuffix(waits, " -->\n"))
			out.WriteString(line)
		case console && isCommand:
			out.WriteString(line)
			out.WriteString(p.command(strings.TrimSuffix(command, "\n")))
		case !console:
			out.WriteString(line)
		}
	}
	return out.String()
}

func (p *page) command(line string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*patience)
	defer cancel()
	shell := exec.CommandContext(ctx, "sh", "-c", p.typed.Replace(line))
	shell.Dir, shell.Env = p.dir, p.environment
	said, err := shell.CombinedOutput()
	p.ran[line] = true
	text := p.shown.Replace(string(said))
	if jwt.MatchString(text) {
		p.t.Errorf("%s: the output contains a token", line)
	}
	if err != nil {
		text += fmt.Sprintf("(exit code %d)\n", shell.ProcessState.ExitCode())
	}
	return text
}

// until waits until kubectl's output contains a text.
func (p *page) until(line string) {
	p.t.Helper()
	args, want, _ := strings.Cut(line, " -- ")
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(pollEvery) {
		if said, _, code := run(p.dir, p.environment, "", "kubectl", strings.Fields(args)...); code == 0 && strings.Contains(said, want) {
			return
		}
	}
	p.t.Fatalf("kubectl %s did not print %s", args, want)
}

// lasting returns a page without the parts that differ from run to run.
func lasting(text string) string {
	for _, rule := range []struct{ pattern, instead string }{
		{`\d{4}-\d\d-\d\dT[0-9:.]+Z`, "TIME"},
		{`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`, "UUID"},
		{`(?m)(^|[^A-Za-z0-9_-])[A-Za-z0-9_-]{43}([^A-Za-z0-9_-]|$)`, "${1}KID${2}"},
		{`(exp|iat|nbf): \d+`, "$1: SECONDS"},
		{`\bsession-[a-z0-9]+`, "SESSION"},
		{`after [0-9.]+m?s`, "after A WHILE"},
		{`(in )?\b([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?\b( ago)?`, ""},
		{`[ \t]+`, " "},
	} {
		text = regexp.MustCompile(rule.pattern).ReplaceAllStringFunc(text, func(found string) string {
			if rule.instead == "" && !strings.ContainsAny(found, "0123456789") {
				return found
			}
			return regexp.MustCompile(rule.pattern).ReplaceAllString(found, rule.instead)
		})
	}
	return text
}

// mentionsAll checks that the page mentions every command.
func (p *page) mentionsAll(text string) {
	p.t.Helper()
	said, _, _ := run(p.dir, p.environment, "", "kubectl-refreshkey", "__complete", "")
	var commands []string
	for line := range strings.Lines(said) {
		if name, _, ok := strings.Cut(line, "\t"); ok && name != "completion" && name != "help" && name != "exit-codes" {
			commands = append(commands, name)
		}
	}
	if len(commands) < 10 {
		p.t.Errorf("only %d commands were found", len(commands))
	}
	for _, name := range commands {
		if !strings.Contains(text, "`"+name) && !strings.Contains(text, "kubectl refreshkey "+name) {
			p.t.Errorf("the page does not mention %s", name)
		}
	}
}

// kubeconfig checks that client-go accepts the page's user, and that its command works.
func (p *page) kubeconfig(text string) {
	p.t.Helper()
	_, rest, _ := strings.Cut(text, "<!-- kubeconfig.yaml -->\n```yaml\n")
	block, _, _ := strings.Cut(rest, "```")
	config, err := clientcmd.Load([]byte("apiVersion: v1\nkind: Config\n" + block))
	if err != nil || config.AuthInfos["jane"] == nil || config.AuthInfos["jane"].Exec == nil {
		p.t.Fatalf("the page's kubeconfig: %v", err)
	}
	user := config.AuthInfos["jane"].Exec
	ca := filepath.Join(p.dir, "ca.crt")
	for _, variable := range p.environment {
		if namespace, ok := strings.CutPrefix(variable, "NAMESPACE="); ok {
			if _, stderr, code := run(p.dir, p.environment, "", "kubectl-refreshkey", "login", "--audience", "https://orders.example.com", "--service-account", namespace+"/till", "--ca-file", ca); code != 0 {
				p.t.Fatal(stderr)
			}
		}
	}
	asked := append(slices.Clone(p.environment), `KUBERNETES_EXEC_INFO={"apiVersion":"`+user.APIVersion+`","kind":"ExecCredential","spec":{"interactive":false}}`)
	said, stderr, code := run(p.dir, asked, "", user.Command, user.Args...)
	var credential struct {
		APIVersion string
		Status     struct{ Token, ExpirationTimestamp string }
	}
	if err := json.Unmarshal([]byte(said), &credential); code != 0 || err != nil || credential.APIVersion != user.APIVersion {
		p.t.Fatalf("the page's user: exit code %d, %v: %s", code, err, stderr)
	}
	if kind, _ := kindOf(credential.Status.Token); kind != "at+jwt" || credential.Status.ExpirationTimestamp == "" {
		p.t.Errorf("the page's user gets %s until %q", kind, credential.Status.ExpirationTimestamp)
	}
}
