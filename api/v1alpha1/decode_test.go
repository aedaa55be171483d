package v1alpha1

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
	"sigs.k8s.io/yaml"
)

// These tests validate strings with the packages of the API server. Each time or duration
// that they accept must decode in Go. test/cel checks the same with a real API server, for
// every field.

func FuzzTime(f *testing.F) {
	for _, seed := range []string{
		"2099-06-30T12:00:00Z", "2099-06-30T12:00:00.123456789+02:00", "2096-02-29T23:59:59-00:00", "2099-02-30T12:00:00Z", "2099-06-30t12:00:00z",
		"2098-12-31T23:59:60Z", "2099-06-30T24:00:00Z", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "2099-06-30T12:00:00+24:00", "",
	} {
		f.Add(seed)
	}
	validators := validatorsOf(f, func(s *apiextensionsv1.JSONSchemaProps) bool { return s.Format == "date-time" })
	f.Fuzz(func(t *testing.T, candidate string) {
		for pattern, validator := range validators {
			if !validator.Validate(candidate).IsValid() {
				continue
			}
			var decoded metav1.Time
			if err := json.Unmarshal(literal(t, candidate), &decoded); err != nil {
				t.Errorf("%s accepts %q, which does not decode: %v", pattern, candidate, err)
			}
		}
	})
}

func FuzzDuration(f *testing.F) {
	for _, seed := range []string{
		"720h", "720h0m0s", "1h30m", "90s", "0s", "33.333333333s", "999999h9999999m999999999s", "1000000h", "-1h", "1.5h", "30d", "1h1h", "1µs", "１h", "h", "",
	} {
		f.Add(seed)
	}
	validators := validatorsOf(f, func(s *apiextensionsv1.JSONSchemaProps) bool { return strings.Contains(s.Pattern, "h)?") })
	f.Fuzz(func(t *testing.T, candidate string) {
		for pattern, validator := range validators {
			if !validator.Validate(candidate).IsValid() {
				continue
			}
			var decoded metav1.Duration
			if err := json.Unmarshal(literal(t, candidate), &decoded); err != nil {
				t.Errorf("%s accepts %q, which does not decode: %v", pattern, candidate, err)
				continue
			}
			if decoded.Duration < 0 {
				t.Errorf("%s accepts %q, which is negative", pattern, candidate)
			}
		}
	})
}

func literal(t *testing.T, s string) []byte {
	t.Helper()
	encoded, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// validatorsOf returns the API server's validators for the wanted strings of both CRDs, by
// pattern.
func validatorsOf(f *testing.F, wanted func(*apiextensionsv1.JSONSchemaProps) bool) map[string]*validate.SchemaValidator {
	f.Helper()
	files, err := filepath.Glob("../../config/crd/bases/*.yaml")
	if err != nil || len(files) != 2 {
		f.Fatalf("config/crd/bases: %d CRDs instead of 2: %v", len(files), err)
	}
	validators := map[string]*validate.SchemaValidator{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var definition apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(content, &definition); err != nil {
			f.Fatal(err)
		}
		for _, version := range definition.Spec.Versions {
			collect(f, version.Schema.OpenAPIV3Schema, func(s *apiextensionsv1.JSONSchemaProps) {
				// metav1.Condition gets its pattern from a patch, the same as all others.
				if s.Type == "string" && s.Pattern != "" && wanted(s) {
					validators[s.Pattern] = validator(f, s)
				}
			})
		}
	}
	if len(validators) == 0 {
		f.Fatal("no such field in the CRDs")
	}
	return validators
}

func collect(f *testing.F, s *apiextensionsv1.JSONSchemaProps, visit func(*apiextensionsv1.JSONSchemaProps)) {
	visit(s)
	for _, property := range s.Properties {
		collect(f, &property, visit)
	}
	if s.Items != nil {
		collect(f, s.Items.Schema, visit)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		collect(f, s.AdditionalProperties.Schema, visit)
	}
}

func validator(f *testing.F, s *apiextensionsv1.JSONSchemaProps) *validate.SchemaValidator {
	f.Helper()
	encoded, err := json.Marshal(s)
	if err != nil {
		f.Fatal(err)
	}
	var schema spec.Schema
	if err := json.Unmarshal(encoded, &schema); err != nil {
		f.Fatal(err)
	}
	return validate.NewSchemaValidator(&schema, nil, "", strfmt.Default)
}
