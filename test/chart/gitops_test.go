package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// TestGitOpsExamples checks the manifests of docs/gitops.md: those of Flux with its own types, that of Argo CD with its CRD at the API server,
// both without unknown fields; and that the chart takes their values.
func TestGitOpsExamples(t *testing.T) {
	h := newHarness(t)
	manifests := manifestsOf(t, "docs/gitops.md")

	source, release := &sourcev1.OCIRepository{}, &helmv2.HelmRelease{}
	strictly(t, manifests["OCIRepository"], source)
	strictly(t, manifests["HelmRelease"], release)
	if ref := release.Spec.ChartRef; ref == nil || ref.Kind != source.Kind || ref.Name != source.Name || release.Namespace != source.Namespace {
		t.Errorf("the chart of the HelmRelease is %v", ref)
	}
	if release.Spec.ReleaseName != "refreshkeys" || release.Spec.TargetNamespace != namespace {
		t.Errorf("Flux installs %s into %s", release.Spec.ReleaseName, release.Spec.TargetNamespace)
	}
	isTaken(t, release.Spec.Values.Raw)

	application := &unstructured.Unstructured{}
	strictly(t, manifests["Application"], &application.Object)
	examined := application.DeepCopy()
	examined.SetNamespace("default")
	if err := client.WithFieldValidation(h.Admin, "Strict").Create(h.Ctx, examined, client.DryRunAll); err != nil {
		t.Errorf("Argo CD does not take the Application: %v", err)
	}
	chart, _, _ := unstructured.NestedString(application.Object, "spec", "source", "chart")
	from, _, _ := unstructured.NestedString(application.Object, "spec", "source", "repoURL")
	if "oci://"+from+"/"+chart != source.Spec.URL {
		t.Errorf("Argo CD takes the chart from %s/%s, and Flux from %s", from, chart, source.Spec.URL)
	}
	values, _, _ := unstructured.NestedMap(application.Object, "spec", "source", "helm", "valuesObject")
	raw, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	isTaken(t, raw)
}

// isTaken checks that the chart renders with values, of which it refuses unknown ones, and that they change it.
func isTaken(t *testing.T, values []byte) {
	t.Helper()
	all, err := render(t, string(values))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(values), "serviceMonitor") || contents(all)["ServiceMonitor "+namespace+"/refreshkeys-manager"] == nil {
		t.Errorf("the values %s have no effect", values)
	}
}

func strictly(t *testing.T, manifest string, into any) {
	t.Helper()
	if manifest == "" {
		t.Fatalf("the page has no %T", into)
	}
	if err := yaml.UnmarshalStrict([]byte(manifest), into); err != nil {
		t.Errorf("%v in\n%s", err, manifest)
	}
}

// manifestsOf returns the manifests of a page by their kind.
func manifestsOf(t *testing.T, page string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(suite.root, page))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		for manifest := range strings.SplitSeq(block[1], "---\n") {
			if kind := regexp.MustCompile(`(?m)^kind: (\w+)$`).FindStringSubmatch(manifest); kind != nil {
				found[kind[1]] = manifest
			}
		}
	}
	return found
}
