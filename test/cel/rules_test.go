package cel

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rule is one of a schema or of the admission policy.
type rule struct {
	// kind and path are where a rule of a schema is. A rule of the policy has neither.
	kind    string
	path    fieldPath
	message string
	// expression makes a message of its own, for which message is only the fallback.
	expression string
}

// rules returns the rules of both schemas and of the policy that refuses.
func rules(t *testing.T) []rule {
	t.Helper()
	var all []rule
	what := readInstalled(t)
	for _, definition := range what.definitions {
		kind := definition.Spec.Names.Kind
		for _, version := range definition.Spec.Versions {
			walkSchema(nil, version.Schema.OpenAPIV3Schema, func(path fieldPath, s *schema) {
				for _, validation := range s.XValidations {
					at := path
					for name := range strings.SplitSeq(strings.TrimPrefix(validation.FieldPath, "."), ".") {
						if name != "" {
							at = at.join(name)
						}
					}
					all = append(all, rule{kind: kind, path: at, message: validation.Message})
				}
			})
		}
	}
	for _, validation := range what.policy.Spec.Validations {
		all = append(all, rule{message: validation.Message, expression: validation.MessageExpression})
	}
	return all
}

// saidIn reports whether a refusal is this rule's.
func (r rule) saidIn(refusal string) bool {
	if r.expression == "" {
		return strings.Contains(refusal, r.message)
	}
	for _, literal := range stringLiteral.FindAllStringSubmatch(r.expression, -1) {
		if words := literal[1]; len(words) > 12 && !strings.Contains(refusal, words) {
			return false
		}
	}
	return true
}

var stringLiteral = regexp.MustCompile(`"([^"]*)"`)

// breaks reports whether a manifest is refused by this rule: with its message, at its field.
func (r rule) breaks(m manifest) bool {
	return slices.ContainsFunc(m.expect, func(expected string) bool {
		if r.kind == "" {
			return r.saidIn(expected)
		}
		field, isRule := strings.CutSuffix(expected, r.message)
		return isRule && m.last().GetKind() == r.kind && plain(strings.TrimSuffix(field, ": ")) == plain(r.path.String())
	})
}

// obeys reports whether a manifest has the field of this rule, so that the API server evaluates it. The field of a rule of
// the policy is the one that the refusal of a broken manifest names.
func (r rule) obeys(m, broken manifest) bool {
	if r.kind == "" {
		return m.last().GetKind() == broken.last().GetKind() && slices.ContainsFunc(broken.expect, func(expected string) bool {
			field, _, _ := strings.Cut(expected, " ")
			_, found := fieldPath(strings.Split(strings.TrimSuffix(field, ":"), ".")).find(m.last().Object)
			return r.saidIn(expected) && found
		})
	}
	path := r.path
	if len(path) > 0 && path[len(path)-1] == each {
		path = path[:len(path)-1]
	}
	_, found := path.find(m.last().Object)
	return m.last().GetKind() == r.kind && found
}

// plain returns a field without the items of lists: spec.scopes[0] and spec.scopes.* are spec.scopes.
func plain(field string) string {
	return strings.ReplaceAll(index.ReplaceAllString(field, ""), "."+each, "")
}

var index = regexp.MustCompile(`\[[^]]*\]`)

// TestEveryRuleHasAPair checks that each rule refuses an invalid manifest, and that a valid manifest with the same field
// is beside it.
func TestEveryRuleHasAPair(t *testing.T) {
	accepted := readManifests(t, valid)
	refused := readManifests(t, invalid)
	for _, r := range rules(t) {
		broken := slices.DeleteFunc(slices.Clone(refused), func(m manifest) bool { return !r.breaks(m) })
		if len(broken) == 0 {
			t.Errorf("%s %s: no invalid manifest expects %q: add one", r.kind, r.path, r.message)
			continue
		}
		paired := slices.ContainsFunc(broken, func(b manifest) bool {
			return slices.ContainsFunc(accepted, func(a manifest) bool { return a.folder() == b.folder() && r.obeys(a, b) })
		})
		if !paired {
			t.Errorf("%s %s: no valid manifest is beside %s.yaml: add one with this field", r.kind, r.path, broken[0].name)
		}
	}
}

// TestEveryFileIsRead checks that no manifest has a name, or is at a depth, for which the tests do not read it.
func TestEveryFileIsRead(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) == ".go" {
			return err
		}
		for _, glob := range []string{valid, invalid} {
			if read, err := filepath.Match(glob, path); read || err != nil {
				return err
			}
		}
		t.Errorf("%s is not read: name it FIELD/valid_CASE.yaml or FIELD/invalid_CASE.yaml", path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFoldersNameFields checks that each folder is named after a field of the kind of its manifests, and that an invalid manifest
// is refused for this field, or for one in it or around it.
func TestFoldersNameFields(t *testing.T) {
	fields := map[string]bool{"key.metadata.annotations": true, "issuer.metadata.annotations": true, "issuer.metadata.name": true}
	prefixes := map[string]string{"JWTRefreshKey": "key", "JWTIssuer": "issuer"}
	for _, definition := range readInstalled(t).definitions {
		walkSchema(nil, definition.Spec.Versions[0].Schema.OpenAPIV3Schema, func(path fieldPath, _ *schema) {
			fields[prefixes[definition.Spec.Names.Kind]+"."+plain(path.String())] = true
		})
	}
	halves := map[string]int{}
	for _, m := range slices.Concat(readManifests(t, valid), readManifests(t, invalid)) {
		prefix, folder, _ := strings.Cut(m.folder(), ".")
		if !fields[m.folder()] || prefix != prefixes[m.last().GetKind()] {
			t.Errorf("%s: the folder is not named after a field of a %s", m.name, m.last().GetKind())
		}
		if len(m.expect) == 0 {
			halves[m.folder()] |= 1
		} else {
			halves[m.folder()] |= 2
		}
		for _, expected := range m.expect {
			field, _, _ := strings.Cut(expected, ": ")
			field, _, _ = strings.Cut(plain(field), " ")
			if fields[prefix+"."+field] && !strings.HasPrefix(field+".", folder+".") && !strings.HasPrefix(folder+".", field+".") {
				t.Errorf("%s: is refused for %s", m.name, field)
			}
		}
	}
	for folder, has := range halves {
		if has != 1|2 {
			t.Errorf("%s: add the other half of the pair, a valid or an invalid manifest", folder)
		}
	}
}

// TestMessagesSayWhatToDo checks that each message says what is wrong, and after a colon what to do.
func TestMessagesSayWhatToDo(t *testing.T) {
	all := rules(t)
	for _, validation := range readInstalled(t).advice.Spec.Validations {
		all = append(all, rule{message: validation.Message})
	}
	for _, rule := range all {
		if what, todo, _ := strings.Cut(rule.message, ": "); what == "" || todo == "" {
			t.Errorf("the message %q does not say what to do: append `: <what to do>`", rule.message)
		}
	}
}
