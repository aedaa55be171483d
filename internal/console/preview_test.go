package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// TestARightThatAPreviewLacks checks that the page names the right to ask for, of a new key and of an edit.
func TestARightThatAPreviewLacks(t *testing.T) {
	keys := "jwtrefreshkeys." + v1alpha1.Group
	for uid, want := range map[string]string{
		"":    "kubectl auth can-i create " + keys + " --namespace shop",
		"uid": "kubectl auth can-i patch " + keys + "/billing --namespace shop",
	} {
		f := newFixture(t)
		session := f.signedIn(f.cluster.user("ada"))
		f.cluster.answers(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/jwtrefreshkeys/billing") {
				w.Header().Set("Content-Type", "application/json")
				_ = json.NewEncoder(w).Encode(&v1alpha1.JWTRefreshKey{
					TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "JWTRefreshKey"},
					ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "billing", UID: "uid"},
				})
				return
			}
			verb := map[string]string{http.MethodPost: "create", http.MethodPatch: "patch", http.MethodGet: "get"}[r.Method]
			status(w, http.StatusForbidden, metav1.StatusReasonForbidden, `User "ada" cannot `+verb+` resource "jwtrefreshkeys"`)
		})
		got := read[wire.Previewed](t, f.do(call{method: http.MethodPost, path: "/api/keys/shop/preview", session: session, body: fmt.Sprintf(
			`{"uid":%q,"manifest":{"metadata":{"name":"billing"},"spec":{"audience":"https://billing.example.com"}}}`, uid)}))
		if got.Denied == nil || got.Denied.Ask != want {
			t.Errorf("of a key with the UID %q: %+v, want %q", uid, got.Denied, want)
		}
	}
}
