package view

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// TestDiffering checks which fields of the device that used a token differ from what spec says of it.
func TestDiffering(t *testing.T) {
	for _, c := range []struct {
		name        string
		meant, seen *wire.Device
		want        []string
	}{
		{"nothing is seen", &wire.Device{OS: "Linux"}, nil, nil},
		{"nothing is meant", nil, &wire.Device{OS: "Linux"}, nil},
		{"the same", &wire.Device{ID: "till-17", OS: "Linux", Browser: "Firefox"}, &wire.Device{ID: "till-17", OS: "Linux", Browser: "Firefox"}, nil},
		{"the client says more", &wire.Device{OS: "linux", Browser: "Firefox"}, &wire.Device{OS: "Linux x86_64", Browser: "Firefox 131.0"}, nil},
		{"spec says more", &wire.Device{OS: "Windows 11"}, &wire.Device{OS: "Windows"}, nil},
		{"the client names none of them", &wire.Device{ID: "till-17", OS: "Linux", Browser: "Firefox"}, &wire.Device{Address: "192.0.2.1"}, nil},
		{"others", &wire.Device{ID: "till-17", OS: "Linux", Browser: "Firefox"}, &wire.Device{ID: "till-18", OS: "Windows", Browser: "Firebird 2"}, []string{"id", "os", "browser"}},
		{"an id that begins alike", &wire.Device{ID: "till-1"}, &wire.Device{ID: "till-1 7"}, []string{"id"}},
		{"a name that begins alike", &wire.Device{Browser: "Edge"}, &wire.Device{Browser: "EdgeView"}, []string{"browser"}},
	} {
		if diff := cmp.Diff(c.want, differing(c.meant, c.seen)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

// hostile is an audience that the API server accepts and that a shell would run.
const hostile = "https://x.example.com/;echo$IFS'no'|sh"

// TestSnippets checks that the examples of a key name its Secret and its audience as one word, and that the statements are those of
// docs/how-to/clients.md, which a test runs.
func TestSnippets(t *testing.T) {
	page, err := os.ReadFile("../../../docs/how-to/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	text := map[string]string{}
	for _, one := range snippets("orders-token", hostile, true) {
		text[one.Name] = one.Text
	}
	for name, part := range map[string]string{"Volume": "secretName: orders-token}", "Access token": ` --url 'https://x.example.com/;echo$IFS'\''no'\''|sh'` + "\n"} {
		if !strings.Contains(text[name], part) {
			t.Errorf("%s has no %q: %s", name, part, text[name])
		}
	}
	lines := strings.Split(string(page), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	for _, name := range []string{"Go", "Python", "JavaScript"} {
		for line := range strings.Lines(text[name]) {
			if statement := strings.TrimSpace(line); !slices.Contains(lines, statement) && !strings.Contains(statement, "oauth2.NewClient(ctx, source)") {
				t.Errorf("docs/how-to/clients.md has no line %q of %s", statement, name)
			}
		}
	}
	if command := strings.ReplaceAll(text["curl"], "\\\n  ", ""); !strings.Contains(string(page), strings.TrimSpace(command)) {
		t.Errorf("docs/how-to/clients.md has no command %q", command)
	}
	for _, one := range snippets("orders", "https://orders.example.com", false) {
		if one.Name == "Access token" {
			t.Error("a Secret without an access token has an example that reads it")
		}
	}
	if none := snippets("", "https://orders.example.com", false); none != nil {
		t.Errorf("a key without a Secret: %v", none)
	}
}

// TestSnippetsNameASecret checks that YAML reads the name of the Secret of an example as a text, and that a usual name is not quoted.
func TestSnippetsNameASecret(t *testing.T) {
	for _, name := range []string{
		"orders", "orders-1.example", "123", "007", "1.5", "1e3", "0x1f", "0b1", "0o17", "1_0", "true", "yes", "no", "on", "off", "y", "n", "null", "2026-11-30", "nan",
	} {
		text := snippets(name, "https://orders.example.com", false)[0].Text
		var read struct {
			Spec struct {
				Volumes []struct {
					Secret struct {
						SecretName any `json:"secretName"`
					} `json:"secret"`
				} `json:"volumes"`
			} `json:"spec"`
		}
		if err := yaml.Unmarshal([]byte(text), &read); err != nil {
			t.Fatal(err)
		}
		if got := read.Spec.Volumes[0].Secret.SecretName; got != name {
			t.Errorf("YAML reads %v (%T) for the name %s", got, got, name)
		}
	}
	if text := snippets("orders", "", false)[0].Text; !strings.Contains(text, "secretName: orders}") {
		t.Errorf("the name is quoted without need:\n%s", text)
	}
}
