package controllers

import (
	"net/http"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// rememberingMapper caches the resource of a kind. A cache with per-namespace configuration asks before each read
// whether the kind is namespaced, which costs more than the read itself.
type rememberingMapper struct {
	meta.RESTMapper
	known sync.Map
}

type mappedKind struct {
	kind    schema.GroupKind
	version string
}

func newRememberingMapper(config *rest.Config, httpClient *http.Client) (meta.RESTMapper, error) {
	mapper, err := apiutil.NewDynamicRESTMapper(config, httpClient)
	return &rememberingMapper{RESTMapper: mapper}, err
}

// RESTMapping is part of meta.RESTMapper.
func (m *rememberingMapper) RESTMapping(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	if len(versions) != 1 {
		return m.RESTMapper.RESTMapping(kind, versions...)
	}
	name := mappedKind{kind, versions[0]}
	if known, found := m.known.Load(name); found {
		return known.(*meta.RESTMapping), nil //nolint:forcetypeassert // nothing else is stored
	}
	mapping, err := m.RESTMapper.RESTMapping(kind, versions...)
	if err == nil {
		m.known.Store(name, mapping)
	}
	return mapping, err
}
