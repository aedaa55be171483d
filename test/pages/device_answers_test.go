package pages

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/onsi/gomega"

	"github.com/refreshkeys/refreshkeys/test/framework/guide"
)

// badGateway is the answer of a proxy that does not reach the token service.
const badGateway = "<html><body>502 Bad Gateway</body></html>\n"

// badAnswers runs the scripts of the device at a server that gives bad answers before good ones. A script says what to do, and keeps the
// stored token until it has another one.
func (h *signInGuide) badAnswers() {
	h.T.Helper()
	const (
		begun  = `{"device_code":"code","expires_in":600,"interval":0,"user_code":"TV","verification_uri":"https://tokens.example.com/office/device"}`
		tokens = `{"access_token":"access","expires_in":900,"refresh_token":"next","token_type":"Bearer"}`
	)
	for name, c := range map[string]struct {
		script      string
		answers     []string
		says, token string
		succeeds    bool
	}{
		"a proxy answers for the device":     {"tv.sh", []string{badGateway}, "no code, try again", "kept", false},
		"too many devices":                   {"tv.sh", []string{`{"error":"slow_down"}`}, "no code, try again: slow_down", "kept", false},
		"a proxy answers some of the polls":  {"tv.sh", []string{begun, badGateway, "", `{"error":"temporarily_unavailable"}`, tokens}, "signed in", "next", true},
		"the person denies":                  {"tv.sh", []string{begun, `{"error":"access_denied"}`}, "not signed in: access_denied", "kept", false},
		"a proxy answers the exchange":       {"again.sh", []string{badGateway}, "no answer, try again", "kept", false},
		"the exchange has no answer":         {"again.sh", []string{""}, "no answer, try again", "kept", false},
		"the token service cannot answer":    {"again.sh", []string{`{"error":"temporarily_unavailable"}`}, "try again: temporarily_unavailable", "kept", false},
		"the session is over":                {"again.sh", []string{`{"error":"invalid_grant"}`}, "signed out: run tv.sh", "kept", false},
		"the token service gives new tokens": {"again.sh", []string{tokens}, "", "next", true},
	} {
		answers := c.answers
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if len(answers) == 0 {
				w.WriteHeader(http.StatusTeapot)
				return
			}
			_, _ = io.WriteString(w, answers[0])
			answers = answers[1:]
		}))
		dir := h.T.TempDir()
		shell := guide.Shell{Dir: dir, Env: h.shell.Env, Typed: strings.NewReplacer("https://tokens.example.com/office", server.URL)}
		h.Expect(shell.Files(h.page, suite.root)).To(gomega.Succeed())
		authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		h.Expect(os.WriteFile(filepath.Join(dir, "ca.crt"), authority, 0o600)).To(gomega.Succeed())
		h.Expect(os.WriteFile(filepath.Join(dir, "token"), []byte("kept"), 0o600)).To(gomega.Succeed())
		said, err := shell.Run(h.Ctx, "sh "+c.script)
		server.Close()
		token, unread := os.ReadFile(filepath.Join(dir, "token"))
		if unread != nil || string(token) != c.token || (err == nil) != c.succeeds || !strings.Contains(said, c.says) || len(answers) > 0 {
			h.T.Errorf("%s: %s says %q and leaves the token %q, with %d answers to come: %v", name, c.script, said, token, len(answers), err)
		}
	}
}
