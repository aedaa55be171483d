package cel

import (
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

type schema = apiextensionsv1.JSONSchemaProps

// installed is what `kubectl apply -k config/crd` installs.
type installed struct {
	definitions []apiextensionsv1.CustomResourceDefinition
	// policy refuses, and advice warns.
	policy, advice admissionregistrationv1.ValidatingAdmissionPolicy
}

func readInstalled(t *testing.T) installed {
	t.Helper()
	built, err := server.Kubectl(t.Context(), "", "kustomize", server.Root+"/config/crd")
	if err != nil {
		t.Fatal(err)
	}
	var all installed
	for document := range strings.SplitSeq(built, "\n---\n") {
		var definition apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal([]byte(document), &definition); err != nil {
			t.Fatal(err)
		}
		switch definition.Kind {
		case "CustomResourceDefinition":
			all.definitions = append(all.definitions, definition)
		case "ValidatingAdmissionPolicy":
			var policy admissionregistrationv1.ValidatingAdmissionPolicy
			if err := yaml.UnmarshalStrict([]byte(document), &policy); err != nil {
				t.Fatal(err)
			}
			if policy.Name == adviceName {
				all.advice = policy
			} else {
				all.policy = policy
			}
		}
	}
	if len(all.definitions) != len(kinds) || all.policy.Name == "" || all.advice.Name == "" {
		t.Fatalf("config/crd holds %d CRDs and the policies %q and %q: there must be %d and two", len(all.definitions), all.policy.Name, all.advice.Name, len(kinds))
	}
	return all
}

// walkSchema visits a schema and all that is in it. Items and values are called each.
func walkSchema(path fieldPath, s *schema, visit func(fieldPath, *schema)) {
	visit(path, s)
	for name, property := range s.Properties {
		walkSchema(path.join(name), &property, visit)
	}
	if s.Items != nil {
		walkSchema(path.join(each), s.Items.Schema, visit)
	}
	if s.AdditionalProperties != nil {
		walkSchema(path.join(each), s.AdditionalProperties.Schema, visit)
	}
}

// walkKinds visits spec and status of both kinds; what is beside them is Kubernetes' own.
func walkKinds(t *testing.T, visit func(t *testing.T, path fieldPath, s *schema)) {
	t.Helper()
	for _, definition := range readInstalled(t).definitions {
		for _, version := range definition.Spec.Versions {
			for _, part := range []string{"spec", "status"} {
				s := version.Schema.OpenAPIV3Schema.Properties[part]
				walkSchema(fieldPath{part}, &s, func(path fieldPath, s *schema) {
					t.Run(definition.Spec.Names.Kind+"/"+path.String(), func(t *testing.T) { visit(t, path, s) })
				})
			}
		}
	}
}

// freeForm are the values that have no schema: admission policy and code judge the
// first, and only the operator writes the second.
var freeForm = []string{"spec.claims.*", "status.content"}

// TestEverythingIsBounded: an object of unbounded size is one that a user can fill etcd
// with, and rules over unbounded values have no bounded cost.
func TestEverythingIsBounded(t *testing.T) {
	walkKinds(t, func(t *testing.T, path fieldPath, s *schema) {
		switch s.Type {
		case "string":
			if s.MaxLength == nil && len(s.Enum) == 0 {
				t.Error("a string needs maxLength or an enum")
			}
		case "array":
			if s.MaxItems == nil {
				t.Error("a list needs maxItems")
			}
			if s.XListType == nil {
				t.Error("a list needs x-kubernetes-list-type, so that two appliers do not garble it")
			}
		case "object":
			if s.AdditionalProperties != nil && s.MaxProperties == nil {
				t.Error("a map needs maxProperties")
			}
		case "integer":
			// Kubernetes' own conditions are bounded by the format alone.
			if (s.Minimum == nil || s.Maximum == nil) && path.String() != "status.conditions.*.observedGeneration" {
				t.Error("a number needs minimum and maximum")
			}
		case "boolean":
		default:
			if !slices.Contains(freeForm, path.String()) {
				t.Errorf("type %q is not one that this test knows how to bound", s.Type)
			}
		}
		if s.XPreserveUnknownFields != nil && !slices.Contains(freeForm, path.String()) {
			t.Error("unknown fields are kept: give the field a schema")
		}
	})
}

// TestTimesAndDurationsHavePatterns: a format alone lets through what Go refuses. All
// times have one pattern; TestWhatIsAcceptedDecodes and the fuzz tests of api/v1alpha1
// show that it is the right one. A time without a format has a rule instead, since the
// API server evaluates no rule of a time that does not have the format.
func TestTimesAndDurationsHavePatterns(t *testing.T) {
	schemas := map[string]map[string]*schema{}
	for _, definition := range readInstalled(t).definitions {
		kind := definition.Spec.Names.Kind
		schemas[kind] = map[string]*schema{}
		walkSchema(nil, definition.Spec.Versions[0].Schema.OpenAPIV3Schema, func(path fieldPath, s *schema) {
			schemas[kind][path.String()] = s
		})
	}
	patterns := map[fieldType]string{}
	for kind := range kinds {
		for _, f := range fieldsOf(kind) {
			s := schemas[kind][f.path.String()]
			if f.kind != timeField && f.kind != durationField {
				if s != nil && s.Format == "date-time" {
					t.Errorf("%s %s: format date-time on a field that Go does not decode as a time", kind, f.path)
				}
				continue
			}
			part := fieldType(f.path[0]) + " " + f.kind
			switch {
			case s == nil:
				t.Errorf("%s %s: no schema", kind, f.path)
			case s.Pattern == "" || s.MaxLength == nil:
				t.Errorf("%s %s: a %s needs a pattern and maxLength", kind, f.path, f.kind)
			case f.kind == timeField && s.Format != "date-time" && !explained(s):
				t.Errorf("%s %s: format %q and no rule: one of the two must know the days of a month", kind, f.path, s.Format)
			case patterns[part] == "":
				patterns[part] = s.Pattern
			case patterns[part] != s.Pattern:
				t.Errorf("%s %s: pattern %s differs from that of the other %ss, %s", kind, f.path, s.Pattern, part, patterns[part])
			}
		}
	}
	if patterns["spec time"] != patterns["status time"] {
		t.Errorf("times of spec and status have different patterns: %q", patterns)
	}
}

// TestEveryPatternIsExplained: of a pattern alone the API server prints the regular expression. A rule with
// a message says what to do. Only the operator writes status, and is not asked to read its patterns.
func TestEveryPatternIsExplained(t *testing.T) {
	walkKinds(t, func(t *testing.T, path fieldPath, s *schema) {
		if s.Pattern != "" && path[0] == "spec" && !explained(s) {
			t.Errorf("the pattern %s is all that a user reads: put a rule with a message in its place", s.Pattern)
		}
	})
}

// explained reports whether a rule of a schema looks at the text.
func explained(s *schema) bool {
	return slices.ContainsFunc(s.XValidations, func(rule apiextensionsv1.ValidationRule) bool {
		return strings.Contains(rule.Rule, "self.matches(") && rule.Message != ""
	})
}

func TestEveryFieldIsDescribed(t *testing.T) {
	walkKinds(t, func(t *testing.T, path fieldPath, s *schema) {
		if path[len(path)-1] == each {
			return // described by the list or map
		}
		switch description := strings.TrimSpace(s.Description); {
		case description == "":
			t.Error("no description")
		case !strings.HasSuffix(description, "."):
			t.Errorf("the description is no sentence: %q", description)
		}
	})
}

// TestNoDefaults checks that the schema has no defaults, so that GitOps tools see no drift.
// The exception is an unwritten status, which kstatus would report as current.
func TestNoDefaults(t *testing.T) {
	walkKinds(t, func(t *testing.T, path fieldPath, s *schema) {
		if path.String() == "status" && s.Default != nil && string(s.Default.Raw) == `{"observedGeneration":0}` {
			return
		}
		if s.Default != nil {
			t.Errorf("default %s in the schema: let code decide what unset means, and show it in status.effective", s.Default.Raw)
		}
	})
}
