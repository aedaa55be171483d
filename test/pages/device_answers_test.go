package pages

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/test/framework/guide"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// badGateway is the answer of a proxy that does not reach the token service.
const badGateway = "<html><body>502 Bad Gateway</body></html>\n"

// answerCase is what a script says, and the token that it leaves, after some answers.
type answerCase struct {
	script      string
	answers     []string
	says, token string
	succeeds    bool
}

// tokens is a good answer.
const tokens = `{"access_token":"access","expires_in":900,"refresh_token":"next","token_type":"Bearer"}`

// badAnswers runs the scripts of the device at a server that gives bad answers before good ones. A script says what to do, and keeps the
// stored token until it has another one.
func (h *signInGuide) badAnswers() {
	h.T.Helper()
	const begun = `{"device_code":"code","expires_in":600,"interval":0,"user_code":"TV","verification_uri":"https://tokens.example.com/office/device"}`
	for name, c := range map[string]answerCase{
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
		h.answers(h.page, h.T.TempDir(), "", "https://tokens.example.com/office", name, c)
	}
}

// TestTheScriptOfTheDeviceKeepsItsToken runs the script of docs/how-to/device.md at a server that gives bad answers.
func TestTheScriptOfTheDeviceKeepsItsToken(t *testing.T) {
	h := &fixture{Harness: harness.On(t, suite.Config(), clock.RealClock{})}
	page := h.pageOf("docs/how-to/device.md")
	for name, c := range map[string]answerCase{
		"a proxy answers":                     {"device.sh", []string{badGateway}, "no answer, try again", "kept", false},
		"there is no answer":                  {"device.sh", []string{""}, "no answer, try again", "kept", false},
		"an answer without a refresh token":   {"device.sh", []string{`{"access_token":"access","expires_in":900,"token_type":"Bearer"}`}, "no answer, try again", "kept", false},
		"an answer without an access token":   {"device.sh", []string{`{"refresh_token":"next"}`}, "no answer, try again", "kept", false},
		"the token service cannot answer":     {"device.sh", []string{`{"error":"temporarily_unavailable"}`}, "try again: temporarily_unavailable", "kept", false},
		"the token is refused":                {"device.sh", []string{`{"error":"invalid_grant"}`}, "enrol the device again", "kept", false},
		"the token service gives new tokens":  {"device.sh", []string{tokens}, "", "next", true},
		"the members are in another order":    {"device.sh", []string{`{"refresh_token":"next","token_type":"Bearer","access_token":"access"}`}, "", "next", true},
		"the expiry of the token comes first": {"device.sh", []string{`{"refresh_token_expires_in":9,"refresh_token":"next","access_token":"access"}`}, "", "next", true},
	} {
		h.answers(page, t.TempDir(), "device", "", name, c)
	}
}

// answers runs a script of a page in a folder, in which its files are in another folder or beside it, at a server that gives some answers.
// The page names the server by its URL, or the script reads it from a file.
func (h *fixture) answers(page *guide.Page, dir, files, named, name string, c answerCase) {
	h.T.Helper()
	answers := c.answers
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if len(answers) == 0 {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		_, _ = io.WriteString(w, answers[0])
		answers = answers[1:]
	}))
	shell := guide.Shell{Dir: dir, Env: os.Environ()}
	if named != "" {
		shell.Typed = strings.NewReplacer(named, server.URL)
	}
	h.Expect(shell.Files(page, "")).To(gomega.Succeed())
	h.Expect(os.MkdirAll(filepath.Join(dir, files), 0o700)).To(gomega.Succeed())
	for file, content := range map[string]string{
		"ca.crt": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})), "token": "kept", "token-endpoint": server.URL,
	} {
		h.Expect(os.WriteFile(filepath.Join(dir, files, file), []byte(content), 0o600)).To(gomega.Succeed())
	}
	said, err := shell.Run(h.Ctx, "sh "+c.script)
	server.Close()
	token, unread := os.ReadFile(filepath.Join(dir, files, "token"))
	if unread != nil || string(token) != c.token || (err == nil) != c.succeeds || !strings.Contains(said, c.says) || len(answers) > 0 {
		h.T.Errorf("%s: %s says %q and leaves the token %q, with %d answers to come: %v", name, c.script, said, token, len(answers), err)
	}
}
