package main

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/ko/pkg/build"
)

// writeImage writes an image in the three forms in which tools read it:
//
//	OUT/COMMAND                            an OCI layout: `crane push`, `skopeo copy oci:`
//	OUT/COMMAND.tar                        the same as one file: `ctr images import`, `skopeo copy oci-archive:`
//	OUT/docker/COMMAND-OS-ARCHITECTURE.tar one platform: `docker load`, `kind load image-archive`
//
// Each is complete before it gets its name.
func writeImage(out, command, tag string, result build.Result) error {
	if err := os.MkdirAll(filepath.Join(out, "docker"), 0o755); err != nil {
		return err
	}
	folder, err := os.MkdirTemp(out, ".layout-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if err := os.Chmod(folder, 0o755); err != nil {
		return err
	}
	if err := writeLayout(folder, tag, result); err != nil {
		return err
	}
	archive := filepath.Join(out, command+".tar")
	if err := writeTar(archive+".part", folder); err != nil {
		return err
	}
	if err := os.Rename(archive+".part", archive); err != nil {
		return err
	}
	if err := writeDockerArchives(filepath.Join(out, "docker"), command, tag, result); err != nil {
		return err
	}
	final := filepath.Join(out, command)
	if err := os.RemoveAll(final); err != nil {
		return err
	}
	return os.Rename(folder, final)
}

// writeDockerArchives writes an archive of each platform's image. Docker without its containerd store, and kind,
// read no index of images.
func writeDockerArchives(folder, command, tag string, result build.Result) error {
	reference, err := name.NewTag(tag)
	if err != nil {
		return err
	}
	all, err := imagesOf(result)
	if err != nil {
		return err
	}
	for platform, image := range all {
		archive := filepath.Join(folder, command+"-"+strings.ReplaceAll(platform, "/", "-")+".tar")
		if err := tarball.WriteToFile(archive+".part", reference, image); err != nil {
			return err
		}
		if err := os.Rename(archive+".part", archive); err != nil {
			return err
		}
	}
	return nil
}

// imagesOf returns the images of a build by platform, such as linux/amd64. A build for one platform is an image without an index.
func imagesOf(result build.Result) (map[string]v1.Image, error) {
	switch result := result.(type) {
	case v1.ImageIndex:
		manifest, err := result.IndexManifest()
		if err != nil {
			return nil, err
		}
		all := map[string]v1.Image{}
		for _, each := range manifest.Manifests {
			if all[each.Platform.String()], err = result.Image(each.Digest); err != nil {
				return nil, err
			}
		}
		return all, nil
	case v1.Image:
		config, err := result.ConfigFile()
		if err != nil {
			return nil, err
		}
		return map[string]v1.Image{config.Platform().String(): result}, nil
	default:
		return nil, fmt.Errorf("%T is neither an image nor an index of images", result)
	}
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
