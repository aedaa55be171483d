package contract

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/console"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
	"github.com/refreshkeys/refreshkeys/internal/plugin/commands"
	"github.com/refreshkeys/refreshkeys/internal/tokenserver"
	"github.com/refreshkeys/refreshkeys/internal/version"
)

// help returns what a command of the plugin prints about itself.
func help(t *testing.T, command []string) string {
	t.Helper()
	return printed(t, append(slices.Clone(command), "--help"))
}

// printed returns what the plugin prints, with the wrapped lines of a flag as one.
func printed(t *testing.T, args []string) string {
	t.Helper()
	var out bytes.Buffer
	code := commands.Main(context.Background(), args, cli.Options{
		IOStreams: genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &out},
		Clock:     clock.RealClock{}, Getenv: func(string) string { return "" }, Build: version.Info{Version: "v0.0.0"},
	})
	if code != 0 {
		t.Fatalf("%v: exit code %d: %s", args, code, &out)
	}
	return wrapped.ReplaceAllString(out.String(), " ")
}

var (
	chapter    = regexp.MustCompile(`^(\S.*):$`)
	subcommand = regexp.MustCompile(`^  ([a-z][a-z-]*)  `)
	wrapped    = regexp.MustCompile(`\n {20,}`)
	ownFlag    = regexp.MustCompile(`^  +((?:-\w, )?--[a-z-]+(?: [\w,.]+)?)(?:\[=[^\]]*\])?(?:  |$)`)
	inDefault  = regexp.MustCompile(`\(default [^)]*\)$`)
)

// pluginCommands returns the commands of the plugin, their aliases and their flags.
func pluginCommands(t *testing.T) (lines []string) {
	t.Helper()
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	waiting := [][]string{nil}
	for len(waiting) > 0 {
		command := waiting[0]
		waiting = waiting[1:]
		path, title := strings.Join(append([]string{"refreshkey"}, command...), " "), ""
		lines = append(lines, path)
		text := help(t, command)
		if command == nil {
			text += printed(t, []string{"options"})
		}
		for line := range strings.Lines(text) {
			line = strings.TrimRight(line, "\n")
			if found := chapter.FindStringSubmatch(line); found != nil {
				title = found[1]
				continue
			}
			if found := subcommand.FindStringSubmatch(line); found != nil && title == "Available Commands" {
				waiting = append(waiting, append(slices.Clone(command), found[1]))
			}
			if title == "Aliases" && strings.HasPrefix(line, "  ") {
				lines = append(lines, path+" aliases: "+strings.TrimSpace(line))
			}
			if found := ownFlag.FindStringSubmatch(line); found != nil && found[1] != "-h, --help" && (title == "Flags" || title == "These flags can be set for every command") {
				line = strings.ReplaceAll(line, home, "$HOME")
				lines = append(lines, strings.TrimSpace(path+" "+found[1]+" "+inDefault.FindString(line)))
			}
		}
	}
	return lines
}

var described = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", .*, constLabels: (\{[^}]*\}), variableLabels: (\{[^}]*\})\}$`)

// discover answers as much of the discovery of an API server as a manager needs to be made.
func discover(w http.ResponseWriter, r *http.Request) {
	resources := map[string]string{
		"/apis/jwt.refreshkeys.dev/v1alpha1": `[
			{"name":"jwtrefreshkeys","kind":"JWTRefreshKey","namespaced":true,"verbs":["list"]},
			{"name":"jwtissuers","kind":"JWTIssuer","verbs":["list"]}]`,
		"/api/v1": `[
			{"name":"secrets","kind":"Secret","namespaced":true,"verbs":["list"]},
			{"name":"namespaces","kind":"Namespace","verbs":["list"]}]`,
	}
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/api":
		fmt.Fprint(w, `{"kind":"APIVersions","versions":["v1"]}`)
	case "/apis":
		fmt.Fprint(w, `{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"jwt.refreshkeys.dev",
			"versions":[{"groupVersion":"jwt.refreshkeys.dev/v1alpha1","version":"v1alpha1"}],
			"preferredVersion":{"groupVersion":"jwt.refreshkeys.dev/v1alpha1","version":"v1alpha1"}}]}`)
	default:
		version := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/apis/"), "/api/")
		fmt.Fprintf(w, `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":%q,"resources":%s}`, version, resources[r.URL.Path])
	}
}

