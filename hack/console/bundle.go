package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// The most that the page may weigh, compressed.
const (
	maxScript = 60 << 10
	maxStyle  = 8 << 10
)

// allowed are the packages of npm that may be in the page.
var allowed = []string{"preact", "@preact/signals", "@preact/signals-core"}

// bundle writes app.js, app.css, index.html and icon.svg.
func bundle(p paths) error {
	result := api.Build(api.BuildOptions{
		AbsWorkingDir: p.ui,
		EntryPointsAdvanced: []api.EntryPoint{
			{InputPath: "main.tsx", OutputPath: "app"},
			{InputPath: "styles/index.css", OutputPath: "app"},
		},
		Outdir: p.dist, Bundle: true, Metafile: true, Format: api.FormatESModule, Target: api.ES2022, Charset: api.CharsetUTF8,
		// Elements become calls of h, which are shorter than those of the automatic transform that tsconfig.json names.
		TsconfigRaw: "{}", JSX: api.JSXTransform, JSXFactory: "h", JSXFragment: "Fragment", Inject: []string{filepath.Join(p.ui, "app", "jsx.ts")},
		LegalComments: api.LegalCommentsEndOfFile,
		MinifySyntax:  true, MinifyWhitespace: true, MinifyIdentifiers: true,
		// The style sheet uses light-dark() and nesting as they are.
		Supported: map[string]bool{"nesting": true},
		Engines:   []api.Engine{{Name: api.EngineChrome, Version: "125"}, {Name: api.EngineFirefox, Version: "128"}, {Name: api.EngineSafari, Version: "17.5"}},
		Banner:    map[string]string{"js": "/*! With Preact and Preact Signals, (c) their authors, MIT licence */"},
		Define:    map[string]string{"process.env.NODE_ENV": `"production"`},
	})
	if len(result.Errors)+len(result.Warnings) > 0 {
		messages := append(api.FormatMessages(result.Errors, api.FormatMessagesOptions{}), api.FormatMessages(result.Warnings, api.FormatMessagesOptions{Kind: api.WarningMessage})...)
		return errors.New(strings.Join(messages, "\n"))
	}
	if err := onlyAllowed(result.Metafile); err != nil {
		return err
	}
	for i := range result.OutputFiles {
		file := &result.OutputFiles[i]
		if filepath.Ext(file.Path) != ".js" {
			continue
		}
		var err error
		if file.Contents, err = minified(p, file.Contents); err != nil {
			return err
		}
	}
	return write(p, result.OutputFiles)
}

// write holds the files to their budgets, and writes them and those that stay as they are.
func write(p paths, files []api.OutputFile) error {
	if err := os.MkdirAll(p.dist, 0o755); err != nil {
		return err
	}
	budgets := map[string]int{"app.js": maxScript, "app.css": maxStyle}
	for _, file := range files {
		name := filepath.Base(file.Path)
		size, err := compressed(file.Contents)
		if err != nil {
			return err
		}
		fmt.Printf("console: %s: %d bytes, %d compressed of at most %d\n", name, len(file.Contents), size, budgets[name])
		if size > budgets[name] {
			return fmt.Errorf("%s is larger than its budget", name)
		}
		if err := os.WriteFile(file.Path, file.Contents, 0o644); err != nil {
			return err
		}
	}
	for _, name := range []string{"index.html", "icon.svg"} {
		text, err := os.ReadFile(filepath.Join(p.ui, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(p.dist, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// onlyAllowed refuses a bundle with code of other packages than the allowed ones.
func onlyAllowed(metafile string) error {
	inputs, err := inputsOf(metafile)
	if err != nil {
		return err
	}
	for _, input := range inputs {
		_, inside, found := strings.Cut(input, "node_modules/")
		if !found {
			continue
		}
		if !slices.ContainsFunc(allowed, func(name string) bool { return strings.HasPrefix(inside, name+"/") }) {
			return fmt.Errorf("the page must not contain %s", inside)
		}
	}
	return nil
}

func compressed(text []byte) (int, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return 0, err
	}
	if _, err := w.Write(text); err != nil {
		return 0, err
	}
	if err := w.Close(); err != nil {
		return 0, err
	}
	return out.Len(), nil
}
