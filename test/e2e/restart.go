package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// rolloutAnnotation counts the rollouts of a Deployment; kube-controller-manager keeps it.
const rolloutAnnotation = "deployment.kubernetes.io/revision"

// restartRotation lets the operator restart the workload after a rotation, for programs that read
// their token only once.
func (s *harness) restartRotation(ctx context.Context) (string, error) {
	if err := s.patchKey(ctx, func(key *v1alpha1.JWTRefreshKey) {
		key.Spec.RolloutRestart = []v1alpha1.WorkloadReference{{Kind: "Deployment", Name: "client"}}
	}); err != nil {
		return "", err
	}
	return s.secondRestartRotation(ctx)
}

// secondRestartRotation checks that each revision causes exactly one restart.
func (s *harness) secondRestartRotation(ctx context.Context) (string, error) {
	before, err := s.rollouts(ctx)
	if err != nil {
		return "", err
	}
	old, err := s.pods(ctx)
	if err != nil {
		return "", err
	}
	next, err := s.rotate(ctx)
	if err != nil {
		return "", err
	}
	if err := s.restarted(ctx, before+1, old); err != nil {
		return "", err
	}
	took := time.Since(next.written)
	if err := s.firstTokens(ctx, next.revision); err != nil {
		return "", err
	}
	// Check again after a pause.
	if err := s.settled(ctx, time.Now()); err != nil {
		return "", err
	}
	after, err := s.rollouts(ctx)
	if err != nil {
		return "", err
	}
	if after != before+1 {
		return "", fmt.Errorf("revision %d restarted the workload %d times", next.revision, after-before)
	}
	return fmt.Sprintf("one restart, all pods replaced after %s, each found revision %d first", seconds(took), next.revision), nil
}

func (s *harness) rollouts(ctx context.Context) (int, error) {
	deployment, err := s.deployment(ctx, shop, "client")
	if err != nil {
		return 0, err
	}
	var count int
	_, err = fmt.Sscan(deployment.Annotations[rolloutAnnotation], &count)
	return count, err
}

// restarted waits until a number of rollouts were started and the last is complete, with no
// earlier pod left.
func (s *harness) restarted(ctx context.Context, rollouts int, old []string) error {
	return s.eventually(ctx, rolloutWithin, func(ctx context.Context) (string, error) {
		count, err := s.rollouts(ctx)
		if err != nil {
			return "", err
		}
		if count < rollouts {
			return "the workload was not restarted", nil
		}
		pods, err := s.pods(ctx)
		if err != nil {
			return "", err
		}
		for _, pod := range pods {
			if slices.Contains(old, pod) {
				return fmt.Sprintf("%s is still there", pod), nil
			}
		}
		return s.missingPods(ctx)
	})
}

// firstTokens checks that every current pod found the new token at its first read: the
// operator restarted it after it had written the Secret.
func (s *harness) firstTokens(ctx context.Context, revision int64) error {
	pods, err := s.pods(ctx)
	if err != nil {
		return err
	}
	first := byPod(s.observer.since(time.Time{}, tokenLine), func(observation) bool { return true })
	for _, pod := range pods {
		if found := first[pod].Revision; found != revision {
			return fmt.Errorf("%s was started with revision %d, want %d", pod, found, revision)
		}
	}
	return nil
}
