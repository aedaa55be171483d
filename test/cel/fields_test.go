package cel

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// fieldType is the kind of Go type that decodes a field.
type fieldType string

const (
	timeField     fieldType = "time"
	durationField fieldType = "duration"
	integerField  fieldType = "integer"
	otherField    fieldType = "other"
)

// each stands in a path for every item of a list, or every value of a map.
const each = "*"

// field is a field of spec or status that holds no further fields.
type field struct {
	path fieldPath
	kind fieldType
}

// fieldPath leads from the object to a field by JSON names.
type fieldPath []string

func (p fieldPath) String() string { return strings.Join(p, ".") }

// kinds are the Go types that decode each kind.
var kinds = map[string]func() any{
	"JWTRefreshKey": func() any { return new(v1alpha1.JWTRefreshKey) },
	"JWTIssuer":     func() any { return new(v1alpha1.JWTIssuer) },
}

// fieldsOf walks the Go type of a kind, so that no field can be forgotten.
func fieldsOf(kind string) []field {
	root := reflect.TypeOf(kinds[kind]()).Elem()
	var all []field
	for _, name := range []string{"Spec", "Status"} {
		part, _ := root.FieldByName(name)
		all = append(all, walkFields(part.Type, fieldPath{strings.ToLower(name)})...)
	}
	return all
}

func walkFields(t reflect.Type, path fieldPath) []field {
	switch t {
	case reflect.TypeFor[metav1.Time]():
		return []field{{path, timeField}}
	case reflect.TypeFor[metav1.Duration]():
		return []field{{path, durationField}}
	case reflect.TypeFor[apiextensionsv1.JSON]():
		return []field{{path, otherField}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return walkFields(t.Elem(), path)
	case reflect.Slice, reflect.Map:
		return walkFields(t.Elem(), path.join(each))
	case reflect.Int, reflect.Int32, reflect.Int64:
		return []field{{path, integerField}}
	case reflect.String, reflect.Bool:
		return []field{{path, otherField}}
	case reflect.Struct:
		var all []field
		for i := range t.NumField() {
			name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			inner := path
			if !strings.Contains(options, "inline") {
				inner = path.join(name)
			}
			all = append(all, walkFields(t.Field(i).Type, inner)...)
		}
		return all
	default:
		panic(fmt.Sprintf("%s: the walk does not know %s: teach it", path, t))
	}
}

func (p fieldPath) join(name string) fieldPath {
	return append(append(fieldPath{}, p...), name)
}

// find returns what stands at a path, the first item of each list or map.
func (p fieldPath) find(object any) (any, bool) {
	found := object
	for _, name := range p {
		switch container := found.(type) {
		case map[string]any:
			key := name
			if name == each {
				key = firstKey(container)
			}
			value, ok := container[key]
			if !ok {
				return nil, false
			}
			found = value
		case []any:
			if len(container) == 0 {
				return nil, false
			}
			found = container[0]
		default:
			return nil, false
		}
	}
	return found, true
}

// set puts a value where find finds one.
func (p fieldPath) set(object map[string]any, value any) error {
	last := len(p) - 1
	parent, ok := p[:last].find(object)
	if !ok {
		return fmt.Errorf("%s: there is nothing at %s", p, p[:last])
	}
	switch container := parent.(type) {
	case map[string]any:
		container[p[last]] = value
	case []any:
		container[0] = value
	}
	return nil
}

func firstKey(m map[string]any) string {
	for key := range m {
		return key
	}
	return ""
}

// TestEveryFieldIsAccepted checks that the accepted manifests contain every field, so that the
// schema of every field is tested.
func TestEveryFieldIsAccepted(t *testing.T) {
	accepted := map[string][]*unstructured.Unstructured{}
	for _, m := range readManifests(t, valid) {
		accepted[m.last().GetKind()] = append(accepted[m.last().GetKind()], m.last())
	}
	for kind := range kinds {
		for _, f := range fieldsOf(kind) {
			t.Run(kind+"/"+f.path.String(), func(t *testing.T) {
				for _, object := range accepted[kind] {
					if _, ok := f.path.find(object.Object); ok {
						return
					}
				}
				t.Error("no valid file has this field: add one")
			})
		}
	}
}
