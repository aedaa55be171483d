package main

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/ko/pkg/build"
)

// writeArchive writes an OCI layout as one tar file, which `ctr images import`, `skopeo
// copy oci-archive:`, `podman load` and `crane push` read. The file is written atomically.
func writeArchive(archive, tag string, result build.Result) error {
	if err := os.MkdirAll(filepath.Dir(archive), 0o755); err != nil {
		return err
	}
	folder, err := os.MkdirTemp(filepath.Dir(archive), ".layout-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if err := writeLayout(folder, tag, result); err != nil {
		return err
	}
	part := archive + ".part"
	if err := writeTar(part, folder); err != nil {
		return err
	}
	return os.Rename(part, archive)
}

func writeLayout(folder, tag string, result build.Result) error {
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	// The first annotation is the specification's, and most tools also expect a whole reference there;
	// containerd reads the image's name from the second.
	named := layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": tag,
		"io.containerd.image.name":          tag,
	})
	switch result := result.(type) {
	case v1.ImageIndex:
		return path.ReplaceIndex(result, match.Name(tag), named)
	case v1.Image:
		return path.ReplaceImage(result, match.Name(tag), named)
	default:
		return fmt.Errorf("%T is neither an image nor an index of images", result)
	}
}

// writeTar omits times and owners, so that equal layouts give equal files.
func writeTar(file, folder string) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	archive := tar.NewWriter(out)
	// WalkDir walks in lexical order.
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return addFile(archive, path, filepath.ToSlash(strings.TrimPrefix(path, folder+string(filepath.Separator))))
	})
	if err != nil {
		return err
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return out.Close()
}

func addFile(archive *tar.Writer, path, name string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: info.Size(), Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err = io.Copy(archive, in)
	return err
}
