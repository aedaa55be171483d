package chart

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// TestValues: each combination is taken by the API server as a whole, its pods are admitted where
// Pod Security `restricted` is enforced and write nothing to their disk, and the commands know the flags.
func TestValues(t *testing.T) {
	h := newHarness(t)
	prepareNamespaces(h)
	commands := buildCommands(t)
	for _, c := range slices.Concat(combinations, consoleCombinations) {
		t.Run(c.name, func(t *testing.T) {
			all, err := render(t, c.values)
			if err != nil {
				t.Fatal(err)
			}
			checkObjects(t, all, c)
			checkTaken(h.In(t), all)
			for _, object := range all {
				if template := podTemplate(t, object); template != nil {
					checkPod(h.In(t), object, template, commands)
				}
			}
		})
	}
}

// prepareNamespaces makes what a release with these values finds: namespaces, and the kinds.
func prepareNamespaces(h *harness.Harness) {
	h.T.Helper()
	for _, each := range []string{namespace, "shop", "billing"} {
		err := h.Admin.Create(h.Ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: each, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
		}})
		if client.IgnoreAlreadyExists(err) != nil {
			h.T.Fatal(err)
		}
	}
	// Pods are admitted only for ServiceAccounts and of priorities that are there.
	kubectl(h.T, "apply", "--server-side", "-k", filepath.Join(suite.root, "config/default"))
	h.T.Cleanup(func() { cleanUp(h.T) })
	for _, account := range []string{"refreshkeys-uninstall", "refreshkeys-console"} {
		kubectl(h.T, "create", "serviceaccount", "--namespace", namespace, account)
	}
	kubectl(h.T, "wait", "--for=condition=Established", "--timeout=1m", "crd/jwtissuers.jwt.refreshkeys.dev", "crd/jwtrefreshkeys.jwt.refreshkeys.dev")
}

// buildCommands builds all of them into a folder.
func buildCommands(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", folder, "./cmd/manager", "./cmd/tokenserver", "./cmd/console")
	build.Dir, build.Env = suite.root, append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if _, err := output(build); err != nil {
		t.Fatal(err)
	}
	return folder
}

func checkObjects(t *testing.T, all []*unstructured.Unstructured, c combination) {
	t.Helper()
	var names, kinds []string
	var texts strings.Builder
	for _, object := range all {
		names, kinds = append(names, name(object)), append(kinds, object.GetKind())
		text, err := yaml.Marshal(object.Object)
		if err != nil {
			t.Fatal(err)
		}
		texts.Write(text)
	}
	for _, wanted := range c.has {
		if !slices.Contains(names, wanted) {
			t.Errorf("there is no %s", wanted)
		}
	}
	for _, unwanted := range c.hasNot {
		if slices.Contains(names, unwanted) || slices.Contains(kinds, unwanted) {
			t.Errorf("there is a %s", unwanted)
		}
	}
	for _, piece := range c.says {
		if !strings.Contains(texts.String(), piece) {
			t.Errorf("nothing says %q", piece)
		}
	}
	twice := slices.Sorted(slices.Values(names))
	if compact := slices.Compact(slices.Clone(twice)); len(compact) != len(twice) {
		t.Errorf("an object is there twice: %v", twice)
	}
}

// checkTaken checks that the API server accepts all objects, applied like config/default; it refuses
// unknown fields.
func checkTaken(h *harness.Harness, all []*unstructured.Unstructured) {
	h.T.Helper()
	for _, object := range all {
		err := h.Admin.Apply(h.Ctx, client.ApplyConfigurationFromUnstructured(object.DeepCopy()),
			client.DryRunAll, client.ForceOwnership, client.FieldOwner("kubectl"))
		if err != nil {
			h.T.Errorf("%s is not taken: %v", name(object), err)
		}
	}
}

func podTemplate(t *testing.T, object *unstructured.Unstructured) *corev1.PodTemplateSpec {
	t.Helper()
	found, ok, err := unstructured.NestedMap(object.Object, "spec", "template")
	if err != nil || !ok || !slices.Contains([]string{"Deployment", "Job"}, object.GetKind()) {
		return nil
	}
	template := &corev1.PodTemplateSpec{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(found, template, true); err != nil {
		t.Fatal(err)
	}
	return template
}

func checkPod(h *harness.Harness, of *unstructured.Unstructured, template *corev1.PodTemplateSpec, commands string) {
	h.T.Helper()
	if class := template.Spec.PriorityClassName; class != "" && class != "refreshkeys" && class != "system-cluster-critical" {
		h.T.Fatalf("%s is of an unknown priority: %s", name(of), class)
	}
	pod := &corev1.Pod{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
	pod.Namespace, pod.GenerateName = of.GetNamespace(), of.GetName()+"-"
	if err := h.Admin.Create(h.Ctx, pod, client.DryRunAll); err != nil {
		h.T.Errorf("a pod of %s is not admitted: %v", name(of), err)
	}
	if profile := template.Spec.SecurityContext.SeccompProfile; profile == nil || profile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		h.T.Errorf("%s has not the runtime's default seccomp profile", name(of))
	}
	for _, container := range template.Spec.Containers {
		limits := container.SecurityContext
		if limits == nil || limits.ReadOnlyRootFilesystem == nil || !*limits.ReadOnlyRootFilesystem {
			h.T.Errorf("%s, container %s: its root file system can be written", name(of), container.Name)
		}
		if container.Resources.Requests.Cpu().IsZero() || container.Resources.Limits.Memory().IsZero() {
			h.T.Errorf("%s, container %s: no resources are asked for", name(of), container.Name)
		}
		command := "manager"
		for _, other := range []string{"tokenserver", "console"} {
			if strings.Contains(container.Image, "/"+other) {
				command = other
			}
		}
		checkFlags(h.T, filepath.Join(commands, command), container.Args)
	}
}

// checkFlags: the command gets as far as to look for an API server, which is not there.
func checkFlags(t *testing.T, command string, arguments []string) {
	t.Helper()
	run := exec.CommandContext(t.Context(), command, append(slices.Clone(arguments), "--kubeconfig=/nowhere")...)
	run.Env = []string{"POD_NAMESPACE=" + namespace}
	if _, err := output(run); err == nil || !strings.Contains(err.Error(), "find the API server") {
		t.Errorf("%s %v: %v", filepath.Base(command), arguments, err)
	}
}
