package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestSameAsKustomize: what Helm installs is what kustomize does, object by object; but for the
// Namespace, which `helm install --create-namespace` makes, since a chart that holds it would take it, and
// the signing keys in it, away at the end.
func TestSameAsKustomize(t *testing.T) {
	cases := []struct{ name, kustomization, values string }{
		{"default", overlay(t, "resources: [ROOT/config/default]"), "{}"},
		{"multitenant", overlay(t, "resources: [ROOT/config/multitenant]"), `{issuerUse: {enabled: true}, aggregatedRoles: {enabled: true}}`},
		{"namespaced", overlay(t, "resources: [ROOT/config/namespaced]"), `{namespaces: [shop, billing]}`},
		{"fast propagation and restarts", overlay(t, "resources: [ROOT/config/default]\ncomponents: [ROOT/config/fast-propagation, ROOT/config/restarts]"),
			`{fastPropagation: {enabled: true}, restarts: {enabled: true}}`},
		{"published CA bundle", overlay(t, "resources: [ROOT/config/default]\ncomponents: [ROOT/config/publish-ca]"), `{tls: {publishCA: true}}`},
		{"console", overlay(t, "resources: [ROOT/config/default]\ncomponents: [ROOT/config/console]"), `{console: {enabled: true}}`},
		{"console with impersonation", overlay(t, "resources: [ROOT/config/default, oidc.yaml]\ncomponents: [ROOT/config/console, ROOT/config/console-impersonation]"),
			`{console: {enabled: true, impersonation: {enabled: true}, oidc: {config: {issuerURL: "https://idp.example.com", clientID: console}}}}`},
		{"monitoring", overlay(t, "resources: [ROOT/config/default]\ncomponents: [ROOT/config/prometheus]"),
			`{monitoring: {serviceMonitor: {enabled: true}, prometheusRule: {enabled: true}, dashboard: {enabled: true}}}`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			rendered, err := render(t, c.values)
			if err != nil {
				t.Fatal(err)
			}
			helms, kustomizes := byName(rendered), byName(objects(t, kubectl(t, "kustomize", c.kustomization)))
			delete(kustomizes, "Namespace /"+namespace)
			if len(kustomizes) < 25 {
				t.Errorf("kustomize makes %d objects only", len(kustomizes))
			}
			if difference := cmp.Diff(kustomizes, helms); difference != "" {
				t.Errorf("kustomize (-) and Helm (+) differ; where config/crd or config/issuer-use has changed: make generate\n%s", difference)
			}
		})
	}
}

// signIn is the configuration of a provider for the console.
const signIn = `apiVersion: v1
kind: ConfigMap
metadata: {name: refreshkeys-console-oidc, namespace: refreshkeys-system, labels: {app.kubernetes.io/name: refreshkeys}}
data:
  config.yaml: |
    clientID: console
    issuerURL: https://idp.example.com
`

// overlay is a folder with a kustomization, in which ROOT is the repository.
func overlay(t *testing.T, text string) string {
	t.Helper()
	// kustomize takes relative paths only, and follows links first.
	folder, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.EvalSymlinks(suite.root)
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(folder, root)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "oidc.yaml"), []byte(signIn), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(strings.ReplaceAll(text, "ROOT", relative)), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

func byName(all []*unstructured.Unstructured) map[string]any {
	named := map[string]any{}
	for _, object := range all {
		withoutHelm(object)
		if rules, found := object.Object["rules"]; found {
			object.Object["rules"] = rights(rules)
		}
		named[object.GetKind()+" "+object.GetNamespace()+"/"+object.GetName()] = object.Object
	}
	return named
}

// withoutHelm takes off what Helm and its conventions add, and nothing else.
func withoutHelm(object *unstructured.Unstructured) {
	labels := object.GetLabels()
	for _, label := range []string{"helm.sh/chart", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by"} {
		delete(labels, label)
	}
	object.SetLabels(labels)
	annotations := object.GetAnnotations()
	delete(annotations, "helm.sh/resource-policy")
	if len(annotations) == 0 {
		annotations = nil
	}
	object.SetAnnotations(annotations)
	unstructured.RemoveNestedField(object.Object, "spec", "template", "metadata", "annotations", "checksum/oidc")
	if left, _, _ := unstructured.NestedMap(object.Object, "spec", "template", "metadata", "annotations"); len(left) == 0 {
		unstructured.RemoveNestedField(object.Object, "spec", "template", "metadata", "annotations")
	}
}

// rights are the rules of a role one by one: `group/resource/name verb`. Two roles are the same when
// they grant the same.
func rights(rules any) (all []string) {
	list := func(rule any, field string) []string {
		found, _, _ := unstructured.NestedStringSlice(rule.(map[string]any), field)
		if len(found) == 0 {
			return []string{""}
		}
		return found
	}
	for _, rule := range rules.([]any) {
		for _, group := range list(rule, "apiGroups") {
			for _, resource := range list(rule, "resources") {
				for _, name := range list(rule, "resourceNames") {
					for _, url := range list(rule, "nonResourceURLs") {
						for _, verb := range list(rule, "verbs") {
							all = append(all, fmt.Sprintf("%s/%s/%s%s %s", group, resource, name, url, verb))
						}
					}
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestVersion: one file says which version is installed.
func TestVersion(t *testing.T) {
	rendered, err := render(t, "{console: {enabled: true}}")
	if err != nil {
		t.Fatal(err)
	}
	kustomized := kubectl(t, "kustomize", overlay(t, "resources: [ROOT/config/default]\ncomponents: [ROOT/config/console]"))
	deployments := append(rendered, objects(t, kustomized)...)
	seen := 0
	for _, object := range deployments {
		if object.GetKind() != "Deployment" {
			continue
		}
		seen++
		containers, _, _ := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
		command := strings.TrimPrefix(object.GetName(), "refreshkeys-")
		if image := containers[0].(map[string]any)["image"]; image != "ghcr.io/refreshkeys/"+command+":"+suite.version {
			t.Errorf("%s runs %v; VERSION says %s: change it in Chart.yaml and in config/%s/kustomization.yaml too", object.GetName(), image, suite.version, command)
		}
	}
	if seen != 6 {
		t.Errorf("%d Deployments were looked at", seen)
	}
}
