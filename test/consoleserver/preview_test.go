package consoleserver

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/invalid"
)

// TestEachInvalidManifestShowsItsMessageAtItsField previews the manifests of test/cel that the API server must refuse, and looks for
// the messages that they expect, each at its field.
func TestEachInvalidManifestShowsItsMessageAtItsField(t *testing.T) {
	v := newFixture(t).visitor(everything)
	manifests, err := invalid.Manifests("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifests {
		t.Run(m.Name, func(t *testing.T) {
			in := &visitor{fixture: &fixture{Harness: v.In(t), url: v.url, client: v.client}, cookie: v.cookie}
			said := ask[wire.Previewed](in, http.MethodPost, "api/keys/default/preview", wire.Preview{Manifest: m.Object})
			for _, want := range m.Causes {
				if !slices.ContainsFunc(said.Causes, func(c wire.Cause) bool { return invalid.Same(c, want) }) {
					t.Errorf("no cause is %+v, of %+v", want, said.Causes)
				}
			}
			if len(said.Causes) == 0 {
				t.Errorf("no causes: %+v", said)
			}
		})
	}
}

func TestPreview(t *testing.T) {
	f := newFixture(t)
	v := f.visitor(everything)
	f.Issuer(harness.WithRules(
		v1alpha1.PolicyRule{Audiences: []string{"https://*.example.com"}, Scopes: []string{"orders:read", "orders:*"}, MaxLifetime: &metav1.Duration{Duration: 48 * time.Hour}},
	))
	preview := func(v *visitor, name string, spec map[string]any) wire.Previewed {
		spec["issuerRef"] = map[string]any{"name": f.Name}
		return ask[wire.Previewed](v, http.MethodPost, "api/keys/"+f.Name+"/preview", wire.Preview{Manifest: manifest(name, spec)})
	}
	said := preview(v, "orders", map[string]any{"audience": "https://orders.example.com", "lifetime": "24h", "scopes": []string{"orders:read"}})
	v.Expect(said.Causes).To(gomega.BeEmpty())
	v.Expect(said.Policy).To(gomega.Equal(&wire.PolicyAnswer{Granted: true, Rule: 1, LongestSeconds: 48 * 3600, Issuer: f.Name}))
	v.Expect(said.Scopes).To(gomega.Equal([]string{"orders:read"}))
	renewal, err := time.Parse(time.RFC3339, said.FirstRenewal)
	v.Expect(err).NotTo(gomega.HaveOccurred())
	v.Expect(time.Until(renewal)).To(gomega.BeNumerically("~", 16*time.Hour, time.Minute))
	v.Expect(said.End).To(gomega.BeEmpty())
	v.Expect(said.YAML).To(gomega.Equal("apiVersion: jwt.refreshkeys.dev/v1alpha1\nkind: JWTRefreshKey\nmetadata:\n  name: orders\n  namespace: " + f.Name +
		"\nspec:\n  audience: https://orders.example.com\n  issuerRef:\n    name: " + f.Name + "\n  lifetime: 24h\n  scopes:\n  - orders:read\n"))

	denied := preview(v, "orders", map[string]any{"audience": "https://elsewhere.test", "lifetime": "96h"})
	v.Expect(denied.Policy.Missing).To(gomega.Equal([]string{`audience "https://elsewhere.test"`, "lifetime 96h0m0s (at most 48h0m0s)"}))

	unknown := preview(v, "orders", map[string]any{"audience": "https://orders.example.com", "lifetme": "24h"})
	v.Expect(unknown.Causes).To(gomega.HaveLen(1))
	v.Expect(unknown.Causes[0].Field).To(gomega.BeEmpty())
	v.Expect(unknown.Causes[0].Message).To(gomega.ContainSubstring(`unknown field "spec.lifetme"`))

	named := preview(v, "Orders", map[string]any{"audience": "https://orders.example.com"})
	v.Expect(named.Causes).To(gomega.ContainElement(gomega.HaveField("Field", "metadata.name")))

	f.Key("taken")
	taken := preview(v, "taken", map[string]any{"audience": "https://orders.example.com"})
	v.Expect(taken.Denied.Reason).To(gomega.Equal(string(metav1.StatusReasonAlreadyExists)))

	reader := f.visitor(allow(v1alpha1.Group, "jwtrefreshkeys", "get"))
	forbidden := preview(reader, "orders", map[string]any{"audience": "https://orders.example.com"})
	v.Expect(forbidden.Denied.Code).To(gomega.Equal(http.StatusForbidden))
	v.Expect(forbidden.Denied.Ask).To(gomega.Equal("kubectl auth can-i create jwtrefreshkeys.jwt.refreshkeys.dev --namespace " + f.Name))
	v.Expect(forbidden.Policy).To(gomega.BeNil())
}

// TestPreviewOfAnEdit checks that an edit is checked as a patch of the stored key.
func TestPreviewOfAnEdit(t *testing.T) {
	f := newFixture(t)
	v := f.visitor(everything)
	key := f.Key("orders", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Scopes = []string{"orders:read"} })
	edit := func(uid string, spec map[string]any) wire.Previewed {
		return ask[wire.Previewed](v, http.MethodPost, "api/keys/"+f.Name+"/preview", wire.Preview{Manifest: manifest("orders", spec), UID: uid})
	}
	v.Expect(edit(string(key.UID), map[string]any{"audience": harness.Audience, "lifetime": "1h"}).Causes).To(gomega.BeEmpty())
	refused := edit(string(key.UID), map[string]any{"audience": "", "lifetime": "1s"})
	v.Expect(refused.Causes).To(gomega.ContainElement(gomega.HaveField("Field", "spec.lifetime")))
	v.Expect(f.Reload(key)).To(gomega.Succeed())
	v.Expect(key.Spec.Lifetime).To(gomega.BeNil())
	other := edit("4d5b3c7a-0000-4000-8000-000000000000", map[string]any{"audience": harness.Audience})
	v.Expect(other.Denied).NotTo(gomega.BeNil())
	v.Expect(other.Denied.Code).To(gomega.Equal(http.StatusConflict))
}

// TestPreviewOfAQuota checks that a quota is reported as what prevents the key, and not at a field.
func TestPreviewOfAQuota(t *testing.T) {
	f := newFixture(t)
	v := f.visitor(everything)
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: f.Name, Name: "none"}}
	quota.Spec.Hard = corev1.ResourceList{"count/jwtrefreshkeys.jwt.refreshkeys.dev": resource.MustParse("0")}
	f.Create(quota)
	quota.Status.Hard, quota.Status.Used = quota.Spec.Hard, quota.Spec.Hard
	f.Expect(f.Admin.Status().Update(f.Ctx, quota)).To(gomega.Succeed())
	f.Await("the quota holds", func() error {
		said := ask[wire.Previewed](v, http.MethodPost, "api/keys/"+f.Name+"/preview", wire.Preview{Manifest: manifest("orders", map[string]any{"audience": harness.Audience})})
		if said.Denied == nil || said.Denied.Code != http.StatusForbidden || !strings.Contains(said.Denied.Message, "quota") || said.Denied.Ask != "" {
			text, _ := json.Marshal(said)
			return &refused{http.StatusOK, string(text)}
		}
		return nil
	})
}
