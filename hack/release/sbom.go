package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"
)

const unknown = "NOASSERTION"

// pluginSBOMs writes an SBOM beside each archive of the plugin. It lists the modules that the binary itself names.
func (b *builder) pluginSBOMs() error {
	archives, err := filepath.Glob(b.file("kubectl-refreshkey_*.tar.gz"))
	if err != nil {
		return err
	}
	for _, archive := range archives {
		binary, err := binaryIn(archive)
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(filepath.Base(archive), ".tar.gz")
		document, err := sbomOf(binary, name, b.version, b.source.time)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		text, err := json.MarshalIndent(document, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(b.file(name+".spdx.json"), append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// binaryIn returns the program in an archive of the plugin.
func binaryIn(archive string) ([]byte, error) {
	packed, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	defer func() { _ = packed.Close() }()
	unzipped, err := gzip.NewReader(packed)
	if err != nil {
		return nil, err
	}
	files := tar.NewReader(unzipped)
	for {
		header, err := files.Next()
		if err != nil {
			return nil, fmt.Errorf("%s holds no kubectl-refreshkey: %w", archive, err)
		}
		if strings.TrimSuffix(filepath.Base(header.Name), ".exe") == "kubectl-refreshkey" {
			return io.ReadAll(files)
		}
	}
}

// sbomOf returns the SBOM of a Go binary, in SPDX 2.3.
func sbomOf(binary []byte, name, version string, at time.Time) (*spdx.Document, error) {
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(binary)
	main := packageOf("Binary", name, version, "pkg:golang/"+repository+"/cmd/kubectl-refreshkey@"+version)
	main.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: hex.EncodeToString(sum[:])}}
	main.PackageLicenseDeclared, main.PackageLicenseConcluded = "Apache-2.0", "Apache-2.0"
	document := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT", DocumentName: name,
		DocumentNamespace: "https://" + repository + "/releases/download/" + version + "/" + name + ".spdx.json",
		CreationInfo: &spdx.CreationInfo{
			Created: at.Format(time.RFC3339), Creators: []common.Creator{{CreatorType: "Tool", Creator: "refreshkeys-hack-release"}},
		},
		Packages:      []*spdx.Package{main},
		Relationships: []*spdx.Relationship{relationship("DOCUMENT", "DESCRIBES", "Binary")},
	}
	modules := append([]*debug.Module{{Path: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go")}}, info.Deps...)
	for i, module := range modules {
		if module.Replace != nil {
			module = module.Replace
		}
		id := fmt.Sprintf("Module-%d", i)
		document.Packages = append(document.Packages, packageOf(id, module.Path, module.Version, "pkg:golang/"+module.Path+"@"+module.Version))
		document.Relationships = append(document.Relationships, relationship("Binary", "DEPENDS_ON", id))
	}
	return document, nil
}

func packageOf(id, name, version, url string) *spdx.Package {
	return &spdx.Package{
		PackageSPDXIdentifier: common.ElementID(id), PackageName: name, PackageVersion: version,
		PackageDownloadLocation: unknown, PackageLicenseConcluded: unknown, PackageLicenseDeclared: unknown, PackageCopyrightText: unknown,
		PackageExternalReferences: []*spdx.PackageExternalReference{{Category: "PACKAGE-MANAGER", RefType: "purl", Locator: url}},
	}
}

func relationship(from, kind, to string) *spdx.Relationship {
	return &spdx.Relationship{
		RefA: common.MakeDocElementID("", from), Relationship: kind, RefB: common.MakeDocElementID("", to),
	}
}
