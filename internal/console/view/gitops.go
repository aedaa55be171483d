package view

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The tools that apply manifests, as the page names them.
const (
	argoCD = "Argo CD"
	flux   = "Flux"
	helm   = "Helm"
)

// marks are the labels and annotations by which the tools mark what they apply, the surest first: Flux applies charts by Helm, and
// many manifests without Argo CD have the instance label.
var marks = []struct {
	tool  string
	marks func(labels, annotations map[string]string) bool
}{
	{argoCD, func(labels, annotations map[string]string) bool {
		return annotations["argocd.argoproj.io/tracking-id"] != "" || labels["argocd.argoproj.io/instance"] != ""
	}},
	{flux, func(labels, _ map[string]string) bool {
		return labels["kustomize.toolkit.fluxcd.io/name"] != "" || labels["helm.toolkit.fluxcd.io/name"] != ""
	}},
	{helm, func(labels, annotations map[string]string) bool {
		return labels["app.kubernetes.io/managed-by"] == helm && annotations["meta.helm.sh/release-name"] != ""
	}},
}

// managers are the names under which the tools write objects.
var managers = map[string]string{
	"argocd-controller": argoCD, "argocd-application-controller": argoCD,
	"kustomize-controller": flux, "helm-controller": flux, "helm": helm,
}

// GitOps returns the tool that applies the manifest of an object; empty if none is known.
func GitOps(object metav1.Object) string {
	labels, annotations := object.GetLabels(), object.GetAnnotations()
	for _, tool := range marks {
		if tool.marks(labels, annotations) {
			return tool.tool
		}
	}
	written := object.GetManagedFields()
	if i := slices.IndexFunc(written, func(w metav1.ManagedFieldsEntry) bool { return managers[w.Manager] != "" && w.Subresource == "" }); i >= 0 {
		return managers[written[i].Manager]
	}
	if labels["app.kubernetes.io/instance"] != "" && labels["app.kubernetes.io/managed-by"] == "" {
		return argoCD
	}
	return ""
}
