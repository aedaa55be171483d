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
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

const finalizer = "example.com/wait"

// TestDeletionIsNeverBlocked checks that a controller can remove the last finalizer of an
// invalid object.
func TestDeletionIsNeverBlocked(t *testing.T) {
	f := newFixture(t)
	object := newKey("leaving", nil)
	object.SetFinalizers([]string{finalizer})
	f.Create(object)
	if err := f.Admin.Delete(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	object = f.stored(object)
	set(t, object, map[string]any{"iss": "not validated on deletion"}, "spec", "claims")
	object.SetAnnotations(map[string]string{v1alpha1.AnnotationRotate: "two words"})
	object.SetFinalizers(nil)
	if err := f.Admin.Update(t.Context(), object); err != nil {
		t.Errorf("the finalizer of a deleted key could not be removed: %v", err)
	}
}

// TestDeletionIsNotForged checks that only objects that the API server deletes are exempt.
func TestDeletionIsNotForged(t *testing.T) {
	f := newFixture(t)
	forge := func(object *unstructured.Unstructured) *unstructured.Unstructured {
		set(t, object, map[string]any{"iss": "x"}, "spec", "claims")
		set(t, object, "2026-01-01T00:00:00Z", "metadata", "deletionTimestamp")
		set(t, object, int64(0), "metadata", "deletionGracePeriodSeconds")
		return object
	}
	if err := f.Admin.Create(t.Context(), forge(newKey("forged-at-creation", nil)), client.DryRunAll); err == nil {
		t.Error("a key with a registered claim was created, since it said that it is being deleted")
	}
	object := newKey("forged", nil)
	f.Create(object)
	if err := f.Admin.Update(t.Context(), forge(f.stored(object)), client.DryRunAll); err == nil {
		t.Error("a key got a registered claim, since it said that it is being deleted")
	}
}

// TestApplyIsJudged checks that the rules for creations also apply to a creation by
// server-side apply.
func TestApplyIsJudged(t *testing.T) {
	f := newFixture(t)
	for field, value := range map[string]any{
		"expiresAt": "2001-01-01T00:00:00Z",
		"claims":    map[string]any{"iss": "x"},
		"subject":   "refreshkey:default:other",
	} {
		t.Run(field, func(t *testing.T) {
			applied := client.ApplyConfigurationFromUnstructured(newKey("applied", map[string]any{field: value}))
			err := f.Admin.Apply(t.Context(), applied, client.FieldOwner("test"), client.DryRunAll)
			if err == nil || !strings.Contains(err.Error(), "spec."+field) {
				t.Errorf("not refused for its %s: %v", field, err)
			}
		})
	}
}

// TestStatusOfDeletedIsGuarded checks that users cannot write the status of a refresh key
// that waits for a finalizer.
func TestStatusOfDeletedIsGuarded(t *testing.T) {
	f := newFixture(t)
	object := newKey("leaving-forged", nil)
	object.SetFinalizers([]string{finalizer})
	f.Create(object)
	t.Cleanup(func() {
		// The test's own context has ended.
		merge := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
		if err := f.Admin.Patch(context.WithoutCancel(f.Ctx), object.DeepCopy(), merge); err != nil {
			t.Errorf("remove the finalizer: %v", err)
		}
	})
	if err := f.Admin.Delete(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	object = f.stored(object)
	set(t, object, "forged", "status", "jti")
	if err := f.Admin.Status().Update(t.Context(), object); err == nil {
		t.Error("an administrator wrote the status of a deleted key")
	}
}

// TestOnlyWhatChangesIsJudged checks that users can label an object that was stored before
// a rule existed: only a write of the rule's fields must obey it.
func TestOnlyWhatChangesIsJudged(t *testing.T) {
	if server.Existing() {
		t.Skip("would take the admission policy of the cluster out of force")
	}
	f := newFixture(t)
	object := newKey("old", map[string]any{"claims": map[string]any{"iss": "before the policy"}})
	object.SetAnnotations(map[string]string{v1alpha1.AnnotationRotate: "two words"})
	err := server.Unguarded(t.Context(), func() error {
		f.Create(object)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, merge, refusal string
	}{
		{"label", `{"metadata":{"labels":{"team":"shop"}}}`, ""},
		{"other annotation", `{"metadata":{"annotations":{"example.com/note":"two words"}}}`, ""},
		{"same annotation", `{"metadata":{"annotations":{"jwt.refreshkeys.dev/rotate":"two words"}}}`, ""},
		{"repair", `{"spec":{"claims":{"iss":null}},"metadata":{"annotations":{"jwt.refreshkeys.dev/rotate":"words"}}}`, ""},
		{"other field of spec", `{"spec":{"lifetime":"1h"}}`, "the name 'iss' is registered"},
		{"annotation changed", `{"metadata":{"annotations":{"jwt.refreshkeys.dev/rotate":"two more words"}}}`, "must have at most 64 printable characters"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := f.Admin.Patch(t.Context(), object.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(c.merge)), client.DryRunAll)
			switch {
			case c.refusal == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.refusal != "" && err == nil:
				t.Error("accepted")
			case c.refusal != "" && !strings.Contains(err.Error(), c.refusal):
				t.Errorf("refused with %v instead of %q", err, c.refusal)
			}
		})
	}
}

// TestEveryWayToWriteStatus checks that other users cannot write status with any verb.
func TestEveryWayToWriteStatus(t *testing.T) {
	users := []struct {
		name, user string
		allowed    bool
	}{
		{"manager", manager, true},
		{"token service", "system:serviceaccount:" + apiserver.Namespace + ":" + apiserver.TokenServer, true},
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
	f := newFixture(t)
	object := newKey("guarded", nil)
	f.Create(object)
	for _, user := range users {
		for way, write := range ways {
			t.Run(user.name+"/"+way, func(t *testing.T) {
				err := write(f.as(user.user), f.stored(object))
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

// TestNamesAreThoseOfRBAC checks that the policy names the ServiceAccounts of config/rbac.
func TestNamesAreThoseOfRBAC(t *testing.T) {
	f := newFixture(t)
	object := newKey("by-token", nil)
	f.Create(object)
	operator := on(t, f.ManagerConfig())
	stored := operator.stored(object)
	set(t, stored, "a", "status", "jti")
	if err := operator.Admin.Status().Update(t.Context(), stored); err != nil {
		t.Errorf("the manager cannot write status with its own token: %v", err)
	}
}

// TestOperatorIsJudgedToo checks that the ServiceAccounts have an exemption only for status.
func TestOperatorIsJudgedToo(t *testing.T) {
	object := newKey("by-manager", map[string]any{"claims": map[string]any{"iss": "x"}})
	if err := newFixture(t).as(manager).Create(t.Context(), object, client.DryRunAll); err == nil {
		t.Error("the manager created a key with a registered claim")
	}
}

// TestStatusInManifestIsIgnored: a manifest exported from a cluster can be applied as it is.
func TestStatusInManifestIsIgnored(t *testing.T) {
	object := newKey("exported", nil)
	set(t, object, "elsewhere", "status", "jti")
	f := newFixture(t)
	f.Create(object)
	if jti, found, _ := unstructured.NestedString(f.stored(object).Object, "status", "jti"); found {
		t.Errorf("status.jti %q was stored by a creation", jti)
	}
}

func set(t *testing.T, object *unstructured.Unstructured, value any, path ...string) {
	t.Helper()
	if err := unstructured.SetNestedField(object.Object, value, path...); err != nil {
		t.Fatal(err)
	}
}
