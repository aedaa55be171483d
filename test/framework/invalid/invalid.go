// Package invalid reads the manifests of test/cel that the API server must refuse, with what a page says of each.
package invalid

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// fewest is the number of manifests below which something is wrong with the search for them.
const fewest = 100

// Manifest is a new refresh key that the API server must refuse.
type Manifest struct {
	// Name is its file, such as key.spec.audience/invalid_empty.yaml.
	Name   string          `json:"name"`
	Object json.RawMessage `json:"object"`
	// Causes are what a page says: of several for one field, those that explain a rule.
	Causes []wire.Cause `json:"causes"`
}

// Manifests returns the manifests below the root of the repository. Those that change a stored key, or its status, are left out.
func Manifests(root string) ([]Manifest, error) {
	files, err := filepath.Glob(filepath.Join(root, "test", "cel", "key.*", "invalid_*.yaml"))
	if err != nil {
		return nil, err
	}
	var all []Manifest
	for _, file := range files {
		folder := filepath.Base(filepath.Dir(file))
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		text := string(content)
		if strings.Contains(text, "\n---\n") || strings.Contains(text, "# as: ") || strings.HasPrefix(folder, "key.status") {
			continue
		}
		object, err := yaml.YAMLToJSON(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, Manifest{Name: folder + "/" + filepath.Base(file), Object: object, Causes: causes(text)})
	}
	if len(all) < fewest {
		return nil, fmt.Errorf("below %s are %d invalid manifests only", root, len(all))
	}
	return all, nil
}

// causes returns the causes that a manifest expects on the page.
func causes(text string) []wire.Cause {
	var all []wire.Cause
	for line := range strings.Lines(text) {
		expect, is := strings.CutPrefix(strings.TrimSpace(line), "# expect: ")
		if !is {
			continue
		}
		field, message, named := strings.Cut(expect, ": ")
		if !named || strings.Contains(field, " ") {
			// The message names the field itself.
			field, message, _ = strings.Cut(expect, " ")
			if short, ofSchema := strings.CutPrefix(message, "in body "); ofSchema {
				message = short
			} else {
				message = expect
			}
		}
		all = append(all, wire.Cause{Field: field, Message: message})
	}
	return slices.DeleteFunc(slices.Clone(all), func(c wire.Cause) bool {
		return strings.HasPrefix(c.Message, "should ") && slices.ContainsFunc(all, func(other wire.Cause) bool {
			return other.Field == c.Field && !strings.HasPrefix(other.Message, "should ")
		})
	})
}

// Same reports whether a cause is the expected one. The time of the API server stands for <now>.
func Same(cause, want wire.Cause) bool {
	before, after, _ := strings.Cut(want.Message, "<now>")
	return cause.Field == want.Field && strings.HasPrefix(cause.Message, before) && strings.HasSuffix(cause.Message, after)
}
