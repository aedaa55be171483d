// Package v1alpha1 holds the two kinds of the group jwt.refreshkeys.dev:
// JWTRefreshKey, a line of refresh tokens, and JWTIssuer, the issuer that signs them.
//
// The schema contains no defaults: the code decides what an unset field means, and
// status.effective shows it, so that GitOps tools see no drift.
//
// +kubebuilder:object:generate=true
// +groupName=jwt.refreshkeys.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is the API group of both kinds.
const Group = "jwt.refreshkeys.dev"

var (
	// GroupVersion is the group and version of both kinds.
	GroupVersion = schema.GroupVersion{Group: Group, Version: "v1alpha1"}

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme registers both kinds with a scheme.
	AddToScheme = schemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&JWTRefreshKey{}, &JWTRefreshKeyList{},
		&JWTIssuer{}, &JWTIssuerList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
