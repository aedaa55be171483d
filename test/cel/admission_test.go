package cel

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/apiserver"
)

const finalizer = "example.com/wait"

// TestDeletionIsNeverBlocked: whoever removes the last finalizer cannot be asked to
// repair an object that is on its way out.
func TestDeletionIsNeverBlocked(t *testing.T) {
	admin := as(t, "")
	object := newKey("leaving", nil)
	object.SetFinalizers([]string{finalizer})
	create(t, admin, object)
	if err := admin.Delete(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	object = get(t, admin, object)
	set(t, object, map[string]any{"iss": "nobody asks any more"}, "spec", "claims")
	object.SetAnnotations(map[string]string{v1alpha1.AnnotationRotate: "two words"})
	object.SetFinalizers(nil)
	if err := admin.Update(t.Context(), object); err != nil {
		t.Errorf("the finalizer of a deleted key could not be removed: %v", err)
	}
}

// TestStatusOfDeletedIsGuarded: a key that waits for a finalizer is still there to be
// forged.
func TestStatusOfDeletedIsGuarded(t *testing.T) {
	admin := as(t, "")
	object := newKey("leaving-forged", nil)
	object.SetFinalizers([]string{finalizer})
	create(t, admin, object)
	t.Cleanup(func() { patch(t, admin, object, `{"metadata":{"finalizers":null}}`) })
	if err := admin.Delete(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	object = get(t, admin, object)
	set(t, object, "forged", "status", "jti")
	if err := admin.Status().Update(t.Context(), object); err == nil {
		t.Error("an administrator wrote the status of a deleted key")
	}
}

// TestOnlyWhatChangesIsJudged: an object that was stored before a rule was there can
// still be labelled; only a write of what the rule is about must keep it.
func TestOnlyWhatChangesIsJudged(t *testing.T) {
	admin := as(t, "")
	object := newKey("old", nil)
	create(t, admin, object)
	object = get(t, admin, object)
	set(t, object, "2001-01-01T00:00:00Z", "spec", "expiresAt")
	if err := admin.Update(t.Context(), object); err != nil {
		t.Fatalf("a key must be let end now: %v", err)
	}
	patch(t, admin, object, `{"metadata":{"labels":{"team":"shop"}}}`)
}

// TestEveryWayToWriteStatus: who may not write status may not do so by any verb.
func TestEveryWayToWriteStatus(t *testing.T) {
	users := []struct {
		name, user string
		allowed    bool
	}{
		{"manager", manager, true},
		{"token server", "system:serviceaccount:" + apiserver.Namespace + ":" + apiserver.TokenServer, true},
		{"administrator", "", false},
		{"other account of the operator's namespace", "system:serviceaccount:" + apiserver.Namespace + ":default", false},
		{"manager of another namespace", "system:serviceaccount:default:" + apiserver.Manager, false},
		{"user of nearly that name", manager + "2", false},
	}
	jsonPatch, err := json.Marshal([]map[string]any{{"op": "add", "path": "/status", "value": map[string]any{"jti": "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	ways := map[string]func(client.Client, *unstructured.Unstructured) error{
		"update": func(c client.Client, o *unstructured.Unstructured) error {
			set(t, o, "a", "status", "jti")
			return c.Status().Update(t.Context(), o)
		},
		"JSON patch": func(c client.Client, o *unstructured.Unstructured) error {
			return c.Status().Patch(t.Context(), o, client.RawPatch(types.JSONPatchType, jsonPatch))
		},
		"merge patch": func(c client.Client, o *unstructured.Unstructured) error {
			return c.Status().Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(`{"status":{"jti":"c"}}`)))
		},
		"apply": func(c client.Client, o *unstructured.Unstructured) error {
			applied := newKey(o.GetName(), nil)
			unstructured.RemoveNestedField(applied.Object, "spec")
			set(t, applied, "d", "status", "jti")
			return c.Status().Apply(t.Context(), client.ApplyConfigurationFromUnstructured(applied), client.FieldOwner("test"), client.ForceOwnership)
		},
	}
	admin := as(t, "")
	object := newKey("guarded", nil)
	create(t, admin, object)
	for _, user := range users {
		for way, write := range ways {
			t.Run(user.name+"/"+way, func(t *testing.T) {
				err := write(as(t, user.user), get(t, admin, object))
				switch {
				case user.allowed && err != nil:
					t.Errorf("refused: %v", err)
				case !user.allowed && err == nil:
					t.Error("accepted")
				case !user.allowed && !strings.Contains(err.Error(), apiserver.PolicyName):
					t.Errorf("refused, but not by the policy: %v", err)
				}
			})
		}
	}
}

// TestNamesAreThoseOfRBAC: the policy names ServiceAccounts that config/rbac makes.
func TestNamesAreThoseOfRBAC(t *testing.T) {
	config, err := server.Manager(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	object := newKey("by-token", nil)
	create(t, as(t, ""), object)
	operator := newClient(t, config)
	stored := get(t, operator, object)
	set(t, stored, "a", "status", "jti")
	if err := operator.Status().Update(t.Context(), stored); err != nil {
		t.Errorf("the manager cannot write status with its own token: %v", err)
	}
}

// TestOperatorIsJudgedToo: what the ServiceAccounts may write more than others is status
// alone.
func TestOperatorIsJudgedToo(t *testing.T) {
	object := newKey("by-manager", map[string]any{"claims": map[string]any{"iss": "x"}})
	if err := as(t, manager).Create(t.Context(), object, client.DryRunAll); err == nil {
		t.Error("the manager created a key with a registered claim")
	}
}

// TestStatusInManifestIsIgnored: a manifest exported from a cluster can be applied as it is.
func TestStatusInManifestIsIgnored(t *testing.T) {
	object := newKey("exported", nil)
	set(t, object, "elsewhere", "status", "jti")
	admin := as(t, "")
	create(t, admin, object)
	if jti, found, _ := unstructured.NestedString(get(t, admin, object).Object, "status", "jti"); found {
		t.Errorf("status.jti %q was stored by a creation", jti)
	}
}

func get(t *testing.T, c client.Client, object *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	stored := &unstructured.Unstructured{}
	stored.SetGroupVersionKind(object.GroupVersionKind())
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(object), stored); err != nil {
		t.Fatal(err)
	}
	return stored
}

func set(t *testing.T, object *unstructured.Unstructured, value any, path ...string) {
	t.Helper()
	if err := unstructured.SetNestedField(object.Object, value, path...); err != nil {
		t.Fatal(err)
	}
}

func patch(t *testing.T, c client.Client, object *unstructured.Unstructured, merge string) {
	t.Helper()
	// The test's own context has ended when this cleans up.
	ctx := context.WithoutCancel(t.Context())
	if err := c.Patch(ctx, object.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(merge))); err != nil {
		t.Errorf("patch %s: %v", merge, err)
	}
}
