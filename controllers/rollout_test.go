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
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// rollouts enables fast propagation and restarts, with the rights that the installation grants for them.
func (w *fixture) rollouts() func(*rest.Config, *controllers.Options) {
	w.T.Helper()
	for _, role := range []string{"config/fast-propagation/role.yaml", "config/restarts/role.yaml"} {
		_, err := server.Kubectl(w.Ctx, "", "apply", "--server-side", "-f", server.Root+"/"+role)
		w.Expect(err).NotTo(gomega.HaveOccurred())
	}
	return func(_ *rest.Config, o *controllers.Options) {
		o.FastPropagation, o.Restarts, o.RestartDelay = true, true, 20*time.Millisecond
	}
}

func podWith(w *fixture, name string, volume corev1.VolumeSource, phase corev1.PodPhase) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: name},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "client", Image: "client"}},
			Volumes:    []corev1.Volume{{Name: "token", VolumeSource: volume}},
		},
	}
	w.Create(pod)
	pod.Status.Phase = phase
	w.Expect(w.Admin.Status().Update(w.Ctx, pod)).To(gomega.Succeed())
	return pod
}

// TestFastPropagation checks that a change of the token in a Secret patches the pods that mount it, once, and no other pod.
func TestFastPropagation(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	w.Create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: "default"}})
	w.start(w.rollouts())
	key := w.Key("orders")
	w.AwaitReason(key, v1alpha1.ReasonIssued)
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
	w.Edit(going, func() { going.Finalizers = []string{"example.com/hold"} })
	w.Expect(w.Admin.Delete(w.Ctx, going)).To(gomega.Succeed())
	defer w.Edit(going, func() { going.Finalizers = nil })
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: w.Name, Name: "foreign", Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
	}}
	w.Create(foreign)
	before := map[string]string{}
	for _, pod := range others {
		before[pod.Name] = harness.MustGet(w.Harness, pod).ResourceVersion
	}

	state := func(pod *corev1.Pod) func() string {
		return func() string {
			name, _, _ := strings.Cut(harness.MustGet(w.Harness, pod).Annotations[v1alpha1.AnnotationPropagated], "@")
			return name
		}
	}
	w.Edit(foreign, func() { foreign.Data = map[string][]byte{v1alpha1.SecretToken: []byte("theirs")} })
	w.Annotate(key, v1alpha1.AnnotationRotate, "once")
	for _, pod := range touched {
		w.Eventually(state(pod)).Should(gomega.Equal("orders/2"), pod.Name)
	}
	for _, pod := range touched {
		before[pod.Name] = pod.ResourceVersion
	}
	w.Edit(key, func() { key.Spec.Revoked = true })
	for _, pod := range touched {
		w.Eventually(state(pod)).Should(gomega.Equal("orders/none"), pod.Name)
		w.Expect(pod.ResourceVersion).NotTo(gomega.Equal(before[pod.Name]))
	}
	for _, pod := range others {
		w.Expect(harness.MustGet(w.Harness, pod).ResourceVersion).To(gomega.Equal(before[pod.Name]), "%s does not mount the Secret", pod.Name)
	}
}

func deployment(w *fixture, name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	object := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "client", Image: "client"}}},
			},
		},
	}
	w.Create(object)
	return object
}

// TestRestarts checks that each rotation restarts a workload that the key names once, across restarts of the manager,
// and that nothing else restarts it.
func TestRestarts(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	rollouts := w.rollouts()
	stop := w.start(rollouts)
	orders, unnamed := deployment(w, "orders"), deployment(w, "unnamed")
	long := strings.Repeat("a-long-name-", 10) + "z"
	names := func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.RolloutRestart = []v1alpha1.WorkloadReference{{Kind: "Deployment", Name: "orders"}, {Kind: "StatefulSet", Name: "missing"}}
	}
	key, second := w.Key("orders", names), w.Key(long, names)
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	w.AwaitReason(second, v1alpha1.ReasonIssued)
	marks := func() []string { return slices.Sorted(maps.Values(harness.MustGet(w.Harness, orders).Annotations)) }
	w.Eventually(marks).Should(gomega.ConsistOf(string(key.UID)+".1", string(second.UID)+".1"))
	w.Expect(orders.Spec.Template.Annotations).To(gomega.BeEmpty(), "a first token must restart no workload")

	restarts := func() map[string]string { return harness.MustGet(w.Harness, orders).Spec.Template.Annotations }
	w.Annotate(key, v1alpha1.AnnotationRotate, "once")
	w.Eventually(restarts).Should(gomega.Equal(map[string]string{v1alpha1.RestartPrefix + "orders": string(key.UID) + ".2"}))
	w.Annotate(second, v1alpha1.AnnotationRotate, "once")
	w.Eventually(func() []string { return slices.Sorted(maps.Values(restarts())) }).
		Should(gomega.ConsistOf(string(key.UID)+".2", string(second.UID)+".2"))

	// A manager that stops can lose the events that it has not sent yet.
	w.Eventually(func() (notes []string) {
		for _, event := range w.eventsOf(key) {
			if event.Reason == "Restarted" {
				notes = append(notes, event.Note)
			}
		}
		return notes
	}).Should(gomega.Equal(slices.Repeat([]string{"Restarted Deployment orders for revision 2."}, 2)), "one event of each key")

	settled := harness.MustGet(w.Harness, orders).ResourceVersion
	stop()
	w.start(rollouts)
	probe := deployment(w, "probe")
	w.Key("probe", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.RolloutRestart = []v1alpha1.WorkloadReference{{Kind: "Deployment", Name: "probe"}}
	})
	w.Eventually(func() map[string]string { return harness.MustGet(w.Harness, probe).Annotations }).ShouldNot(gomega.BeEmpty())
	w.Expect(harness.MustGet(w.Harness, orders).ResourceVersion).To(gomega.Equal(settled), "another manager must not repeat a restart")
	w.Expect(harness.MustGet(w.Harness, unnamed).Annotations).To(gomega.BeEmpty())
}

// TestRestartsOfNeighbours checks that a key restarts only workloads of its own namespace, also with a Secret of another
// name.
func TestRestartsOfNeighbours(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	w.start(w.rollouts())
	orders := deployment(w, "orders")
	there := w.Name + "-next"
	w.CreateNamespace(there, nil)
	names := func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.RolloutRestart = []v1alpha1.WorkloadReference{{Kind: "Deployment", Name: "orders"}}
	}
	neighbour := harness.Created(w.Harness, harness.NewKey(there, "neighbour", harness.WithIssuer(w.Name), names))
	w.AwaitReason(neighbour, v1alpha1.ReasonIssued)
	w.Annotate(neighbour, v1alpha1.AnnotationRotate, "once")
	key := w.Key("orders", names, func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{Name: "elsewhere"} })
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	mark := v1alpha1.RestartPrefix + "orders"
	w.Eventually(func() map[string]string { return harness.MustGet(w.Harness, orders).Annotations }).Should(gomega.Equal(map[string]string{mark: string(key.UID) + ".1"}))
	w.Annotate(key, v1alpha1.AnnotationRotate, "once")
	w.Eventually(func() map[string]string { return harness.MustGet(w.Harness, orders).Spec.Template.Annotations }).
		Should(gomega.Equal(map[string]string{mark: string(key.UID) + ".2"}))
	w.Expect(orders.Annotations).To(gomega.Equal(map[string]string{mark: string(key.UID) + ".2"}))
}
