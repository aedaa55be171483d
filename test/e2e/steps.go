package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

const (
	orders       = "orders"
	issuerObject = "default"
	// signing is the state of a signing key that signs.
	signing v1alpha1.KeyState = "Active"

	// The limits for a kubelet to update the files, without and with fast propagation.
	inFilesWithin     = 90 * time.Second
	inFilesWithinFast = 3 * time.Second
	rotatedWithin     = 3 * time.Minute
	// refusedWithin is the limit for the delay of a watch on a busy machine.
	refusedWithin = 5 * time.Second
	// withoutKubelet is the number of exchanges of each pod while the kubelet is stopped.
	withoutKubelet = 5
)

// play runs all steps.
func (s *harness) play(ctx context.Context) error {
	began := time.Now()
	for _, step := range []struct {
		name string
		do   func(context.Context) (string, error)
	}{
		{"workload started", s.workloadStarted},
		{"rotation", s.rotation},
		{"signing-key rotation", s.signingKeyRotation},
		{"token service rolling update", s.tokenServerUpdate},
		{"managers killed", s.managersKilled},
		{"kubelet restarted", s.kubeletRestarted},
		{"upgrade under load", s.upgrade},
		{"rotation with fast propagation", s.fastRotation},
		{"rotation with rolloutRestart", s.restartRotation},
		{"a second one", s.secondRestartRotation},
		{"commands of the pages", s.pages},
	} {
		if err := s.step(ctx, step.name, step.do); err != nil {
			return err
		}
	}
	// Failures that were observed only after their step count too.
	if all := s.rowSince(began); all.failed > 0 {
		return fmt.Errorf("%d of %d exchanges failed: %s", all.failed, all.exchanges, s.failures(began))
	}
	return s.revocation(ctx)
}

// workloadStarted applies the issuer, the key and the Deployment that mounts its Secret together.
func (s *harness) workloadStarted(ctx context.Context) (string, error) {
	manifest := filepath.Join(s.dir, "workload.yaml")
	if err := os.WriteFile(manifest, []byte(workload), 0o600); err != nil {
		return "", err
	}
	if _, err := s.node.Cluster.Kubectl(ctx, "apply", "--server-side", "-f", manifest); err != nil {
		return "", err
	}
	return "from kubectl apply to three pods that exchange", s.rollout(ctx, shop, "client")
}

// rotation waits until the kubelet updates the files, without fast propagation.
func (s *harness) rotation(ctx context.Context) (string, error) {
	revision, err := s.rotate(ctx)
	if err != nil {
		return "", err
	}
	return s.inFiles(ctx, revision, inFilesWithin)
}

// rotated is a new revision of the workload's key, with the time at which the Secret held it.
type rotated struct {
	revision int64
	written  time.Time
}

// rotate requests a new token and returns once the Secret holds it.
func (s *harness) rotate(ctx context.Context) (rotated, error) {
	key, err := s.key(ctx, orders)
	if err != nil {
		return rotated{}, err
	}
	before := key.Status.Revision
	asked := time.Now().Format(time.RFC3339Nano)
	if err := s.annotate(ctx, key, v1alpha1.AnnotationRotate, asked); err != nil {
		return rotated{}, err
	}
	err = s.eventually(ctx, rotatedWithin, func(ctx context.Context) (string, error) {
		secret := &corev1.Secret{}
		if err := s.client.Get(ctx, client.ObjectKey{Namespace: shop, Name: orders}, secret); err != nil {
			return "", err
		}
		if revision := secret.Annotations[v1alpha1.AnnotationRevision]; revision != fmt.Sprint(before+1) {
			return "the Secret holds revision " + revision, nil
		}
		return "", nil
	})
	return rotated{revision: before + 1, written: time.Now()}, err
}

func (s *harness) annotate(ctx context.Context, object client.Object, name, value string) error {
	patch := client.MergeFrom(object.DeepCopyObject().(client.Object))
	annotations := maps.Clone(object.GetAnnotations())
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[name] = value
	object.SetAnnotations(annotations)
	return s.client.Patch(ctx, object, patch)
}

