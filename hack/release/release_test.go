package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

func TestNotes(t *testing.T) {
	changelog := "# Changelog\n\n## Unreleased\n\n### Added\n\n- A page. ([Page](docs/page.md#part))\n\n### Earlier changes\n\n- The rest.\n"
	released := "# Changelog\n\n## Unreleased\n\n## v0.2.0 (2026-12-01)\n\n- Done, see [x](https://example.com/x).\n\n## v0.1.0\n\n- First.\n"
	before := []earlier{{"v0.1.0", commit}}
	for _, test := range []struct {
		name, changelog string
		has, hasNot     []string
	}{
		{"of what is unreleased", changelog, []string{"- A page.", "](https://github.com/refreshkeys/refreshkeys/blob/v0.2.0/docs/page.md#part)"}, []string{"The rest"}},
		{"of a section", released, []string{"- Done, see [x](https://example.com/x)."}, []string{"First"}},
		{"always", released, []string{"# Refresh Keys v0.2.0", "git tag --annotate --message v0.1.0 v0.1.0 " + commit}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			notes, err := notesOf(test.changelog, "v0.2.0", before)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range test.has {
				if !strings.Contains(notes, text) {
					t.Errorf("the notes do not hold %q:\n%s", text, notes)
				}
			}
			for _, text := range test.hasNot {
				if strings.Contains(notes, text) {
					t.Errorf("the notes hold %q:\n%s", text, notes)
				}
			}
		})
	}
	if _, err := notesOf("# Changelog\n", "v0.2.0", nil); err == nil {
		t.Error("a changelog without a section gives notes")
	}
}

// TestTheChangelogNamesTheSameCommit checks that the changelog and hack/release/versions agree on v0.1.0.
func TestTheChangelogNamesTheSameCommit(t *testing.T) {
	text, err := os.ReadFile("versions")
	if err != nil {
		t.Fatal(err)
	}
	before, err := readEarlier(string(text))
	if err != nil || len(before) == 0 {
		t.Fatalf("versions has %v (%v)", before, err)
	}
	changelog, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range before {
		// The changelog that this test has first read has no section of v0.1.0, only "Earlier changes".
		if named := section(string(changelog), each.version); named != "" && !strings.Contains(named, each.commit) {
			t.Errorf("the section %s of CHANGELOG.md does not name the commit %s", each.version, each.commit)
		}
	}
}

func TestStatement(t *testing.T) {
	files := map[string]string{"b": strings.Repeat("b", 64), "a": strings.Repeat("a", 64)}
	first, err := statement(files, "v0.2.0", commit, "go1.26.8 linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if again, err := statement(files, "v0.2.0", commit, "go1.26.8 linux/amd64"); err != nil || string(again) != string(first) {
			t.Fatalf("a second statement differs (%v):\n%s\n%s", err, first, again)
		}
	}
	whole, predicate, err := readStatement(first)
	if err != nil {
		t.Fatal(err)
	}
	if whole.Subject[0].Name != "a" || predicate.BuildDefinition.ResolvedDependencies[0].Digest["gitCommit"] != commit {
		t.Errorf("the statement is\n%s", first)
	}
}

func TestSums(t *testing.T) {
	want := map[string]string{"b c": strings.Repeat("1", 64), "a": strings.Repeat("2", 64)}
	text := formatSums(want)
	if !strings.HasPrefix(text, want["a"]+"  a\n") {
		t.Errorf("the sums are not sorted by name:\n%s", text)
	}
	got, err := parseSums(text)
	if err != nil || len(got) != 2 || got["b c"] != want["b c"] {
		t.Errorf("the sums are read as %v (%v)", got, err)
	}
	if _, err := parseSums("no sums"); err == nil {
		t.Error("a text that is no sum is read")
	}
}

