package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/utils/ptr"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/span"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// oldestKubernetes is the oldest version that Refresh Keys runs on. The chart has the same, which a test compares.
const oldestKubernetes = "1.30.0"

// apiServer checks that the API server answers, its version and its clock. It reports whether further checks make sense.
func (i *installation) apiServer(ctx context.Context) bool {
	url := i.clients.Discovery().RESTClient().Get().AbsPath("/version").URL()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url.String(), http.NoBody)
	if err != nil {
		i.add(reject("API server", "%v", err))
		return false
	}
	began := i.Clock.Now()
	response, err := i.api.Do(request)
	if err != nil {
		i.add(reject("API server", "it cannot be reached: %v", err))
		return false
	}
	defer response.Body.Close()
	var found apiversion.Info
	if err := json.NewDecoder(response.Body).Decode(&found); err != nil || response.StatusCode != http.StatusOK {
		i.add(reject("API server", "%s answered %s: is it a Kubernetes API server, and is the credential valid?", url, response.Status))
		return false
	}
	i.add(judgeVersion(found.GitVersion))
	took := i.Clock.Since(began)
	if at, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		i.offset = offsetOf(at, began, took)
	}
	i.add(judgeClock("clock of the API server", response.Header.Get("Date"), began, took))
	return true
}

// judgeVersion judges the version of Kubernetes.
func judgeVersion(found string) check {
	parsed, err := version.ParseGeneric(found)
	switch {
	case err != nil:
		return unsure("API server", fmt.Errorf("the version %q cannot be read", found))
	case parsed.LessThan(version.MustParseGeneric(oldestKubernetes)):
		return reject("API server", "Kubernetes %s is older than %s, the oldest version that Refresh Keys runs on", found, oldestKubernetes)
	default:
		return pass("API server", "Kubernetes %s", found)
	}
}

// offsetOf returns how far a clock is ahead of this machine's. The header Date has whole seconds.
func offsetOf(date, began time.Time, took time.Duration) time.Duration {
	return date.Add(time.Second / 2).Sub(began.Add(took / 2))
}

// closeClocks is a difference of clocks that the accuracy of the header Date explains.
const closeClocks = 2 * time.Second

// judgeClock judges the clock of a server by the header Date of its answer to a request.
func judgeClock(name, date string, began time.Time, took time.Duration) check {
	at, err := http.ParseTime(date)
	if err != nil {
		return unsure(name, fmt.Errorf("its answer has no header Date"))
	}
	offset := offsetOf(at, began, took)
	words := fmt.Sprintf("%s ahead of this machine's", span.Short(offset.Truncate(time.Second)))
	if offset < 0 {
		words = fmt.Sprintf("%s behind this machine's", span.Short((-offset).Truncate(time.Second)))
	}
	switch far := offset.Abs() - took/2; {
	case far > token.Skew:
		return reject(name, "%s: tokens are refused as not yet valid, or as expired", words)
	case far > closeClocks:
		return pass(name, "%s; up to %s is accepted", words, span.Short(token.Skew))
	default:
		return pass(name, "the same as this machine's")
	}
}

// definitionsBefore checks the CRDs before an installation.
func (i *installation) definitionsBefore() {
	_, err := i.clients.Discovery().ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String())
	switch {
	case notInstalled(err):
		i.add(pass("CRDs", "%s is not served yet", v1alpha1.GroupVersion))
	case err != nil:
		i.add(unsure("CRDs", err))
	default:
		i.add(pass("CRDs", "%s is served already: an installation upgrades it", v1alpha1.GroupVersion))
	}
}

// definitionsAfter checks that the kinds are served, and reports whether they are.
func (i *installation) definitionsAfter() bool {
	served, err := i.clients.Discovery().ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String())
	if err != nil && !notInstalled(err) {
		i.add(unsure("CRDs", err))
		return false
	}
	var missing []string
	for _, of := range []*resource{&keyResource, &issuerResource} {
		if served == nil || !slices.ContainsFunc(served.APIResources, func(r metav1.APIResource) bool { return r.Name == of.plural }) {
			missing = append(missing, of.plural)
		}
	}
	if len(missing) > 0 {
		i.add(reject("CRDs", "%s does not serve %s: Refresh Keys is not installed, or its CRDs were removed", v1alpha1.GroupVersion, strings.Join(missing, " and ")))
		return false
	}
	i.add(pass("CRDs", "%s serves %s and %s", v1alpha1.GroupVersion, keyResource.plural, issuerResource.plural))
	return true
}

// policiesServed checks that the API server has ValidatingAdmissionPolicies.
func (i *installation) policiesServed() {
	served, err := i.clients.Discovery().ServerResourcesForGroupVersion("admissionregistration.k8s.io/v1")
	switch {
	case err != nil && !notInstalled(err):
		i.add(unsure("admission policies", err))
	case err != nil || !slices.ContainsFunc(served.APIResources, func(r metav1.APIResource) bool { return r.Name == "validatingadmissionpolicies" }):
		i.add(reject("admission policies", "the API server does not serve ValidatingAdmissionPolicies, which the installation creates"))
	default:
		i.add(pass("admission policies", "the API server serves ValidatingAdmissionPolicies"))
	}
}

// policyName is the name of the admission policy and of its binding (config/crd/admission).
const policyName = "refreshkeys." + v1alpha1.Group

