package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// repository is where the sources and the releases are.
const repository = "github.com/refreshkeys/refreshkeys"

// imagePrefix is the registry of the images that are built; they can be published elsewhere.
const imagePrefix = "ghcr.io/refreshkeys"

// images are the images of a release, by their names in the registry.
var images = []string{"manager", "tokenserver", "console"}

// versionForm has no build metadata: a tag of an image cannot hold a plus sign.
var versionForm = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?$`)

type buildOptions struct {
	root, out, version string
	rehearsal          bool
}

// source is the commit that a release is built from.
type source struct {
	commit string
	// time is that of the commit. It replaces the time of the build in all files, so that they are reproducible.
	time time.Time
}

// build makes all files of a release in the folder, which is complete when it returns.
func build(ctx context.Context, options buildOptions) error {
	if !versionForm.MatchString(options.version) || options.out == "" {
		return fmt.Errorf("%q is not a version such as v0.2.0, or -out is missing", options.version)
	}
	b := builder{ctx: ctx, version: options.version}
	var err error
	if b.root, err = filepath.Abs(options.root); err != nil {
		return err
	}
	if b.out, err = filepath.Abs(options.out); err != nil {
		return err
	}
	if b.source, err = readSource(ctx, b.root, options.rehearsal); err != nil {
		return err
	}
	if err := os.RemoveAll(b.out); err != nil {
		return err
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		make func() error
	}{
		// The short steps come first, so that what is missing is known soon.
		{"vulnerabilities", b.vex},
		{"notes", b.notes},
		{"chart", b.chart},
		{"plugin", b.plugin},
		{"SBOMs of the plugin", b.pluginSBOMs},
		{"images", b.images},
		{"manifests", b.manifests},
		{"provenance", b.provenance},
		{"checksums", b.checksums},
	} {
		started := time.Now()
		if err := step.make(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Fprintf(os.Stderr, "release: %s after %.0f s\n", step.name, time.Since(started).Seconds())
	}
	return nil
}

// builder holds what all steps need.
type builder struct {
	ctx                context.Context
	root, out, version string
	source             source
}

// readSource returns the commit of a checkout. A release is built from a commit, not from changes.
func readSource(ctx context.Context, root string, rehearsal bool) (source, error) {
	commit, err := output(exec.CommandContext(ctx, "git", "-C", root, "rev-parse", "HEAD"))
	if err != nil {
		return source{}, err
	}
	changes, err := output(exec.CommandContext(ctx, "git", "-C", root, "status", "--porcelain"))
	if err != nil {
		return source{}, err
	}
	if changes != "" && !rehearsal {
		return source{}, fmt.Errorf("the checkout has changes: commit them, or use REHEARSAL=true\n%s", changes)
	}
	text, err := output(exec.CommandContext(ctx, "git", "-C", root, "log", "-1", "--format=%ct"))
	if err != nil {
		return source{}, err
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return source{}, err
	}
	return source{commit, time.Unix(seconds, 0).UTC()}, nil
}

// output returns what a command prints, without spaces at its ends. The error has what it complains of.
func output(command *exec.Cmd) (string, error) {
	var complaint strings.Builder
	command.Stderr = &complaint
	text, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return strings.TrimSpace(string(text)), nil
}

// command returns a command in the checkout. The commit's time is in SOURCE_DATE_EPOCH, which ko and others obey.
func (b *builder) command(program string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(b.ctx, program, arguments...)
	command.Dir = b.root
	command.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(b.source.time.Unix(), 10))
	return command
}

func (b *builder) file(name string) string { return filepath.Join(b.out, name) }

// plugin builds the plugin for all platforms, and krew's manifest with their checksums.
func (b *builder) plugin() error {
	_, err := output(b.command(filepath.Join(b.root, "hack/krew/release"), b.version, b.out))
	return err
}

// images builds the images into the folder images, and links their archives and SBOMs under the names of a release.
func (b *builder) images() error {
	folder := b.file("images")
	if _, err := output(b.command(filepath.Join(b.root, "hack/images/build.sh"), folder, "linux/amd64,linux/arm64", b.version)); err != nil {
		return err
	}
	for _, image := range images {
		if err := os.Link(filepath.Join(folder, image+".tar"), b.file("refreshkeys-"+image+"_"+b.version+"_oci.tar")); err != nil {
			return err
		}
		for _, arch := range []string{"amd64", "arm64"} {
			sbom := filepath.Join(folder, "sbom", image+"-linux-"+arch+".spdx.json")
			if err := os.Link(sbom, b.file("refreshkeys-"+image+"_"+b.version+"_linux_"+arch+".spdx.json")); err != nil {
				return err
			}
		}
	}
	return nil
}

// kubectl returns the path of a kubectl: that of the control plane that this repository builds, or an installed one.
func (b *builder) kubectl() (string, error) {
	built, err := filepath.Glob(filepath.Join(b.root, "bin/k8s/*/kubectl"))
	if err != nil {
		return "", err
	}
	if len(built) > 0 {
		return built[len(built)-1], nil
	}
	path, err := exec.LookPath("kubectl")
	if err != nil {
		return "", errors.New("kubectl is needed: install it, or run make controlplane")
	}
	return path, nil
}

// manifests writes install.yaml: config/default with the images of this release, by version and digest.
func (b *builder) manifests() error {
	kubectl, err := b.kubectl()
	if err != nil {
		return err
	}
	overlay, err := os.MkdirTemp(b.root, ".release-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(overlay) }()
	text := "resources:\n- ../config/default\nimages:\n"
	for _, image := range images {
		digest, err := imageDigest(b.out, image)
		if err != nil {
			return err
		}
		text += fmt.Sprintf("- {name: %s/%s, newTag: %q, digest: %q}\n", imagePrefix, image, b.version, digest)
	}
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		return err
	}
	rendered, err := output(b.command(kubectl, "kustomize", overlay))
	if err != nil {
		return err
	}
	return os.WriteFile(b.file("install.yaml"), []byte(rendered+"\n"), 0o644)
}

// goVersion returns the version of the compiler that builds the release.
func (b *builder) goVersion() (string, error) {
	text, err := output(b.command("go", "env", "GOVERSION"))
	if err != nil {
		return "", err
	}
	return text + " " + runtime.GOOS + "/" + runtime.GOARCH, nil
}
