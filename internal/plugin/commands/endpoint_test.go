package commands

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// TestPostFollowsNoRedirect checks that a token is sent only to the given endpoint: redirects are not followed.
func TestPostFollowsNoRedirect(t *testing.T) {
	followed := false
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if followed = r.URL.Path != "/token"; !followed {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}
	}))
	defer server.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	client, err := (&app{cli.New(cli.Options{})}).httpClient("", ca)
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"refresh_token": {"a-secret"}}
	err = post(t.Context(), client, server.URL+"/token", form, nil)
	if err == nil || followed {
		t.Errorf("followed: %v, error: %v", followed, err)
	}
	if err == nil || strings.Contains(err.Error(), "a-secret") {
		t.Error("the error contains the sent text")
	}
	for _, endpoint := range []string{"http://127.0.0.1:1/token", "HTTP://127.0.0.1:1/token", "ftp://127.0.0.1:1", "/token", ""} {
		if err := post(t.Context(), client, endpoint, form, nil); cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}

// TestUsable checks that a stored access token is used only if it is valid for more than a minute.
func TestUsable(t *testing.T) {
	for left, want := range map[time.Duration]bool{2 * time.Minute: true, time.Minute: false, time.Second: false, -time.Hour: false} {
		access := &accessToken{Asked: "read", ExpiresAt: noon.Add(left)}
		if access.usable("read", noon) != want || access.usable("write", noon) {
			t.Errorf("with %s left: %v, want %v", left, !want, want)
		}
	}
	if (*accessToken)(nil).usable("", noon) {
		t.Error("a missing token is usable")
	}
}

// TestBrokenSession checks that the error about an invalid session file does not contain its content, which may be a token.
func TestBrokenSession(t *testing.T) {
	file := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(file, []byte(`{"refreshToken": "a-secret", "tokenEndpoint": 7}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadSession(file); err == nil || strings.Contains(err.Error(), "a-secret") {
		t.Errorf("the error is %v", err)
	}
}

// TestShows checks that only an accepted token of the key proves its revocation by a refusal.
func TestShows(t *testing.T) {
	current := issued(func(key *v1alpha1.JWTRefreshKey) {
		key.Status.TokenHash, key.Status.Previous[0].TokenHash = token.Hash("two"), token.Hash("one")
	})
	oneTime := current.DeepCopy()
	oneTime.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
	for _, c := range []struct {
		name, compact string
		key           *v1alpha1.JWTRefreshKey
		left          time.Duration
		want          bool
	}{
		{"the current one", "two", current, time.Hour, true},
		{"a superseded one", "one", current, time.Hour, true},
		{"one that is not on record", "none", current, time.Hour, false},
		{"one that has expired", "two", current, 0, false},
		{"the current one for one use", "two", oneTime, time.Hour, true},
		{"one that was used", "one", oneTime, time.Hour, false},
	} {
		if got := provesRevocation(c.key, c.compact, noon.Add(c.left), noon); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
