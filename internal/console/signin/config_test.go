package signin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfig checks what a file may say, and the error for one that is wrong.
func TestConfig(t *testing.T) {
	folder := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secret, empty := write("secret", "s3cret\n"), write("empty", "\n")
	const base = "issuerURL: https://idp.example.com\nclientID: console\n"
	const service = "forward: Exchange\ntokenService: {issuerURL: https://tokens.example.com/people, audience: https://kubernetes.example.com}\n"
	for _, c := range []struct {
		name, content string
		impersonate   bool
		// want are parts of the error; none for a file that is accepted.
		want []string
	}{
		{"least", base, false, nil},
		{"secret", base + "clientSecretFile: " + secret, false, nil},
		{"exchange", base + service, false, nil},
		{"sign-in at an issuer", base + "forward: AccessToken\ntokenService: {audience: https://kubernetes.example.com}", false, nil},
		{"sign-in at an issuer without an audience", base + "forward: AccessToken", false, []string{"tokenService is missing: set its audience"}},
		{"sign-in at another issuer", base + strings.Replace(service, "Exchange", "AccessToken", 1), false, []string{"differs from issuerURL"}},
		{"a secret at an issuer", base + "forward: AccessToken\ntokenService: {audience: https://kubernetes.example.com}\nclientSecretFile: " + secret, false, []string{"public clients only"}},
		{"impersonation by the flag alone", base, true, nil},
		{"impersonation", base + "forward: Impersonation\nusernameClaim: email\nusernamePrefix: ''\ngroupsClaim: groups", true, nil},
		{"empty", "", false, []string{"issuerURL is missing: set it", "clientID is missing: register"}},
		{"unknown field", base + "clientId: x", false, []string{"unknown field"}},
		{"not YAML", "{", false, []string{"is not a configuration"}},
		{"http", "issuerURL: http://idp.example.com\nclientID: c", false, []string{"issuerURL must be an https URL"}},
		{"URL with a user", "issuerURL: https://a:b@idp.example.com\nclientID: c", false, []string{"without user"}},
		{"two proofs", base + "clientSecretFile: " + secret + "\nclientAssertionFile: " + secret, false, []string{"both set"}},
		{"secret away", base + "clientSecretFile: " + folder + "/away", false, []string{"clientSecretFile: ", "mount the file"}},
		{"secret empty", base + "clientSecretFile: " + empty, false, []string{"is empty"}},
		{"authorities that are none", base + "caFile: " + secret, false, []string{"caFile: ", "no certificate in PEM"}},
		{"scopes", base + "scopes: [profile]", false, []string{"scopes have no openid"}},
		{"forward", base + "forward: Token", false, []string{`forward is "Token": set it to`}},
		{"impersonation without the flag", base + "forward: Impersonation", false, []string{"also needs the flag --impersonate"}},
		{"flag without impersonation", base + "forward: IDToken", true, []string{"--impersonate has no effect"}},
		{"exchange without a service", base + "forward: Exchange", false, []string{"tokenService is missing"}},
		{"service without a URL", base + "forward: Exchange\ntokenService: {}", false, []string{"tokenService.issuerURL is missing", "tokenService.audience is missing"}},
		{"service without exchange", base + strings.Replace(service, "Exchange", "IDToken", 1), false, []string{"tokenService has no effect"}},
		{"offline access with exchange", base + service + "scopes: [openid, offline_access]", false, []string{"offline_access has no use"}},
		{"names without impersonation", base + "usernameClaim: email", false, []string{"have no effect with forward: IDToken"}},
		{"prefix of the cluster", base + "usernamePrefix: 'system:'", true, []string{`usernamePrefix must not begin with "system:"`}},
		{"prefix with a space", base + "groupsPrefix: ' '", true, []string{"groupsPrefix must not"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := write("oidc.yaml", c.content)
			got, err := Load(path, c.impersonate)
			if len(c.want) == 0 {
				if err != nil || got == nil {
					t.Errorf("it is refused: %v", err)
				}
				return
			}
			if err == nil {
				t.Fatal("it is accepted")
			}
			for _, want := range append(c.want, path) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v: want %q", err, want)
				}
			}
		})
	}
	if _, err := Load(filepath.Join(folder, "none"), false); err == nil || !strings.Contains(err.Error(), "--oidc-config") {
		t.Errorf("a file that does not exist: %v", err)
	}
	got, err := Load(write("oidc.yaml", base), true)
	if err != nil || got.Forward != Impersonation || *got.UsernamePrefix != "oidc:" || *got.GroupsPrefix != "oidc:" || got.UsernameClaim != "sub" {
		t.Errorf("the defaults are %+v: %v", got, err)
	}
}
