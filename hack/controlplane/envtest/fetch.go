package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/tools/setup-envtest/remote"
	"sigs.k8s.io/controller-runtime/tools/setup-envtest/store"
	"sigs.k8s.io/controller-runtime/tools/setup-envtest/versions"
)

const (
	// answersWithin bounds the wait for the index: a machine without internet builds the programs instead.
	answersWithin = 5 * time.Second
	// stalledAfter is the longest time without a byte of the archive. A slow download may take as long as it needs.
	stalledAfter = 20 * time.Second
)

// programs are what an archive must hold. No archive holds kube-controller-manager.
var programs = []string{"etcd", "kube-apiserver", "kubectl"}

// errRefused is returned for an archive whose checksum is not that of the index.
var errRefused = errors.New("an archive was refused")

// source is an index, and how long it may be silent. Zero times are the defaults.
type source struct {
	index         string
	answersWithin time.Duration
	stalledAfter  time.Duration
}

// fetch downloads the archive that fits a version, verifies its checksum, unpacks it into a folder below into, and returns the
// name of that folder, which is the version of the archive. It leaves nothing behind if it fails.
func fetch(ctx context.Context, from source, version, into string) (string, error) {
	ctx = logr.NewContext(ctx, logr.Discard())
	client := &remote.HTTPClient{Log: logr.Discard(), IndexURL: from.index}
	item, platform, err := from.look(ctx, client, version)
	if err != nil {
		return "", err
	}
	scratch, err := os.MkdirTemp(into, ".download-")
	if err != nil {
		return "", err
	}
	defer func() { _ = remove(scratch) }()
	archive := filepath.Join(scratch, "archive.tar.gz")
	if err := from.download(ctx, client, item, platform, archive); err != nil {
		return "", err
	}
	unpacked, err := unpack(ctx, scratch, archive, item)
	if err != nil {
		return "", fmt.Errorf("the archive for %s of %s is not used: %w", item, from.index, err)
	}
	return put(unpacked, into, item.Version.String())
}

// look returns the archive of the index that fits a version and this machine.
func (s source) look(ctx context.Context, client remote.Client, version string) (store.Item, versions.PlatformItem, error) {
	limit := orElse(s.answersWithin, answersWithin)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	sets, err := client.ListVersions(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return store.Item{}, versions.PlatformItem{}, fmt.Errorf("%s did not answer within %s", s.index, limit)
	}
	if err != nil {
		// The message of a failed request repeats the URL.
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			err = failed.Err
		}
		return store.Item{}, versions.PlatformItem{}, fmt.Errorf("%s cannot be read: %w", s.index, err)
	}
	return choose(sets, s.index, version)
}

// choose returns the archive of a version for this machine, or else that of the newest patch of the same minor version.
func choose(sets []versions.Set, index, version string) (store.Item, versions.PlatformItem, error) {
	spec, err := versions.FromExpr(strings.TrimPrefix(version, "v"))
	if err != nil {
		return store.Item{}, versions.PlatformItem{}, err
	}
	wanted := spec.AsConcrete()
	if wanted == nil {
		return store.Item{}, versions.PlatformItem{}, fmt.Errorf("%q is no complete version", version)
	}
	here := here()
	var best store.Item
	var found versions.PlatformItem
	for _, set := range sets {
		if set.Version.Major != wanted.Major || set.Version.Minor != wanted.Minor {
			continue
		}
		for _, platform := range set.Platforms {
			newer := found.Hash == nil || best.Version.Patch < set.Version.Patch
			if platform.Platform == here && best.Version != *wanted && (newer || set.Version == *wanted) {
				best, found = store.Item{Version: set.Version, Platform: here}, platform
			}
		}
	}
	if found.Hash == nil {
		return best, found, fmt.Errorf("%s has no archive of Kubernetes %d.%d for %s", index, wanted.Major, wanted.Minor, here)
	}
	return best, found, nil
}

// here returns the platform of this machine.
func here() versions.Platform { return versions.Platform{OS: runtime.GOOS, Arch: runtime.GOARCH} }

// download writes an archive to a file. The error is errRefused if the checksum is not that of the index.
func (s source) download(ctx context.Context, client remote.Client, item store.Item, platform versions.PlatformItem, file string) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := orElse(s.stalledAfter, stalledAfter)
	watched := &watched{Writer: out, limit: limit}
	watched.timer = time.AfterFunc(limit, func() { cancel(fmt.Errorf("no byte came within %s", limit)) })
	defer watched.timer.Stop()
	err = errors.Join(client.GetVersion(ctx, item.Version, platform, watched), out.Close())
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if strings.Contains(err.Error(), "checksum mismatch") {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return fmt.Errorf("the archive for %s of %s cannot be downloaded: %w", item, s.index, err)
}

// watched is a writer that restarts a timer with each write.
type watched struct {
	io.Writer
	timer *time.Timer
	limit time.Duration
}

// Write writes to the writer, and restarts the timer.
func (w *watched) Write(p []byte) (int, error) {
	w.timer.Reset(w.limit)
	return w.Writer.Write(p)
}

// unpack unpacks a verified archive, and returns the folder with its programs.
func unpack(ctx context.Context, scratch, archive string, item store.Item) (string, error) {
	contents, err := os.Open(archive)
	if err != nil {
		return "", err
	}
	defer func() { _ = contents.Close() }()
	unpacked := store.NewAt(scratch)
	if err := errors.Join(unpacked.Initialize(ctx), unpacked.Add(ctx, item, contents)); err != nil {
		return "", err
	}
	dir, err := unpacked.Path(item)
	if err != nil {
		return "", err
	}
	for _, program := range programs {
		if found, err := os.Stat(filepath.Join(dir, program)); err != nil || !found.Mode().IsRegular() || found.Mode()&0o100 == 0 {
			return "", fmt.Errorf("it holds no program %s", program)
		}
	}
	// The store makes its folders read-only; build.sh adds kube-controller-manager.
	return dir, os.Chmod(dir, 0o755)
}

// put moves programs into the folder of their version, and returns its name. The folder may hold kube-controller-manager.
func put(from, into, version string) (string, error) {
	dir := filepath.Join(into, version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, program := range programs {
		if err := os.Rename(filepath.Join(from, program), filepath.Join(dir, program)); err != nil {
			return "", err
		}
	}
	return version, nil
}

// remove removes a folder with read-only folders in it.
func remove(dir string) error {
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return os.Chmod(path, 0o755)
	})
	return errors.Join(err, os.RemoveAll(dir))
}

func orElse(duration, otherwise time.Duration) time.Duration {
	if duration == 0 {
		return otherwise
	}
	return duration
}
