package controllers

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// countingMapper maps only Secrets, and counts its calls.
type countingMapper struct {
	meta.RESTMapper
	asked int
}

func (m *countingMapper) RESTMapping(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	m.asked++
	if kind.Kind != "Secret" {
		return nil, &meta.NoKindMatchError{GroupKind: kind, SearchedVersions: versions}
	}
	return &meta.RESTMapping{Resource: schema.GroupVersionResource{Version: versions[0], Resource: "secrets"}}, nil
}

// TestRememberingMapper checks that the mapper caches known kinds, and asks again for unknown ones.
func TestRememberingMapper(t *testing.T) {
	for _, tt := range []struct {
		kind  string
		asked int
	}{{"Secret", 1}, {"Unknown", 3}} {
		t.Run(tt.kind, func(t *testing.T) {
			below := &countingMapper{}
			mapper := &rememberingMapper{RESTMapper: below}
			for range 3 {
				mapping, err := mapper.RESTMapping(schema.GroupKind{Kind: tt.kind}, "v1")
				if known := tt.kind == "Secret"; (err == nil) != known || (known && mapping.Resource.Resource != "secrets") {
					t.Fatalf("%s: got %v, error %v", tt.kind, mapping, err)
				}
			}
			if below.asked != tt.asked {
				t.Errorf("%s: of three calls, %d were passed on, want %d", tt.kind, below.asked, tt.asked)
			}
		})
	}
}
