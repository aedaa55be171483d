package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

const (
	sumsName       = "SHA256SUMS"
	signatureName  = "SHA256SUMS.sig"
	provenanceName = "provenance.intoto.json"
)

// imageLayout returns the index of an image in the folder of a release.
func imageLayout(dir, image string) (v1.ImageIndex, error) {
	path, err := layout.FromPath(filepath.Join(dir, "images", image))
	if err != nil {
		return nil, err
	}
	all, err := path.ImageIndex()
	if err != nil {
		return nil, err
	}
	manifest, err := all.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(manifest.Manifests) != 1 {
		return nil, fmt.Errorf("the layout of %s holds %d images", image, len(manifest.Manifests))
	}
	return all.ImageIndex(manifest.Manifests[0].Digest)
}

// imageDigest returns the digest of an image's index.
func imageDigest(dir, image string) (string, error) {
	index, err := imageLayout(dir, image)
	if err != nil {
		return "", err
	}
	digest, err := index.Digest()
	return digest.String(), err
}

// digestsOf returns the SHA-256 digests of the files in a folder, without its subfolders, by name. It leaves out the names given.
func digestsOf(dir string, without ...string) (map[string]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, entry := range entries {
		if !entry.IsDir() {
			content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
			if err != nil {
				return nil, err
			}
			sum := sha256.Sum256(content)
			found[entry.Name()] = hex.EncodeToString(sum[:])
		}
	}
	for _, name := range without {
		delete(found, name)
	}
	if len(found) == 0 {
		return nil, errNoFiles
	}
	return found, nil
}

// checksums writes SHA256SUMS, in the format of sha256sum. The provenance is in it as a statement; its signature comes later.
func (b *builder) checksums() error {
	digests, err := digestsOf(b.out, sumsName)
	if err != nil {
		return err
	}
	return os.WriteFile(b.file(sumsName), []byte(formatSums(digests)), 0o644)
}

// formatSums returns the lines of a file that `sha256sum --check` reads, sorted by name.
func formatSums(digests map[string]string) string {
	var lines []string
	for name, digest := range digests {
		lines = append(lines, digest+"  "+name+"\n")
	}
	sort.Slice(lines, func(i, j int) bool { return lines[i][66:] < lines[j][66:] })
	return strings.Join(lines, "")
}

// parseSums returns the digests in a file of checksums.
func parseSums(text string) (map[string]string, error) {
	sums := map[string]string{}
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		digest, name, ok := strings.Cut(line, "  ")
		if !ok || len(digest) != 64 || name == "" {
			return nil, fmt.Errorf("%s: %q is not DIGEST  NAME", sumsName, line)
		}
		sums[name] = digest
	}
	return sums, nil
}
