package controllers_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
)

// rollouts enables fast propagation and restarts, with the rights that the installation grants for them.
func (w *harness) rollouts() func(*rest.Config, *controllers.Options) {
	w.t.Helper()
	for _, role := range []string{"config/fast-propagation/role.yaml", "config/restarts/role.yaml"} {
		_, err := server.Kubectl(w.ctx, "", "apply", "--server-side", "-f", server.Root+"/"+role)
		w.Expect(err).NotTo(gomega.HaveOccurred())
	}
	return func(_ *rest.Config, o *controllers.Options) {
		o.FastPropagation, o.Restarts, o.RestartDelay = true, true, 20*time.Millisecond
	}
}

func podWith(w *harness, name string, volume corev1.VolumeSource, phase corev1.PodPhase) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "client", Image: "client"}},
			Volumes:    []corev1.Volume{{Name: "token", VolumeSource: volume}},
		},
	}
	w.create(pod)
	pod.Status.Phase = phase
	w.Expect(w.admin.Status().Update(w.ctx, pod)).To(gomega.Succeed())
	return pod
}

// TestFastPropagation checks that a change of the token in a Secret patches the pods that mount it, once, and no other pod.
func TestFastPropagation(t *testing.T) {
	w := newHarness(t)
	w.createIssuer()
	w.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "default"}})
	w.start(w.rollouts())
	key := w.createKey("orders")
	w.becomes(key, v1alpha1.ReasonIssued)
	mounted := corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "orders"}}
	projected := corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "orders"}}},
	}}}
	touched := []*corev1.Pod{podWith(w, "mounts", mounted, corev1.PodRunning), podWith(w, "projects", projected, corev1.PodPending)}
	others := []*corev1.Pod{
		podWith(w, "another", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "another"}}, corev1.PodRunning),
		podWith(w, "over", mounted, corev1.PodSucceeded),
		podWith(w, "going", mounted, corev1.PodRunning),
		podWith(w, "another-program", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "foreign"}}, corev1.PodRunning),
	}
	going := others[2]
	w.edit(going, func() { going.Finalizers = []string{"example.com/hold"} })
	w.Expect(w.admin.Delete(w.ctx, going)).To(gomega.Succeed())
	defer w.edit(going, func() { going.Finalizers = nil })
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: w.namespace, Name: "foreign", Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
	}}
	w.create(foreign)
	before := map[string]string{}
	for _, pod := range others {
		before[pod.Name] = get(w, pod).ResourceVersion
	}

	state := func(pod *corev1.Pod) func() string {
		return func() string {
			name, _, _ := strings.Cut(get(w, pod).Annotations[v1alpha1.AnnotationPropagated], "@")
			return name
		}
	}
	w.edit(foreign, func() { foreign.Data = map[string][]byte{v1alpha1.SecretToken: []byte("theirs")} })
	w.annotate(key, v1alpha1.AnnotationRotate, "once")
	for _, pod := range touched {
		w.Eventually(state(pod), patience, 20*time.Millisecond).Should(gomega.Equal("orders/2"), pod.Name)
	}
	for _, pod := range touched {
		before[pod.Name] = pod.ResourceVersion
	}
	w.edit(key, func() { key.Spec.Revoked = true })
	for _, pod := range touched {
		w.Eventually(state(pod), patience, 20*time.Millisecond).Should(gomega.Equal("orders/none"), pod.Name)
		w.Expect(pod.ResourceVersion).NotTo(gomega.Equal(before[pod.Name]))
	}
	for _, pod := range others {
		w.Expect(get(w, pod).ResourceVersion).To(gomega.Equal(before[pod.Name]), "%s does not mount the Secret", pod.Name)
	}
}

func deployment(w *harness, name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	object := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "client", Image: "client"}}},
			},
		},
	}
	w.create(object)
	return object
}

