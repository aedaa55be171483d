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
	"github.com/refreshkeys/refreshkeys/test/framework/sample"
)

// TestARotationWithoutEffect checks which rotations are refused before anything is changed, and that none else is.
func TestARotationWithoutEffect(t *testing.T) {
	revoked := func(key *v1alpha1.JWTRefreshKey) { key.Spec.Revoked = true }
	session := func(key *v1alpha1.JWTRefreshKey) {
		key.Status.Session = &v1alpha1.SessionStatus{Subject: "ada", StartedAt: *sample.At(0)}
	}
	idle := func(key *v1alpha1.JWTRefreshKey) {
		key.Status.RevokedAt, key.Status.RevocationReason = sample.At(0), v1alpha1.RevokedIdleTimeout
	}
	for _, c := range []struct {
		name, action string
		key          func(*v1alpha1.JWTRefreshKey)
		// unreadable: the person may not read the key.
		unreadable bool
		code       int
		says       string
	}{
		{"of a key in order", "rotate", func(*v1alpha1.JWTRefreshKey) {}, false, http.StatusOK, ""},
		{"at once, of a key in order", "rotateNow", func(*v1alpha1.JWTRefreshKey) {}, false, http.StatusOK, ""},
		{"of a key that was idle", "rotate", idle, false, http.StatusOK, ""},
		{"of a revoked key", "rotate", revoked, false, http.StatusConflict, "is revoked by its spec"},
		{"at once, of a revoked key", "rotateNow", revoked, false, http.StatusConflict, "is revoked by its spec"},
		{"of a session", "rotate", session, false, http.StatusConflict, "is a session"},
		{"of a key that the person may not read", "rotate", revoked, true, http.StatusOK, ""},
		{"none, but the end of a revocation", "restore", revoked, false, http.StatusOK, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			in := f.signedIn(f.cluster.user("ada"))
			key, patches := sample.Issued(c.key), 0
			key.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "JWTRefreshKey"}
			f.cluster.answers(func(w http.ResponseWriter, r *http.Request) {
				if c.unreadable && r.Method == http.MethodGet {
					status(w, http.StatusForbidden, metav1.StatusReasonForbidden, "ada may not")
					return
				}
				if r.Method == http.MethodPatch {
					patches++
				}
				w.Header().Set("Content-Type", "application/json")
				_ = json.NewEncoder(w).Encode(key)
			})
			answer := f.do(call{method: http.MethodPatch, session: in, path: "/api/keys/" + key.Namespace + "/" + key.Name,
				body: fmt.Sprintf(`{"uid":%q,"action":%q}`, key.UID, c.action)})
			if answer.StatusCode != c.code || (patches == 1) != (c.code == http.StatusOK) {
				t.Fatalf("%d, after %d patches, want %d", answer.StatusCode, patches, c.code)
			}
			if c.code == http.StatusOK {
				return
			}
			if said := read[wire.Failure](t, answer); !strings.Contains(said.Message, c.says) || !strings.Contains(said.Message, "Nothing was changed") {
				t.Errorf("it says %q", said.Message)
			}
		})
	}
}
