package prometheus

import (
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func selects(t *testing.T, selector *metav1.LabelSelector, set map[string]string) bool {
	t.Helper()
	found, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return found.Matches(labels.Set(set))
}

// port reports whether the pods of a Deployment have a port of the name.
func port(deployment *appsv1.Deployment, name string) bool {
	for _, container := range deployment.Spec.Template.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == name {
				return true
			}
		}
	}
	return false
}

// TestTokenServersAreFound checks that the PodMonitor selects the pods of the token service, at an existing port.
func TestTokenServersAreFound(t *testing.T) {
	var monitor monitoring.PodMonitor
	var deployment appsv1.Deployment
	objects(t, read(t, "config", "prometheus", "podmonitor.yaml"), map[string]any{"PodMonitor": &monitor})
	objects(t, read(t, "config", "tokenserver", "deployment.yaml"), map[string]any{"Deployment": &deployment})
	endpoint := monitor.Spec.PodMetricsEndpoints[0]
	if monitor.Namespace != deployment.Namespace || !selects(t, &monitor.Spec.Selector, deployment.Spec.Template.Labels) || !port(&deployment, *endpoint.Port) {
		t.Error("the PodMonitor finds no pods, or no such port")
	}
}

// TestManagersAreFound checks the same for the managers, with a Service and the token of a metrics reader.
func TestManagersAreFound(t *testing.T) {
	var monitor monitoring.ServiceMonitor
	var service corev1.Service
	var deployment appsv1.Deployment
	objects(t, read(t, "config", "prometheus", "servicemonitor.yaml"), map[string]any{"ServiceMonitor": &monitor, "Service": &service})
	objects(t, read(t, "config", "manager", "deployment.yaml"), map[string]any{"Deployment": &deployment})
	endpoint := monitor.Spec.Endpoints[0]
	if monitor.Namespace != service.Namespace || !selects(t, &monitor.Spec.Selector, service.Labels) || endpoint.Port != service.Spec.Ports[0].Name {
		t.Error("the ServiceMonitor does not find the Service, or its port")
	}
	if service.Namespace != deployment.Namespace || !selects(t, &metav1.LabelSelector{MatchLabels: service.Spec.Selector}, deployment.Spec.Template.Labels) ||
		!port(&deployment, service.Spec.Ports[0].TargetPort.StrVal) {
		t.Error("the Service finds no pods, or no such port")
	}
	if !endpoint.HonorLabels {
		t.Error("the namespace of a key is taken for the manager's own")
	}

	var account corev1.ServiceAccount
	var secret corev1.Secret
	var binding rbacv1.ClusterRoleBinding
	objects(t, read(t, "config", "prometheus", "reader.yaml"), map[string]any{"ServiceAccount": &account, "Secret": &secret, "ClusterRoleBinding": &binding})
	shown := endpoint.Authorization.Credentials
	if shown.Name != secret.Name || shown.Key != corev1.ServiceAccountTokenKey || monitor.Namespace != secret.Namespace {
		t.Error("the token is not in the Secret that is named")
	}
	if secret.Type != corev1.SecretTypeServiceAccountToken || secret.Annotations[corev1.ServiceAccountNameKey] != account.Name || account.Namespace != secret.Namespace {
		t.Error("the Secret gets no token of the account")
	}
	if binding.Subjects[0].Name != account.Name || binding.Subjects[0].Namespace != account.Namespace || binding.RoleRef.Name != "refreshkeys-metrics-reader" {
		t.Error("the account may not read metrics")
	}
}