// TestRestarts checks that each rotation restarts a workload that the key names once, across restarts of the manager,
// and that nothing else restarts it.
func TestRestarts(t *testing.T) {
	w := newHarness(t)
	w.createIssuer()
	rollouts := w.rollouts()
	stop := w.start(rollouts)
	orders, unnamed := deployment(w, "orders"), deployment(w, "unnamed")
	long := strings.Repeat("a-long-name-", 10) + "z"
	names := func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.RolloutRestart = []v1alpha1.WorkloadReference{{Kind: "Deployment", Name: "orders"}, {Kind: "StatefulSet", Name: "missing"}}
	}
	key, second := w.createKey("orders", names), w.createKey(long, names)
	w.becomes(key, v1alpha1.ReasonIssued)
	w.becomes(second, v1alpha1.ReasonIssued)
	marks := func() []string { return slices.Sorted(maps.Values(get(w, orders).Annotations)) }
	w.Eventually(marks, patience, 20*time.Millisecond).Should(gomega.ConsistOf(string(key.UID)+".1", string(second.UID)+".1"))
	w.Expect(orders.Spec.Template.Annotations).To(gomega.BeEmpty(), "a first token must restart no workload")

	restarts := func() map[string]string { return get(w, orders).Spec.Template.Annotations }
	w.annotate(key, v1alpha1.AnnotationRotate, "once")
	w.Eventually(restarts, patience, 20*time.Millisecond).Should(gomega.Equal(map[string]string{v1alpha1.RestartPrefix + "orders": string(key.UID) + ".2"}))
	w.annotate(second, v1alpha1.AnnotationRotate, "once")
	w.Eventually(func() []string { return slices.Sorted(maps.Values(restarts())) }, patience, 20*time.Millisecond).
		Should(gomega.ConsistOf(string(key.UID)+".2", string(second.UID)+".2"))

	settled := get(w, orders).ResourceVersion
	stop()
	w.start(rollouts)
	probe := deployment(w, "probe")
	w.createKey("probe", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.RolloutRestart = []v1alpha1.WorkloadReference{{Kind: "Deployment", Name: "probe"}}
	})
	w.Eventually(func() map[string]string { return get(w, probe).Annotations }, patience, 20*time.Millisecond).ShouldNot(gomega.BeEmpty())
	w.Expect(get(w, orders).ResourceVersion).To(gomega.Equal(settled), "another manager must not repeat a restart")
	w.Expect(get(w, unnamed).Annotations).To(gomega.BeEmpty())

	w.Eventually(func() (notes []string) {
		for _, event := range w.eventsOf(key) {
			if event.Reason == "Restarted" {
				notes = append(notes, event.Note)
			}
		}
		return notes
	}, patience, 20*time.Millisecond).Should(gomega.Equal(slices.Repeat([]string{"Restarted Deployment orders for revision 2."}, 2)), "one event of each key")
}

// TestRestartsOfNeighbours checks that a key restarts only workloads of its own namespace, also with a Secret of another
// name.
func TestRestartsOfNeighbours(t *testing.T) {
	w := newHarness(t)
	w.createIssuer()
	w.start(w.rollouts())
	orders := deployment(w, "orders")
	there := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace + "-next"}}
	w.create(there)
	names := func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.RolloutRestart = []v1alpha1.WorkloadReference{{Kind: "Deployment", Name: "orders"}}
	}
	neighbour := w.newKey("neighbour", names)
	neighbour.Namespace = there.Name
	w.create(neighbour)
	w.becomes(neighbour, v1alpha1.ReasonIssued)
	w.annotate(neighbour, v1alpha1.AnnotationRotate, "once")
	key := w.createKey("orders", names, func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{Name: "elsewhere"} })
	w.becomes(key, v1alpha1.ReasonIssued)
	mark := v1alpha1.RestartPrefix + "orders"
	w.Eventually(func() map[string]string { return get(w, orders).Annotations }, patience, 20*time.Millisecond).Should(gomega.Equal(map[string]string{mark: string(key.UID) + ".1"}))
	w.annotate(key, v1alpha1.AnnotationRotate, "once")
	w.Eventually(func() map[string]string { return get(w, orders).Spec.Template.Annotations }, patience, 20*time.Millisecond).
		Should(gomega.Equal(map[string]string{mark: string(key.UID) + ".2"}))
	w.Expect(orders.Annotations).To(gomega.Equal(map[string]string{mark: string(key.UID) + ".2"}))
}