// policy checks that the admission policy is installed and bound.
func (i *installation) policy(ctx context.Context) {
	policies := i.clients.AdmissionregistrationV1()
	_, err := policies.ValidatingAdmissionPolicies().Get(ctx, policyName, metav1.GetOptions{})
	if err == nil {
		_, err = policies.ValidatingAdmissionPolicyBindings().Get(ctx, policyName, metav1.GetOptions{})
	}
	switch {
	case apierrors.IsNotFound(err):
		i.add(reject("admission policy", "%v: apply the CRDs and the policies of the release again", err))
	case err != nil:
		i.add(unsure("admission policy", err))
	default:
		i.add(pass("admission policy", "%s is installed and bound", policyName))
	}
}

// installs are the resources that an installation creates, by their API group. Those in the operator's namespace are in inside.
var (
	installs = map[string][]string{
		"": {"namespaces"}, "apiextensions.k8s.io": {"customresourcedefinitions"},
		"rbac.authorization.k8s.io":    {"clusterroles", "clusterrolebindings"},
		"admissionregistration.k8s.io": {"validatingadmissionpolicies", "validatingadmissionpolicybindings"},
		"scheduling.k8s.io":            {"priorityclasses"},
	}
	inside = map[string][]string{
		"": {"serviceaccounts", "services"}, "apps": {"deployments"}, "policy": {"poddisruptionbudgets"},
		"rbac.authorization.k8s.io": {"roles", "rolebindings"}, "networking.k8s.io": {"networkpolicies"},
	}
)

// rights checks that the user may create what an installation creates, and grant the operator rights that the user lacks.
func (i *installation) rights(ctx context.Context) {
	var missing []string
	ask := func(verb, group, resource, namespace string) error {
		answer, err := i.clients.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: verb, Group: group, Resource: resource, Namespace: namespace,
			}},
		}, metav1.CreateOptions{})
		if err == nil && !answer.Status.Allowed {
			missing = append(missing, verb+" "+resource)
		}
		return err
	}
	for _, where := range []struct {
		namespace string
		resources map[string][]string
	}{{"", installs}, {i.replicas.namespace, inside}} {
		for _, group := range slices.Sorted(maps.Keys(where.resources)) {
			for _, resource := range where.resources[group] {
				if err := ask("create", group, resource, where.namespace); err != nil {
					i.add(unsure("rights", err))
					return
				}
			}
		}
	}
	for _, verb := range []string{"escalate", "bind"} {
		if err := ask(verb, "rbac.authorization.k8s.io", "clusterroles", ""); err != nil {
			i.add(unsure("rights", err))
			return
		}
	}
	if len(missing) > 0 {
		i.add(reject("rights", "an installation needs what you may not do: %s", strings.Join(missing, ", ")))
		return
	}
	i.add(pass("rights", "you may create all that an installation creates"))
}

// admitsOperator asks admission, by dry runs, whether the operator's namespace and a pod like its own are accepted.
func (i *installation) admitsOperator(ctx context.Context) {
	const name = "admission of the operator"
	dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: i.replicas.namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	_, err := i.clients.CoreV1().Namespaces().Create(ctx, namespace, dry)
	switch {
	case err == nil:
		i.add(pass(name, "a dry run creates namespace %s", i.replicas.namespace))
		return
	case !apierrors.IsAlreadyExists(err):
		i.add(refused(name, err))
		return
	}
	_, err = i.clients.CoreV1().Pods(i.replicas.namespace).Create(ctx, samplePod(i.replicas.namespace), dry)
	if err != nil && !apierrors.IsAlreadyExists(err) {
		i.add(refused(name, err))
		return
	}
	i.add(pass(name, "namespace %s exists, and a dry run creates a pod in it", i.replicas.namespace))
}

// samplePod returns a pod with the security context of the operator's.
func samplePod(namespace string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "refreshkeys-check"},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: ptr.To(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: ptr.To(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "check", Image: "check",
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true),
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}

// admitsSecrets asks admission, by a dry run in the current namespace, whether it accepts a Secret like the operator's, unchanged.
func (i *installation) admitsSecrets(ctx context.Context) {
	const name = "admission of Secrets"
	wanted := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: i.namespace, GenerateName: "refreshkeys-check-", Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
		},
		Type: corev1.SecretTypeOpaque, Data: map[string][]byte{v1alpha1.SecretToken: []byte("check")},
	}
	made, err := i.clients.CoreV1().Secrets(i.namespace).Create(ctx, wanted, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	switch {
	case err != nil:
		i.add(refused(name, err))
	case made.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy || string(made.Data[v1alpha1.SecretToken]) != "check" || made.Type != wanted.Type || ptr.Deref(made.Immutable, false):
		i.add(reject(name, "admission in namespace %s changes a Secret like the operator's: exempt Secrets labelled %s=%s", i.namespace, v1alpha1.LabelManagedBy, v1alpha1.ManagedBy))
	default:
		i.add(pass(name, "a dry run creates a Secret like the operator's in namespace %s, unchanged", i.namespace))
	}
}

// refused judges an error of a dry run: a missing right or namespace does not report on admission.
func refused(name string, err error) check {
	if apierrors.IsForbidden(err) && strings.Contains(err.Error(), `is forbidden: User "`) || apierrors.IsNotFound(err) {
		return unsure(name, err)
	}
	return reject(name, "%v", err)
}
