package cel

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// The files of this folder, by glob. A folder is named after a field: key.spec.audience is the field
// spec.audience of a JWTRefreshKey, issuer.status the status of a JWTIssuer.
const (
	valid   = "*/valid_*.yaml"
	invalid = "*/invalid_*.yaml"
)

// manifest is a file of one or more documents. All but the last are stored
// and must be accepted: they are what the last one changes.
type manifest struct {
	name string
	// expect is all that the API server says, one message for each line `# expect:`: a value can break a bound and a
	// rule of its field. It is empty for a manifest that must be accepted.
	expect []string
	// user writes the last document, when a line `# as:` says so.
	user string
	// subresource is what the last document is written to: status, or the object itself.
	subresource string
	documents   []*unstructured.Unstructured
}

// readManifests returns the manifests of the files that a glob matches.
func readManifests(t *testing.T, glob string) []manifest {
	t.Helper()
	files, err := filepath.Glob(glob)
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests match %s: %v", glob, err)
	}
	var all []manifest
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := parseManifest(content)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if len(m.documents) == 0 {
			continue // a kustomization beside the samples
		}
		m.name = strings.TrimSuffix(file, ".yaml")
		all = append(all, m)
	}
	return all
}

func parseManifest(content []byte) (manifest, error) {
	var m manifest
	for line := range strings.Lines(string(content)) {
		directive, isComment := strings.CutPrefix(strings.TrimSpace(line), "# ")
		if !isComment {
			break
		}
		switch key, value, _ := strings.Cut(directive, ": "); key {
		case "expect":
			m.expect = append(m.expect, value)
		case "as":
			m.user = value
		case "subresource":
			m.subresource = value
		}
	}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return m, nil
		}
		if err != nil {
			return m, err
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			return m, fmt.Errorf("document %d: %w", len(m.documents), err)
		}
		if object.GetKind() != "Kustomization" {
			m.documents = append(m.documents, object)
		}
	}
}

// folder returns the field that the manifest is about, such as key.spec.audience.
func (m manifest) folder() string { return filepath.Dir(m.name) }

// last returns the document that the API server accepts or refuses.
func (m manifest) last() *unstructured.Unstructured { return m.documents[len(m.documents)-1] }

// submit writes the manifest and returns what the API server says to its last document,
// which is not stored.
func (m manifest) submit(f *fixture) error {
	f.T.Helper()
	writer := f.as(m.user)
	last := len(m.documents) - 1
	for i, document := range m.documents {
		object := document.DeepCopy()
		if last > 0 {
			object.SetName(object.GetName() + "-changed") // the samples have these names too
		}
		switch {
		case i == 0 && last == 0:
			err := writer.Create(f.Ctx, object, client.DryRunAll)
			if apierrors.IsAlreadyExists(err) {
				return nil // looked for only after everything was found in order
			}
			return err
		case i == 0:
			f.Create(object)
		case i < last:
			if err := f.update(object, func() error { return f.Admin.Update(f.Ctx, object) }); err != nil {
				f.T.Fatalf("document %d must be accepted: %v", i, err)
			}
		case m.subresource == "":
			return f.update(object, func() error { return writer.Update(f.Ctx, object, client.DryRunAll) })
		default:
			return f.update(object, func() error {
				return writer.SubResource(m.subresource).Update(f.Ctx, object, client.DryRunAll)
			})
		}
	}
	return nil
}

// update replaces a stored object, which the operator of an existing cluster can write at the
// same time.
func (f *fixture) update(object *unstructured.Unstructured, write func() error) error {
	f.T.Helper()
	wanted := object.DeepCopy()
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		wanted.DeepCopyInto(object)
		object.SetResourceVersion(f.stored(wanted).GetResourceVersion())
		return write()
	})
}
