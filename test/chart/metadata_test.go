package chart

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// chartFile is what is read of Chart.yaml.
type chartFile struct {
	AppVersion, Icon, Home string
	Maintainers            []struct{ Name, URL string }
	Annotations            map[string]string
}

// TestArtifactHub checks that the annotations of Chart.yaml say what the chart installs, and that what they point to is there.
func TestArtifactHub(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(suite.root, "charts/refreshkeys/Chart.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	chart := &chartFile{}
	if err := yaml.Unmarshal(text, chart); err != nil {
		t.Fatal(err)
	}
	all, err := render(t, "{console: {enabled: true}}")
	if err != nil {
		t.Fatal(err)
	}
	installed, images := installs(t, all)
	listed, pulled := []string{}, []string{}
	for _, each := range entries(t, chart, "crds") {
		listed = append(listed, each["name"]+" "+each["kind"]+" "+each["version"])
	}
	for _, each := range entries(t, chart, "images") {
		pulled = append(pulled, each["image"])
	}
	if difference := cmp.Diff(sorted(installed), sorted(listed)); difference != "" {
		t.Errorf("the CRDs of the chart (-) and those of Chart.yaml (+) differ:\n%s", difference)
	}
	if difference := cmp.Diff(sorted(images), sorted(pulled)); difference != "" {
		t.Errorf("the images of the chart (-) and those of Chart.yaml (+) differ:\n%s", difference)
	}
	if chart.AppVersion != suite.version {
		t.Errorf("appVersion is %s, and VERSION says %s", chart.AppVersion, suite.version)
	}
	for _, each := range entries(t, chart, "changes") {
		if !slices.Contains([]string{"added", "changed", "deprecated", "removed", "fixed", "security"}, each["kind"]) || each["description"] == "" {
			t.Errorf("Artifact Hub does not take the change %v", each)
		}
	}
	urls := []string{chart.Icon}
	for _, each := range entries(t, chart, "links") {
		urls = append(urls, each["url"])
	}
	for _, url := range urls {
		_, file, found := strings.Cut(url, "/main/")
		if _, err := os.Stat(filepath.Join(suite.root, file)); !found || err != nil {
			t.Errorf("%s is not a file of this repository: %v", url, err)
		}
	}
	if len(chart.Maintainers) != 1 || chart.Maintainers[0].URL != chart.Home {
		t.Errorf("the maintainers are %v", chart.Maintainers)
	}
	checkExamples(t, chart)
}

// checkExamples checks that the API server takes the examples of the kinds.
func checkExamples(t *testing.T, chart *chartFile) {
	t.Helper()
	h := newHarness(t)
	prepareNamespaces(h)
	var examples []map[string]any
	if err := yaml.UnmarshalStrict([]byte(chart.Annotations["artifacthub.io/crdsExamples"]), &examples); err != nil || len(examples) != 2 {
		t.Fatal(len(examples), err)
	}
	all := make([]*unstructured.Unstructured, len(examples))
	for i := range examples {
		all[i] = &unstructured.Unstructured{Object: examples[i]}
	}
	checkTaken(h, all)
}

// entries are the elements of an annotation of Artifact Hub, without those of their fields that are lists.
func entries(t *testing.T, chart *chartFile, annotation string) (all []map[string]string) {
	t.Helper()
	var found []map[string]any
	if err := yaml.UnmarshalStrict([]byte(chart.Annotations["artifacthub.io/"+annotation]), &found); err != nil || len(found) == 0 {
		t.Fatalf("%s: %v, %v", annotation, found, err)
	}
	for _, each := range found {
		texts := map[string]string{}
		for field, value := range each {
			if text, ok := value.(string); ok {
				texts[field] = text
			}
		}
		all = append(all, texts)
	}
	return all
}

// installs returns the CRDs and the images of a rendering.
func installs(t *testing.T, all []*unstructured.Unstructured) (kinds, images []string) {
	t.Helper()
	for _, object := range all {
		if object.GetKind() == "CustomResourceDefinition" {
			kind, _, _ := unstructured.NestedString(object.Object, "spec", "names", "kind")
			versions, _, _ := unstructured.NestedSlice(object.Object, "spec", "versions")
			for _, version := range versions {
				kinds = append(kinds, object.GetName()+" "+kind+" "+version.(map[string]any)["name"].(string))
			}
		}
		if template := podTemplate(t, object); template != nil {
			images = append(images, template.Spec.Containers[0].Image)
		}
	}
	return kinds, images
}

func sorted(all []string) []string { return slices.Sorted(slices.Values(all)) }

// TestReadme checks that `helm show readme` has a page with the values.
func TestReadme(t *testing.T) {
	said, err := helm(t.Context(), "show", "readme", "charts/refreshkeys")
	if err != nil {
		t.Fatal(err)
	}
	for _, piece := range []string{"# Refresh Keys\n", "| tokenServer.auditLog.mode | `\"Disabled\"` |"} {
		if !strings.Contains(said, piece) {
			t.Errorf("the page does not say %q", piece)
		}
	}
}