// inFiles waits until each pod has found the new token in its files, checks the
// limit, and reports the duration.
func (s *harness) inFiles(ctx context.Context, next rotated, within time.Duration) (string, error) {
	var took []time.Duration
	err := s.eventually(ctx, inFilesWithin, func(ctx context.Context) (string, error) {
		pods, err := s.pods(ctx)
		if err != nil {
			return "", err
		}
		found := byPod(s.observer.since(time.Time{}, tokenLine), func(o observation) bool { return o.Revision >= next.revision })
		took = took[:0]
		for _, pod := range pods {
			at, ok := found[pod]
			if !ok {
				return fmt.Sprintf("%s has not found revision %d in its files", pod, next.revision), nil
			}
			took = append(took, max(0, at.At.Sub(next.written)))
		}
		return "", nil
	})
	if err != nil {
		return "", err
	}
	slowest := slices.Max(took)
	if slowest > within {
		return "", fmt.Errorf("the new token was in all files after %s, want at most %s", seconds(slowest), within)
	}
	return fmt.Sprintf("new token in the files of all pods %s to %s after the Secret", seconds(slices.Min(took)), seconds(slowest)), nil
}

// signingKeyRotation rotates the signing keys of both rings, and then issues a token that they signed
// to the pods; pods with the earlier token continue meanwhile.
func (s *harness) signingKeyRotation(ctx context.Context) (string, error) {
	issuer := &v1alpha1.JWTIssuer{}
	if err := s.client.Get(ctx, client.ObjectKey{Name: issuerObject}, issuer); err != nil {
		return "", err
	}
	before := activeKeys(issuer)
	began := time.Now()
	if err := s.annotate(ctx, issuer, v1alpha1.AnnotationRotateKeys, began.UTC().Format(time.RFC3339)); err != nil {
		return "", err
	}
	err := s.eventually(ctx, rotatedWithin, func(ctx context.Context) (string, error) {
		if err := s.client.Get(ctx, client.ObjectKey{Name: issuerObject}, issuer); err != nil {
			return "", err
		}
		now := activeKeys(issuer)
		for use, kid := range before {
			if now[use] == kid || now[use] == "" {
				return fmt.Sprintf("the %s key that signs is the same", use), nil
			}
		}
		return "", nil
	})
	if err != nil {
		return "", err
	}
	signs := time.Since(began)
	revision, err := s.rotate(ctx)
	if err != nil {
		return "", err
	}
	key, err := s.key(ctx, orders)
	if err != nil {
		return "", err
	}
	if want := activeKeys(issuer)["refresh"]; key.Status.KeyID != want {
		return "", fmt.Errorf("revision %d was signed by %s, but the active signing key is %s", key.Status.Revision, key.Status.KeyID, want)
	}
	seen, err := s.inFiles(ctx, revision, inFilesWithin)
	return fmt.Sprintf("other keys sign after %s; %s", seconds(signs), seen), err
}

func activeKeys(issuer *v1alpha1.JWTIssuer) map[string]string {
	active := map[string]string{}
	for _, key := range issuer.Status.Keys {
		if key.State == signing {
			active[string(key.Use)] = key.KID
		}
	}
	return active
}

func (s *harness) tokenServerUpdate(ctx context.Context) (string, error) {
	const name = "refreshkeys-tokenserver"
	if _, err := s.node.Cluster.Kubectl(ctx, "--namespace="+operatorNamespace, "rollout", "restart", "deployment/"+name); err != nil {
		return "", err
	}
	if err := s.rollout(ctx, operatorNamespace, name); err != nil {
		return "", err
	}
	deployment, err := s.deployment(ctx, operatorNamespace, name)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d replicas replaced", deployment.Status.UpdatedReplicas), nil
}

