package view

import (
	"encoding/json"
	"fmt"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// The kinds of the product.
var (
	KeyKind    = v1alpha1.GroupVersion.WithKind("JWTRefreshKey")
	IssuerKind = v1alpha1.GroupVersion.WithKind("JWTIssuer")
)

// object returns an object as the API server has it, as JSON and as YAML, without managedFields.
func object(stored *unstructured.Unstructured) (json.RawMessage, string, error) {
	shown := stored.DeepCopy()
	shown.SetManagedFields(nil)
	text, err := json.Marshal(shown.Object)
	if err != nil {
		return nil, "", err
	}
	written, err := yaml.JSONToYAML(text)
	return text, string(written), err
}

// manifest returns what to apply to get a key again.
func manifest(stored *unstructured.Unstructured) (string, error) {
	metadata := map[string]any{"name": stored.GetName(), "namespace": stored.GetNamespace()}
	if labels := stored.GetLabels(); len(labels) > 0 {
		metadata["labels"] = labels
	}
	written, err := yaml.Marshal(map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": KeyKind.Kind, "metadata": metadata, "spec": stored.Object["spec"],
	})
	return string(written), err
}

// Manifest returns the refresh key that a person writes in a namespace, to send it to the API server: its name, labels and
// annotations, and its spec. It leaves all fields of spec as they are, so that the API server finds the faults.
func Manifest(written json.RawMessage, namespace string) (*unstructured.Unstructured, error) {
	var form struct {
		Metadata struct {
			Name        string            `json:"name"`
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
		Spec json.RawMessage `json:"spec"`
	}
	if err := json.Unmarshal(written, &form); err != nil {
		return nil, fmt.Errorf("the manifest is not a JWTRefreshKey: %w", err)
	}
	key := &unstructured.Unstructured{Object: map[string]any{}}
	if len(form.Spec) > 0 {
		// The decoder of the API keeps whole numbers whole.
		spec := fmt.Appendf(nil, `{"apiVersion":%q,"kind":%q,"spec":%s}`, v1alpha1.GroupVersion.String(), KeyKind.Kind, form.Spec)
		if err := key.UnmarshalJSON(spec); err != nil {
			return nil, fmt.Errorf("the manifest is not a JWTRefreshKey: %w", err)
		}
	}
	key.SetGroupVersionKind(KeyKind)
	key.SetNamespace(namespace)
	if form.Metadata.Name != "" {
		key.SetName(form.Metadata.Name)
	}
	if len(form.Metadata.Labels) > 0 {
		key.SetLabels(form.Metadata.Labels)
	}
	if len(form.Metadata.Annotations) > 0 {
		key.SetAnnotations(form.Metadata.Annotations)
	}
	return key, nil
}

// YAML returns a manifest as a person writes it.
func YAML(manifest *unstructured.Unstructured) (string, error) {
	written, err := yaml.Marshal(manifest.Object)
	return string(written), err
}

func seconds(n int64) *metav1.Duration {
	return &metav1.Duration{Duration: time.Duration(n) * time.Second}
}

// namedClaims returns claims with these names, of which a policy knows only the names.
func namedClaims(names []string) map[string]apiextensionsv1.JSON {
	claims := map[string]apiextensionsv1.JSON{}
	for _, name := range names {
		claims[name] = apiextensionsv1.JSON{Raw: []byte(`""`)}
	}
	return claims
}
