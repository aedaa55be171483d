// Docs puts the examples of hack/docs/examples into docs/api.md, which crd-ref-docs has made with the templates beside them. A file is
// a whole manifest, of which the page shows spec, and is named after the type of the API that it is an example of. `make generate` runs it.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const (
	page     = "docs/api.md"
	examples = "hack/docs/examples"
)

// place matches where the templates leave room for an example.
var place = regexp.MustCompile(`<!-- example: (\w+) -->\n`)

// blank matches the empty lines that the comments of the API leave between paragraphs.
var blank = regexp.MustCompile(`\n{3,}`)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

// run puts each example where its type is, and fails for an example of no type.
func run() error {
	files, err := filepath.Glob(filepath.Join(examples, "*.yaml"))
	if err != nil {
		return err
	}
	texts := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		_, spec, _ := strings.Cut(string(text), "\nspec:\n")
		texts[strings.TrimSuffix(filepath.Base(file), ".yaml")] = "spec:\n" + spec
	}
	made, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	filled := fill(string(made), texts)
	for name := range texts {
		return fmt.Errorf("%s/%s.yaml is an example of no type", examples, name)
	}
	return os.WriteFile(page, []byte(filled), 0o644)
}

// fill returns the page with its examples, and removes from texts those that it used.
func fill(made string, texts map[string]string) string {
	filled := place.ReplaceAllStringFunc(made, func(mark string) string {
		name := place.FindStringSubmatch(mark)[1]
		text, ok := texts[name]
		if !ok {
			return ""
		}
		delete(texts, name)
		return "\nFor example:\n\n```yaml\n" + text + "```\n"
	})
	return strings.TrimSpace(blank.ReplaceAllString(filled, "\n\n")) + "\n"
}
