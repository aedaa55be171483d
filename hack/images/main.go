// Command images builds the container images of the operator, with ko as a library: it needs no
// registry, no daemon and no base image. An image is one static binary in an
// otherwise empty file system, which runs as a user without a name.
//
//	images -root DIR -out DIR -version TAG [-platforms linux/amd64,linux/arm64]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/ko/pkg/build"
)

const (
	module     = "github.com/refreshkeys/refreshkeys"
	repository = "ghcr.io/refreshkeys"
	// user is an unprivileged user: Pod Security `restricted` requires one.
	user = "65532"
)

var commands = []string{"manager", "tokenserver", "console"}

func main() {
	root := flag.String("root", ".", "the module with the commands")
	out := flag.String("out", "", "where the images and the SBOMs go")
	version := flag.String("version", "", "the tag of the images")
	platforms := flag.String("platforms", "linux/amd64,linux/arm64", "what they are built for")
	flag.Parse()
	if err := run(context.Background(), *root, *out, *version, strings.Split(*platforms, ",")); err != nil {
		fmt.Fprintf(os.Stderr, "images: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root, out, version string, platforms []string) error {
	// Discard ko's log about the state of the checkout, on which nothing here depends.
	log.SetOutput(io.Discard)
	if out == "" || version == "" {
		return errors.New("-out and -version are required")
	}
	builder, err := newBuilder(ctx, root, filepath.Join(out, "sbom"), version, platforms)
	if err != nil {
		return err
	}
	for _, command := range commands {
		fmt.Fprintf(os.Stderr, "images: building cmd/%s for %s\n", command, strings.Join(platforms, " and "))
		result, err := builder.Build(ctx, build.StrictScheme+module+"/cmd/"+command)
		if err != nil {
			return fmt.Errorf("build cmd/%s: %w", command, err)
		}
		tag := fmt.Sprintf("%s/%s:%s", repository, command, version)
		if err := writeImage(out, command, tag, result); err != nil {
			return fmt.Errorf("write the image of cmd/%s: %w", command, err)
		}
		digest, err := result.Digest()
		if err != nil {
			return err
		}
		fmt.Printf("%s@%s\n", tag, digest)
	}
	return nil
}

// newBuilder omits everything that differs between two builds of the same sources: paths of
// the machine, the state of its checkout, and the time, which is 1970 in every image.
func newBuilder(ctx context.Context, root, sboms, version string, platforms []string) (build.Interface, error) {
	base, err := emptyBase(platforms)
	if err != nil {
		return nil, err
	}
	// Set here, so that the caller's GOFLAGS cannot change the result.
	if err := os.Setenv("GOFLAGS", "-buildvcs=false"); err != nil {
		return nil, err
	}
	options := []build.Option{
		build.WithBaseImages(func(context.Context, string) (name.Reference, build.Result, error) {
			return name.MustParseReference("scratch"), base, nil
		}),
		build.WithPlatforms(platforms...),
		build.WithTrimpath(true),
		build.WithDefaultEnv([]string{"CGO_ENABLED=0", "GOWORK=off"}),
		build.WithDefaultLdflags([]string{"-s", "-w", "-X", module + "/internal/version.Version=" + version}),
		build.WithUser(user),
		build.WithSPDX(version),
		build.WithSBOMDir(sboms),
		// Build one at a time: each build uses all cores, and much memory to link.
		build.WithJobs(1),
	}
	for key, value := range map[string]string{
		"org.opencontainers.image.version":  version,
		"org.opencontainers.image.source":   "https://" + module,
		"org.opencontainers.image.licenses": "Apache-2.0",
	} {
		options = append(options, build.WithLabel(key, value), build.WithAnnotation(key, value))
	}
	return build.NewGo(ctx, root, options...)
}

// emptyBase returns an index with an empty image for each platform.
func emptyBase(platforms []string) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, text := range platforms {
		platform, err := v1.ParsePlatform(text)
		if err != nil {
			return nil, err
		}
		image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
		image, err = mutate.ConfigFile(image, &v1.ConfigFile{
			OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant,
			RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}},
		})
		if err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: platform},
		})
	}
	return index, nil
}
