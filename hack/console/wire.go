package main

import (
	"os"
	"path/filepath"

	"github.com/gzuidhof/tygo/tygo"
)

const wirePackage = "github.com/refreshkeys/refreshkeys/internal/console/wire"

// writeWire writes the TypeScript types of what server and page exchange.
func writeWire(p paths) error {
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	// The package is in the product's module.
	if err := os.Chdir(p.root); err != nil {
		return err
	}
	defer func() { _ = os.Chdir(here) }()
	return tygo.New(&tygo.Config{Packages: []*tygo.PackageConfig{{
		Path:         wirePackage,
		OutputPath:   filepath.Join(p.ui, "app", "wire.ts"),
		Indent:       "  ",
		FallbackType: "unknown",
		TypeMappings: map[string]string{"json.RawMessage": "unknown"},
	}}}).Generate()
}
