package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// chart packages the chart by Helm under the version of the release, and removes the times of the checkout from the archive.
func (b *builder) chart() error {
	helm, err := output(b.command(filepath.Join(b.root, "hack/helm/build.sh")))
	if err != nil {
		return err
	}
	number := strings.TrimPrefix(b.version, "v")
	packaging := b.command(helm, "package", "charts/refreshkeys", "--version", number, "--app-version", b.version, "--destination", b.out)
	if _, err := output(packaging); err != nil {
		return err
	}
	archive := b.file("refreshkeys-" + number + ".tgz")
	if err := withoutTimes(archive, b.source.time); err != nil {
		return err
	}
	// Helm writes the time of the file into the manifest of a chart that it pushes.
	return os.Chtimes(archive, b.source.time, b.source.time)
}

// withoutTimes writes a compressed archive again, with one time for all files.
func withoutTimes(archive string, at time.Time) error {
	packed, err := os.ReadFile(archive)
	if err != nil {
		return err
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return err
	}
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	// Helm's own archives have this mark.
	zipped.Header.Extra, zipped.Header.Comment = unzipped.Extra, unzipped.Comment
	if err := copyFiles(tar.NewWriter(zipped), tar.NewReader(unzipped), at); err != nil {
		return err
	}
	if err := zipped.Close(); err != nil {
		return err
	}
	return os.WriteFile(archive, out.Bytes(), 0o644)
}

// copyFiles copies the files of an archive with one time and one mode.
func copyFiles(to *tar.Writer, from *tar.Reader, at time.Time) error {
	for {
		header, err := from.Next()
		if errors.Is(err, io.EOF) {
			return to.Close()
		}
		if err != nil {
			return err
		}
		clean := &tar.Header{Typeflag: header.Typeflag, Name: header.Name, Mode: 0o644, Size: header.Size, ModTime: at}
		if err := to.WriteHeader(clean); err != nil {
			return err
		}
		// An archive of the chart is small, and made by Helm.
		if _, err := io.Copy(to, from); err != nil { //nolint:gosec // its size is that of the chart
			return err
		}
	}
}