// metrics returns the product's own metrics with their labels. Nothing is served or collected.
func metrics(t *testing.T) (lines []string) {
	t.Helper()
	manager, service := prometheus.NewRegistry(), prometheus.NewRegistry()
	discovery := httptest.NewServer(http.HandlerFunc(discover))
	defer discovery.Close()
	_, err := controllers.NewManager(&rest.Config{Host: discovery.URL},
		ctrl.Options{Metrics: server.Options{BindAddress: "0"}}, controllers.Options{Namespace: "contract", Metrics: manager})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokenserver.NewMetrics(service, tokenserver.Facts{}); err != nil {
		t.Fatal(err)
	}
	page := prometheus.NewRegistry()
	if _, err := console.New(console.Options{
		Registerer: page, Clock: clock.RealClock{}, Hosts: []string{"localhost"}, BasePath: "/", SessionIdle: time.Hour, SessionMax: time.Hour,
	}); err != nil {
		t.Fatal(err)
	}
	for command, registry := range map[string]*prometheus.Registry{"manager": manager, "tokenserver": service, "console": page} {
		descriptors := make(chan *prometheus.Desc)
		go func() {
			registry.Describe(descriptors)
			close(descriptors)
		}()
		for descriptor := range descriptors {
			found := described.FindStringSubmatch(descriptor.String())
			if found == nil {
				t.Fatalf("a descriptor has another form: %s", descriptor)
			}
			lines = append(lines, fmt.Sprintf("%s %s %s %s", command, found[1], found[2], found[3]))
		}
	}
	return lines
}

func readYAML(t *testing.T, file string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	var content map[string]any
	if err := yaml.Unmarshal(text, &content); err != nil {
		t.Fatal(err)
	}
	return content
}

// apiFields returns each field of the CustomResourceDefinitions with all that validates it, and without its description
// and the messages of its rules.
func apiFields(t *testing.T) (lines []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "config/crd/bases/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		spec, _ := readYAML(t, "config/crd/bases/"+filepath.Base(file))["spec"].(map[string]any)
		names, _ := spec["names"].(map[string]any)
		kind := fmt.Sprint(names["kind"])
		lines = append(lines, fmt.Sprintf("%s group=%v scope=%v names=%v", kind, spec["group"], spec["scope"], names))
		versions, _ := spec["versions"].([]any)
		for _, each := range versions {
			version, _ := each.(map[string]any)
			columns, _ := version["additionalPrinterColumns"].([]any)
			for _, column := range columns {
				c, _ := column.(map[string]any)
				lines = append(lines, fmt.Sprintf("%s column %v %v %v", kind, c["name"], c["type"], c["jsonPath"]))
			}
			schema, _ := version["schema"].(map[string]any)
			lines = append(lines, fields(kind, schema["openAPIV3Schema"])...)
		}
	}
	return lines
}

func fields(path string, schema any) (lines []string) {
	s, ok := schema.(map[string]any)
	if !ok {
		return nil
	}
	about := map[string]any{}
	for name, value := range s {
		switch name {
		case "description", "properties", "items", "additionalProperties":
		case "x-kubernetes-validations":
			rules, _ := value.([]any)
			for _, each := range rules {
				if rule, ok := each.(map[string]any); ok {
					lines = append(lines, fmt.Sprintf("%s rule %q", path, rule["rule"]))
				}
			}
		default:
			about[name] = value
		}
	}
	lines = append(lines, fmt.Sprintf("%s %v", path, about))
	properties, _ := s["properties"].(map[string]any)
	for name, property := range properties {
		lines = append(lines, fields(path+"."+name, property)...)
	}
	lines = append(lines, fields(path+"[]", s["items"])...)
	return append(lines, fields(path+"{}", s["additionalProperties"])...)
}

// alerts returns the names, labels and expressions of the alerts.
func alerts(t *testing.T) (lines []string) {
	t.Helper()
	spec, _ := readYAML(t, "config/prometheus/rules.yaml")["spec"].(map[string]any)
	groups, _ := spec["groups"].([]any)
	for _, each := range groups {
		group, _ := each.(map[string]any)
		rules, _ := group["rules"].([]any)
		for _, each := range rules {
			rule, _ := each.(map[string]any)
			lines = append(lines, fmt.Sprintf("%v%v %v for=%v %q", rule["alert"], rule["record"], rule["labels"], rule["for"], rule["expr"]))
		}
	}
	return lines
}

// chartValues returns the values of the chart with their defaults.
func chartValues(t *testing.T) []string {
	t.Helper()
	return values("", readYAML(t, "charts/refreshkeys/values.yaml"))
}

func values(path string, value any) (lines []string) {
	below, ok := value.(map[string]any)
	if !ok || len(below) == 0 {
		return []string{fmt.Sprintf("%s=%#v", strings.TrimPrefix(path, "."), value)}
	}
	for name, value := range below {
		lines = append(lines, values(path+"."+name, value)...)
	}
	return lines
}
