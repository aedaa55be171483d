package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/guide"
)

// page is a run of docs/plugin.md.
type page struct {
	*guide.Page
	t         *testing.T
	shell     guide.Shell
	namespace string
}

// TestThePage runs the commands of docs/plugin.md in their order, and compares their output with the page, except for times and
// identifiers. UPDATE_DOCS=true updates the page.
func TestThePage(t *testing.T) {
	h := newFixture(t)
	// The plugin shortens cells of more than 40 characters. The page shows a subject with the namespace shop in full.
	namespace := fmt.Sprintf("p%d", os.Getpid())
	h.CreateNamespace(namespace, nil)
	kubeconfig := h.write(namespace+".kubeconfig", h.kubeconfig(namespace))
	if err := h.pods(apiserver.Namespace); err != nil {
		t.Fatal(err)
	}
	read, err := guide.Read(filepath.Join(server.Root, "docs", "plugin.md"))
	if err != nil {
		t.Fatal(err)
	}
	p := &page{Page: read, t: t, namespace: namespace, shell: guide.Shell{Dir: h.dir, Env: h.variables(namespace, kubeconfig)}}
	for _, variable := range p.shell.Env {
		if config, ok := strings.CutPrefix(variable, "XDG_CONFIG_HOME="); ok {
			p.shell.Shown = strings.NewReplacer(h.replicas[0].Server.URL, "https://tokens.example.com", namespace, "shop", config, "/home/jane/.config")
		}
	}
	p.shell.Typed = strings.NewReplacer("shop/", namespace+"/")
	p.play()
	p.mentionsAll()
	p.kubeconfig()
}

// play runs the commands of the page.
func (p *page) play() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 4*patience)
	defer cancel()
	steps := p.Own()
	printed, err := p.shell.Play(ctx, p.Page, steps)
	for i, text := range printed {
		if jwt.MatchString(text) {
			p.t.Errorf("%s: the output contains a token", steps[i].Commands)
		}
	}
	switch {
	case err != nil && os.Getenv("UPDATE_DOCS") == "true" && len(printed) == len(steps):
		if err := os.WriteFile(p.Path, []byte(p.Updated(steps, printed)), 0o644); err != nil {
			p.t.Fatal(err)
		}
	case err != nil:
		p.t.Errorf("the page and a run differ (UPDATE_DOCS=true go test -run TestThePage ./test/plugin updates the page):\n%v", err)
	}
}

// mentionsAll checks that the page mentions every command.
func (p *page) mentionsAll() {
	p.t.Helper()
	said, _, _ := run(p.shell.Dir, p.shell.Env, "", "kubectl-refreshkey", "__complete", "")
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
		if !strings.Contains(p.Text, "`"+name) && !strings.Contains(p.Text, "kubectl refreshkey "+name) {
			p.t.Errorf("the page does not mention %s", name)
		}
	}
}

// kubeconfig checks that client-go accepts the page's user, and that its command works.
func (p *page) kubeconfig() {
	p.t.Helper()
	config, err := clientcmd.Load([]byte("apiVersion: v1\nkind: Config\n" + p.Files["kubeconfig.yaml"]))
	if err != nil || config.AuthInfos["jane"] == nil || config.AuthInfos["jane"].Exec == nil {
		p.t.Fatalf("the page's kubeconfig: %v", err)
	}
	user := config.AuthInfos["jane"].Exec
	login := []string{"login", "--audience", "https://orders.example.com", "--service-account", p.namespace + "/till", "--ca-file", "ca.crt"}
	if _, stderr, code := run(p.shell.Dir, p.shell.Env, "", "kubectl-refreshkey", login...); code != 0 {
		p.t.Fatal(stderr)
	}
	asked := append(slices.Clone(p.shell.Env), `KUBERNETES_EXEC_INFO={"apiVersion":"`+user.APIVersion+`","kind":"ExecCredential","spec":{"interactive":false}}`)
	said, stderr, code := run(p.shell.Dir, asked, "", user.Command, user.Args...)
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
