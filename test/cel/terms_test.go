package cel

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// TestTermsInCodeAndInSchema: what a scope, an audience and a subject are is said by the schema and by code,
// which must agree for every character, down to the words.
func TestTermsInCodeAndInSchema(t *testing.T) {
	fields := []struct {
		path    fieldPath
		longest int
		set     func(*v1alpha1.JWTRefreshKeySpec, string)
	}{
		{fieldPath{"spec", "scopes", each}, v1alpha1.MaxScopeLength, func(s *v1alpha1.JWTRefreshKeySpec, text string) { s.Scopes = []string{text} }},
		{fieldPath{"spec", "audience"}, v1alpha1.MaxAudienceLength, func(s *v1alpha1.JWTRefreshKeySpec, text string) { s.Audience = text }},
		{fieldPath{"spec", "subject"}, v1alpha1.MaxSubjectLength, func(s *v1alpha1.JWTRefreshKeySpec, text string) { s.Subject = text }},
	}
	o := newOffer(t, newKey("offered", map[string]any{"scopes": []any{"one"}, "subject": "one"}), "spec")
	for _, field := range fields {
		t.Run(field.path.String(), func(t *testing.T) {
			texts := []string{"é", "a\u200b", "\u00a0", "ａ", strings.Repeat("x", field.longest), strings.Repeat("x", field.longest+1)}
			for char := range 128 {
				texts = append(texts, fmt.Sprintf("a%cb", char))
			}
			for _, text := range texts {
				spec := v1alpha1.JWTRefreshKeySpec{Audience: "https://orders.example.com"}
				field.set(&spec, text)
				inCode := v1alpha1.ValidateTerms(&spec)
				literal, err := json.Marshal(text)
				if err != nil {
					t.Fatal(err)
				}
				_, inSchema := o.send(t, field.path, string(literal))
				if (inCode == nil) != (inSchema == nil) {
					t.Errorf("%q: code and schema disagree:\n  code:   %v\n  schema: %v", text, inCode, inSchema)
				}
				if inCode == nil || inSchema == nil || len(text) > field.longest {
					continue
				}
				if _, words, _ := strings.Cut(inCode.Error(), ": "); !strings.Contains(inSchema.Error(), words) {
					t.Errorf("%q: code says\n  %s\nand the schema\n  %v", text, words, inSchema)
				}
			}
		})
	}
}
