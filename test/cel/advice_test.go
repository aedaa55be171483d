package cel

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// adviceName is the name of the admission policy in config/crd that warns.
const adviceName = "refreshkeys-advice." + v1alpha1.Group

// warnings are what the API server warns of.
type warnings struct {
	mu  sync.Mutex
	all []string
}

// HandleWarningHeader makes warnings a rest.WarningHandler.
func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, text)
}

func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.all
	w.all = nil
	return taken
}

// TestAPolicyWithoutRulesIsWarnedOf, in every way in which one comes about, and not refused: it takes grants away.
func TestAPolicyWithoutRulesIsWarnedOf(t *testing.T) {
	const advice = "spec.policy has no rules, so the issuer grants nothing: add a rule, or remove policy"
	heard := &warnings{}
	config := rest.CopyConfig(server.Admin)
	config.WarningHandler = heard
	f := on(t, config)
	says := func(t *testing.T, err error, wanted bool) {
		t.Helper()
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		taken := heard.take()
		if warned := slices.ContainsFunc(taken, func(text string) bool { return strings.Contains(text, advice) }); warned != wanted {
			t.Errorf("warned is %v, and should be %v; the API server warns of %q", warned, wanted, taken)
		}
	}
	rule := map[string]any{"audiences": []any{"https://*.example.com"}}
	for _, c := range []struct {
		name   string
		spec   map[string]any
		wanted bool
	}{
		{"no policy", nil, false},
		{"policy null", map[string]any{"policy": nil}, false},
		{"a policy with a rule", map[string]any{"policy": map[string]any{"rules": []any{rule}}}, false},
		{"a policy without rules", map[string]any{"policy": map[string]any{}}, true},
		{"a policy with no rules in a list", map[string]any{"policy": map[string]any{"rules": []any{}}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			says(t, f.Admin.Create(t.Context(), newIssuer("advised", c.spec), client.DryRunAll), c.wanted)
		})
	}
	object := newIssuer("advised", map[string]any{"policy": map[string]any{"rules": []any{rule}}})
	f.Create(object)
	heard.take()
	for _, c := range []struct {
		name, patch string
		wanted      bool
	}{
		{"the last rule is deleted", `{"spec":{"policy":{"rules":[]}}}`, true},
		{"a label, while there are no rules", `{"metadata":{"labels":{"team":"shop"}}}`, false},
		{"another field, while there are no rules", `{"spec":{"endpointURL":"https://inside.example.com"}}`, true},
		{"a rule comes back", `{"spec":{"policy":{"rules":[{}]}}}`, false},
		{"the policy is removed", `{"spec":{"policy":null}}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := &unstructured.Unstructured{}
			changed.SetGroupVersionKind(object.GroupVersionKind())
			changed.SetName(object.GetName())
			says(t, f.Admin.Patch(t.Context(), changed, client.RawPatch(types.MergePatchType, []byte(c.patch))), c.wanted)
		})
	}
}
