package main

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// TestSignedImage signs an image in a registry, and checks what a verification accepts.
func TestSignedImage(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	repository, err := name.NewRepository(strings.TrimPrefix(server.URL, "http://") + "/manager")
	if err != nil {
		t.Fatal(err)
	}
	index, err := random.Index(100, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(repository.Tag("v0.2.0"), index); err != nil {
		t.Fatal(err)
	}
	private, public := keys(t, "")
	signer, err := readSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := readVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifyRemote(t.Context(), repository.Tag("v0.2.0"), verifier); err == nil {
		t.Error("an image without a signature is accepted")
	}
	if err := signRemote(t.Context(), repository, digest, signer); err != nil {
		t.Fatal(err)
	}
	if got, err := verifyRemote(t.Context(), repository.Tag("v0.2.0"), verifier); err != nil || got != digest {
		t.Errorf("the check returns %s (%v), want %s", got, err, digest)
	}
	_, other := keys(t, "")
	stranger, err := readVerifier(other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifyRemote(t.Context(), repository.Tag("v0.2.0"), stranger); err == nil {
		t.Error("a signature of another key is accepted")
	}
	for subject, accepted := range map[string]bool{digest.Hex: true, strings.Repeat("0", 64): false} {
		dir := t.TempDir()
		text, err := statement(map[string]string{imagePrefix + "/manager": subject}, "v0.2.0", commit, "go")
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, statementName), text)
		put(t, filepath.Join(dir, sumsName), nil)
		if err := signFolder(dir, private); err != nil {
			t.Fatal(err)
		}
		envelope, err := os.ReadFile(filepath.Join(dir, provenanceName))
		if err != nil {
			t.Fatal(err)
		}
		if err := attach(t.Context(), repository, digest, envelope); err != nil {
			t.Fatal(err)
		}
		if err := verifyAttached(t.Context(), repository, digest, "manager", verifier); (err == nil) != accepted {
			t.Errorf("a provenance about %s is accepted: %v", subject, err)
		}
	}
}