// managersKilled kills all managers at once, as the loss of their machines would, and creates a
// key that only a manager can issue.
func (s *harness) managersKilled(ctx context.Context) (string, error) {
	var managers corev1.PodList
	labels := client.MatchingLabels{"app.kubernetes.io/component": "manager"}
	if err := s.client.List(ctx, &managers, client.InNamespace(operatorNamespace), labels); err != nil {
		return "", err
	}
	var containers []string
	for _, pod := range managers.Items {
		for _, status := range pod.Status.ContainerStatuses {
			containers = append(containers, strings.TrimPrefix(status.ContainerID, "containerd://"))
		}
	}
	if len(containers) == 0 {
		return "", errors.New("there is no manager to kill")
	}
	if err := s.node.KillPrograms(ctx, containers...); err != nil {
		return "", err
	}
	began := time.Now()
	key := &v1alpha1.JWTRefreshKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "asked-meanwhile"},
		Spec:       v1alpha1.JWTRefreshKeySpec{Audience: "https://reports.example.com"},
	}
	if err := s.client.Create(ctx, key); err != nil {
		return "", err
	}
	err := s.eventually(ctx, rotatedWithin, func(ctx context.Context) (string, error) {
		key, err := s.key(ctx, key.Name)
		if err != nil {
			return "", err
		}
		if key.Status.Revision == 0 {
			return "a key made meanwhile has no token", nil
		}
		return "", nil
	})
	return fmt.Sprintf("%d killed; a key made meanwhile has its token after %s", len(containers), seconds(time.Since(began))), err
}

func (s *harness) kubeletRestarted(ctx context.Context) (string, error) {
	if err := s.node.Kubelet.Stop(ctx); err != nil {
		return "", err
	}
	stopped := time.Now()
	err := s.eventually(ctx, settledWithin, func(context.Context) (string, error) {
		count := map[string]int{}
		for _, each := range s.observer.since(stopped, exchangeLine) {
			count[each.pod]++
		}
		for pod, n := range count {
			if n < withoutKubelet {
				return fmt.Sprintf("%s has exchanged %d times", pod, n), nil
			}
		}
		if len(count) < replicas {
			return fmt.Sprintf("%d pods exchange", len(count)), nil
		}
		return "", nil
	})
	if err != nil {
		return "", err
	}
	away := time.Since(stopped)
	if err := s.node.Kubelet.Start(ctx); err != nil {
		return "", err
	}
	err = s.eventually(ctx, rolloutWithin, func(ctx context.Context) (string, error) {
		return s.missingPods(ctx)
	})
	return "away for " + seconds(away), err
}

// missingPods names the pods of the workload that are not ready or were replaced.
func (s *harness) missingPods(ctx context.Context) (string, error) {
	var list corev1.PodList
	if err := s.client.List(ctx, &list, client.InNamespace(shop), client.MatchingLabels{"app": "client"}); err != nil {
		return "", err
	}
	ready := 0
	for i := range list.Items {
		for _, condition := range list.Items[i].Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				ready++
			}
		}
		for _, status := range list.Items[i].Status.ContainerStatuses {
			if status.RestartCount > 0 {
				return "", fmt.Errorf("%s was restarted", list.Items[i].Name)
			}
		}
	}
	if ready != replicas {
		return fmt.Sprintf("%d pods are ready", ready), nil
	}
	return "", nil
}

func (s *harness) upgrade(ctx context.Context) (string, error) {
	return "helm upgrade to another version, with fast propagation and restarts switched on", s.install.upgrade(ctx)
}

// fastRotation is a rotation with fast propagation by the manager.
func (s *harness) fastRotation(ctx context.Context) (string, error) {
	// End the superseded tokens, which are no longer needed, for the next rotations.
	if err := s.patchKey(ctx, func(key *v1alpha1.JWTRefreshKey) {
		key.Spec.Rotation.Overlap.Max = &metav1.Duration{Duration: 20 * time.Second}
	}); err != nil {
		return "", err
	}
	revision, err := s.rotate(ctx)
	if err != nil {
		return "", err
	}
	return s.inFiles(ctx, revision, inFilesWithinFast)
}

func (s *harness) patchKey(ctx context.Context, change func(*v1alpha1.JWTRefreshKey)) error {
	key, err := s.key(ctx, orders)
	if err != nil {
		return err
	}
	patch := client.MergeFrom(key.DeepCopy())
	change(key)
	return s.client.Patch(ctx, key, patch)
}