func TestVEX(t *testing.T) {
	in := `{"@id":"x","author":"Unknown Author","statements":[{"products":[{"@id":"Unknown Product"}],"status":"affected"}]}`
	text, err := vexOf([]byte(in), "v0.2.0", time.Unix(0, 0).UTC())
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"author": "Refresh Keys"`, `"timestamp": "1970-01-01T00:00:00Z"`, "pkg:golang/github.com/refreshkeys/refreshkeys@v0.2.0"} {
		if !strings.Contains(string(text), part) {
			t.Errorf("the document does not hold %q:\n%s", part, text)
		}
	}
}

// TestSBOM reads the SBOM of this test, which is a Go program with modules.
func TestSBOM(t *testing.T) {
	file, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	document, err := sbomOf(binary, "program", "v0.2.0", time.Unix(0, 0).UTC())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	info, _ := debug.ReadBuildInfo()
	if len(document.Packages) != len(info.Deps)+2 {
		t.Errorf("the SBOM has %d packages, and the program %d modules", len(document.Packages), len(info.Deps))
	}
	for _, part := range []string{`"spdxVersion":"SPDX-2.3"`, `"pkg:golang/stdlib@`, `"relationshipType":"DEPENDS_ON"`, `"created":"1970-01-01T00:00:00Z"`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("the SBOM does not hold %s", part)
		}
	}
}

// keys writes a pair of keys. With a password, the private one is encrypted, as cosign does it.
func keys(t *testing.T, password string) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	kind := "PRIVATE KEY"
	if password != "" {
		kind = "ENCRYPTED SIGSTORE PRIVATE KEY"
		if der, err = encrypted.Encrypt(der, []byte(password)); err != nil {
			t.Fatal(err)
		}
	}
	shown, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	private, public = filepath.Join(dir, "key"), filepath.Join(dir, "pub")
	put(t, private, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	put(t, public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: shown}))
	return private, public
}

func put(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// folder returns a signed release with one file.
func folder(t *testing.T, private string) string {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "file"), []byte("content"))
	digests, err := digestsOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := statement(digests, "v0.2.0", commit, "go")
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, statementName), text)
	if digests, err = digestsOf(dir); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, sumsName), []byte(formatSums(digests)))
	if err := signFolder(dir, private); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSignAndVerify(t *testing.T) {
	private, public := keys(t, "")
	_, other := keys(t, "")
	for _, test := range []struct {
		name, key, says string
		change          func(dir string) error
	}{
		{"as it was signed", public, "", func(string) error { return nil }},
		{"with another key", other, "is not signed by this key", func(string) error { return nil }},
		{"with a changed file", public, "file is missing, or is not what was released", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "file"), []byte("Content"), 0o600)
		}},
		{"without a file", public, "file is missing", func(dir string) error { return os.Remove(filepath.Join(dir, "file")) }},
		{"with another file", public, "more is not in SHA256SUMS", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "more"), nil, 0o600)
		}},
		{"without a signature", public, "the checksums have no signature", func(dir string) error { return os.Remove(filepath.Join(dir, signatureName)) }},
		{"without a provenance", public, "the provenance has no signature", func(dir string) error { return os.Remove(filepath.Join(dir, provenanceName)) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := folder(t, private)
			if err := test.change(dir); err != nil {
				t.Fatal(err)
			}
			err := verifyFolder(dir, test.key)
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("the check says %v, want %q", err, test.says)
			}
		})
	}
}

// TestKeyWithAPassword signs with a key as cosign keeps it.
func TestKeyWithAPassword(t *testing.T) {
	private, public := keys(t, "secret")
	t.Setenv("COSIGN_PASSWORD", "secret")
	if err := verifyFolder(folder(t, private), public); err != nil {
		t.Error(err)
	}
	t.Setenv("COSIGN_PASSWORD", "wrong")
	if err := signFolder(t.TempDir(), private); err == nil || !strings.Contains(err.Error(), "cannot be decrypted") {
		t.Errorf("with a wrong password, the error is %v", err)
	}
}
