package view

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/test/framework/sample"
)

func TestKeyRow(t *testing.T) {
	want := func(change func(*wire.KeyRow)) wire.KeyRow {
		row := wire.KeyRow{
			UID: "uid", Namespace: "shop", Name: "orders", Audience: "https://orders.example.com", Issuer: "default", Status: "Issued",
			Since: "2026-04-21T12:00:00Z", Tone: "good", Message: "A message.", Mode: "Scheduled", Revision: 2, Overlap: 1,
			CreatedAt: "2026-04-30T12:00:00Z", ExpiresAt: "2026-05-30T12:00:00Z", RenewalTime: "2026-05-20T12:00:00Z",
			JTI: "two", TokenHash: "sha256:two", MadeAt: "2026-04-21T12:00:00Z",
		}
		change(&row)
		return row
	}
	type key = v1alpha1.JWTRefreshKey
	for _, c := range []struct {
		name string
		key  *key
		want wire.KeyRow
	}{
		{"issued", sample.Issued(), want(func(*wire.KeyRow) {})},
		{"used by a device", sample.Issued(func(k *key) {
			k.Status.LastUsed, k.Status.SupersededLastUsed = sample.At(-time.Minute), sample.At(-time.Hour)
			k.Status.DeviceInfo = &v1alpha1.SeenDevice{ID: "till-17", Browser: "Firefox", OS: "Linux", IPAddress: "192.0.2.1"}
		}), want(func(r *wire.KeyRow) {
			r.LastUsed, r.SupersededLastUsed = "2026-05-01T11:59:00Z", "2026-05-01T11:00:00Z"
			r.Device = &wire.Device{ID: "till-17", Browser: "Firefox", OS: "Linux", Address: "192.0.2.1"}
		})},
		{"revocation that is not yet recorded", sample.Issued(func(k *key) { k.Spec.Revoked = true }), want(func(r *wire.KeyRow) { r.Revoked = true })},
		{"revoked", sample.Issued(sample.Revoked(v1alpha1.RevokedLogout)), want(func(r *wire.KeyRow) {
			r.Status, r.Tone, r.Overlap = "Revoked", "off", 0
			r.RevokedAt, r.RevocationReason = "2026-05-01T11:00:00Z", "Logout"
		})},
		{"stalled", sample.Issued(func(k *key) { sample.Stalled(k, v1alpha1.ReasonPolicyDenied) }), want(func(r *wire.KeyRow) { r.Status, r.Tone = "PolicyDenied", "bad" })},
		{"waits", sample.Issued(func(k *key) {
			k.Status.Conditions = append(k.Status.Conditions, metav1.Condition{
				Type: v1alpha1.ConditionReconciling, Reason: v1alpha1.ReasonOverlapPending, Message: "It waits.", LastTransitionTime: *sample.At(-time.Hour),
			})
		}), want(func(r *wire.KeyRow) {
			r.Waits, r.WaitsFor, r.WaitsSince = "It waits.", "OverlapPending", "2026-05-01T11:00:00Z"
		})},
		{"being deleted", sample.Issued(func(k *key) { k.DeletionTimestamp = sample.At(0) }), want(func(r *wire.KeyRow) { r.Status, r.Tone = "Deleting", "off" })},
		{"a session of a Helm release", sample.Issued(func(k *key) {
			k.Spec.Subject, k.Spec.Rotation = "jane", &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
			k.Spec.IssuerRef = &v1alpha1.IssuerReference{Name: "people"}
			k.Status.Session = &v1alpha1.SessionStatus{Subject: "jane", Client: "shop", Method: v1alpha1.LoginOIDC, Provider: "https://login.example.com", StartedAt: *sample.At(0)}
			k.Labels, k.Annotations = map[string]string{"app.kubernetes.io/managed-by": "Helm"}, map[string]string{"meta.helm.sh/release-name": "shop"}
		}), want(func(r *wire.KeyRow) {
			r.Subject, r.Mode, r.Issuer, r.GitOps = "jane", "OneTimeUse", "people", "Helm"
			r.Session = &wire.Session{Subject: "jane", Client: "shop", Method: "OIDC", Provider: "https://login.example.com", StartedAt: "2026-05-01T12:00:00Z"}
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, KeyRow(c.key)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestIssuerRow(t *testing.T) {
	ready := func(status metav1.ConditionStatus, reason string) func(*v1alpha1.JWTIssuer) {
		return func(i *v1alpha1.JWTIssuer) {
			i.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: status, Reason: reason}}
		}
	}
	for _, c := range []struct {
		name         string
		change       func(*v1alpha1.JWTIssuer)
		status, tone string
	}{
		{"new", func(*v1alpha1.JWTIssuer) {}, "Pending", "wait"},
		{"ready", ready(metav1.ConditionTrue, v1alpha1.ReasonKeysReady), "KeysReady", "good"},
		{"no signing key signs yet", ready(metav1.ConditionFalse, v1alpha1.ReasonKeyPending), "KeyPending", "wait"},
		{"lost", ready(metav1.ConditionFalse, v1alpha1.ReasonKeysLost), "KeysLost", "bad"},
		{"being deleted", func(i *v1alpha1.JWTIssuer) { i.DeletionTimestamp = sample.At(0) }, "Deleting", "off"},
	} {
		issuer := &v1alpha1.JWTIssuer{}
		c.change(issuer)
		if row := IssuerRow(issuer); row.Status != c.status || row.Tone != c.tone || row.Algorithm != "ES256" {
			t.Errorf("%s: %+v", c.name, row)
		}
	}
}

func TestGitOps(t *testing.T) {
	for _, c := range []struct {
		name string
		meta metav1.ObjectMeta
		want string
	}{
		{"nothing", metav1.ObjectMeta{}, ""},
		{"Argo CD by its annotation", metav1.ObjectMeta{Annotations: map[string]string{"argocd.argoproj.io/tracking-id": "x"}, Labels: map[string]string{"app.kubernetes.io/managed-by": "Helm"}}, "Argo CD"},
		{"Argo CD by its own label", metav1.ObjectMeta{Labels: map[string]string{"argocd.argoproj.io/instance": "x"}}, "Argo CD"},
		{"Argo CD by the instance label", metav1.ObjectMeta{Labels: map[string]string{"app.kubernetes.io/instance": "x"}}, "Argo CD"},
		{"the instance label of another tool", metav1.ObjectMeta{Labels: map[string]string{"app.kubernetes.io/instance": "x", "app.kubernetes.io/managed-by": "make"}}, ""},
		{"Flux by a Kustomization", metav1.ObjectMeta{Labels: map[string]string{"kustomize.toolkit.fluxcd.io/name": "x"}}, "Flux"},
		{"Flux by a HelmRelease", metav1.ObjectMeta{
			Labels:      map[string]string{"helm.toolkit.fluxcd.io/name": "x", "app.kubernetes.io/managed-by": "Helm"},
			Annotations: map[string]string{"meta.helm.sh/release-name": "x"},
		}, "Flux"},
		{"Helm", metav1.ObjectMeta{Labels: map[string]string{"app.kubernetes.io/managed-by": "Helm"}, Annotations: map[string]string{"meta.helm.sh/release-name": "x"}}, "Helm"},
		{"the label of Helm without a release", metav1.ObjectMeta{Labels: map[string]string{"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "x"}}, ""},
		{"a manager of fields", metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}, {Manager: "kustomize-controller"}}}, "Flux"},
		{"a manager of status alone", metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "argocd-controller", Subresource: "status"}}}, ""},
	} {
		if got := GitOps(&c.meta); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestClaims(t *testing.T) {
	claims := Claims([]byte(`{"tier":"gold","exp":1780228800,"iss":"https://tokens.example.com","refreshkeys.dev":{"name":"orders"},"aud":"x","groups":["a"]}`))
	var got []string
	for _, c := range claims {
		got = append(got, c.Name+" "+string(c.Value)+" "+c.Time)
		if (c.Meaning == "") != (c.Name == "tier" || c.Name == "groups") {
			t.Errorf("%s means %q", c.Name, c.Meaning)
		}
	}
	want := []string{`iss "https://tokens.example.com" `, `aud "x" `, "exp 1780228800 2026-05-31T12:00:00Z", `refreshkeys.dev {"name":"orders"} `, `groups ["a"] `, `tier "gold" `}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if damaged := Claims([]byte("damaged")); damaged != nil {
		t.Errorf("damaged content has the claims %v", damaged)
	}
}

func TestKeyDetail(t *testing.T) {
	key := sample.Issued(func(k *v1alpha1.JWTRefreshKey) {
		k.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
		k.Labels = map[string]string{"team": "shop"}
		k.Annotations = map[string]string{v1alpha1.AnnotationRevocationNote: "left in a train"}
		k.Spec.DeviceInfo = &v1alpha1.DeviceInfo{ID: "till-17"}
		k.Status.LastUsed, k.Status.LastUsedRevision, k.Status.SupersededLastUsed = sample.At(-time.Minute), 2, sample.At(-time.Hour)
		k.Status.Content = &apiextensionsv1.JSON{Raw: []byte(`{"aud":"x"}`)}
	})
	stored, err := runtime.DefaultUnstructuredConverter.ToUnstructured(key)
	if err != nil {
		t.Fatal(err)
	}
	at := &unstructured.Unstructured{Object: stored}
	at.SetGroupVersionKind(KeyKind)
	// The API server keeps it as it was written.
	if err := unstructured.SetNestedField(stored, "20m", "spec", "lifetime"); err != nil {
		t.Fatal(err)
	}
	detail, err := KeyDetail(key, at, nil, nil, sample.Noon)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(detail.Object, &object); err != nil || object["kind"] != "JWTRefreshKey" || object["metadata"].(map[string]any)["managedFields"] != nil {
		t.Errorf("object: %v %s", err, detail.Object)
	}
	wantManifest := "apiVersion: jwt.refreshkeys.dev/v1alpha1\nkind: JWTRefreshKey\nmetadata:\n  labels:\n    team: shop\n  name: orders\n  namespace: shop\n" +
		"spec:\n  audience: https://orders.example.com\n  deviceInfo:\n    id: till-17\n  lifetime: 20m\n"
	if diff := cmp.Diff(wantManifest, detail.Manifest); diff != "" {
		t.Error(diff)
	}
	wantRevisions := []wire.Revision{
		{Number: 2, State: "current", JTI: "two", TokenHash: "sha256:two", CreatedAt: "2026-04-30T12:00:00Z", ExpiresAt: "2026-05-30T12:00:00Z", LastUsed: "2026-05-01T11:59:00Z"},
		{Number: 1, State: "superseded", JTI: "one", TokenHash: "sha256:one", CreatedAt: "2026-04-21T12:00:00Z", ExpiresAt: "2026-05-21T12:00:00Z", LastUsed: "2026-05-01T11:00:00Z"},
	}
	if diff := cmp.Diff(wantRevisions, detail.Revisions); diff != "" {
		t.Error(diff)
	}
	wantNext := []wire.Next{
		{What: "Retirement", At: "", Sentence: "revision 1 retires when the operator next reconciles the key"},
		{What: "Renewal", At: "2026-05-20T12:00:00Z", Sentence: "the next token is issued; the current one stays valid for the overlap"},
		{What: "TokenEnd", At: "2026-05-30T12:00:00Z", Sentence: "revision 2, the current token, ends"},
	}
	if diff := cmp.Diff(wantNext, detail.Next); diff != "" {
		t.Error(diff)
	}
	if detail.RevocationNote != "left in a train" {
		t.Errorf("the note of the revocation is %q", detail.RevocationNote)
	}
	if detail.AccessTokenSeconds != 900 || detail.SecretName != "orders" || detail.Meant.ID != "till-17" || detail.Seen != nil || len(detail.Content) != 1 || detail.Guidance == nil {
		t.Errorf("%+v", detail)
	}
}
