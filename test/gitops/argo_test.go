package gitops

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	lua "github.com/yuin/gopher-lua"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

// health is what a script returns.
type health struct{ status, message string }

// argo runs the script of a kind as Argo CD does (util/lua): the object is the global `obj`, and of Lua's libraries there
// are package, base and table only.
func argo(t *testing.T, object *unstructured.Unstructured) health {
	t.Helper()
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	state.SetContext(t.Context())
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(library.open), Protect: true}, lua.LString(library.name)); err != nil {
			t.Fatal(err)
		}
	}
	state.SetGlobal("obj", inLua(state, object.Object))
	if err := state.DoString(script(t, object.GetKind())); err != nil {
		t.Fatal(err)
	}
	answer, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		t.Fatalf("the script of %s returns no table", object.GetKind())
	}
	got := health{status: lua.LVAsString(answer.RawGetString("status")), message: lua.LVAsString(answer.RawGetString("message"))}
	if !slices.Contains([]string{"Healthy", "Progressing", "Degraded", "Suspended"}, got.status) || got.message == "" {
		t.Fatalf("Argo CD does not know the health %q with the message %q", got.status, got.message)
	}
	return got
}

func inLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case string:
		return lua.LString(value)
	case bool:
		return lua.LBool(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case []any:
		table := state.NewTable()
		for _, item := range value {
			table.Append(inLua(state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for name, item := range value {
			table.RawSetString(name, inLua(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}

// TestArgoReadsTheScriptsFromItsSettings checks that the component adds both scripts to argocd-cm and keeps its other entries.
func TestArgoReadsTheScriptsFromItsSettings(t *testing.T) {
	assets, err := cluster.FindAssets()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	component, err := filepath.Rel(dir, filepath.Join(server.Root, "config", "argocd"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"kustomization.yaml": "resources: [argocd-cm.yaml]\ncomponents: [" + component + "]\n",
		"argocd-cm.yaml":     "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: argocd-cm}\ndata: {url: https://argocd.example.com}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	built, err := exec.CommandContext(t.Context(), filepath.Join(assets, "kubectl"), "kustomize", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, built)
	}
	var settings corev1.ConfigMap
	if err := yaml.UnmarshalStrict(built, &settings); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"url": "https://argocd.example.com",
		"resource.customizations.health.jwt.refreshkeys.dev_JWTRefreshKey": script(t, "JWTRefreshKey"),
		"resource.customizations.health.jwt.refreshkeys.dev_JWTIssuer":     script(t, "JWTIssuer"),
	}
	if diff := cmp.Diff(want, settings.Data); diff != "" || settings.Name != "argocd-cm" {
		t.Errorf("-wanted +built, %s:\n%s", settings.Name, diff)
	}
}
