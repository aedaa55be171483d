package compat

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

// TestSupportedVersions checks that the chart and the pages name the versions that make compat measures.
func TestSupportedVersions(t *testing.T) {
	oldest, newest := pinned(t, "hack/controlplane/oldest"), pinned(t, "hack/controlplane")
	minor := oldest[:strings.LastIndex(oldest, ".")]
	var chart struct {
		KubeVersion string `json:"kubeVersion"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "charts/refreshkeys/Chart.yaml")), &chart); err != nil {
		t.Fatal(err)
	}
	if want := ">=" + minor + ".0-0"; chart.KubeVersion != want {
		t.Errorf("kubeVersion of the chart is %s, want %s", chart.KubeVersion, want)
	}
	for page, texts := range map[string][]string{
		"docs/compatibility.md": {oldest, newest, "Kubernetes " + minor},
		"docs/install.md":       {"Kubernetes " + minor + " or later"},
	} {
		for _, text := range texts {
			if !strings.Contains(read(t, page), text) {
				t.Errorf("%s does not contain %q", page, text)
			}
		}
	}
}

// pinned returns the version of Kubernetes that the go.mod in a folder pins.
func pinned(t *testing.T, folder string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^require \S+/kubernetes v(\S+)`).FindStringSubmatch(read(t, folder+"/go.mod"))
	if found == nil {
		t.Fatalf("%s/go.mod pins no k8s.io/kubernetes", folder)
	}
	return found[1]
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root(t), file))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func root(t *testing.T) string {
	t.Helper()
	root, err := cluster.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}
