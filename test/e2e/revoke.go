package main

import (
	"context"
	"fmt"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// invalidGrant is the error for a revoked token (RFC 6749 section 5.2).
const invalidGrant = "invalid_grant"

// revocation is the last step: after it, every exchange must fail with invalid_grant.
func (s *harness) revocation(ctx context.Context) error {
	const name = "revocation"
	fmt.Printf("%s ...\n", name)
	began := time.Now()
	err := s.patchKey(ctx, func(key *v1alpha1.JWTRefreshKey) { key.Spec.Revoked = true })
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := s.refusedEverywhere(ctx, began); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	took := time.Since(began)
	r := s.rowSince(began)
	last, err := s.lastAccepted(began)
	r.step, r.took = name, took
	r.seen = fmt.Sprintf("last exchange that went through: %s after; then invalid_grant alone", seconds(last))
	s.rows = append(s.rows, r)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Printf("%s: %s, %s\n", name, seconds(took), r.seen)
	return nil
}

// refusedEverywhere returns once each pod was refused a few times.
func (s *harness) refusedEverywhere(ctx context.Context, began time.Time) error {
	return s.eventually(ctx, settledWithin, func(ctx context.Context) (string, error) {
		pods, err := s.pods(ctx)
		if err != nil {
			return "", err
		}
		refused := map[string]int{}
		for _, each := range s.observer.since(began, exchangeLine) {
			if !each.OK {
				refused[each.pod]++
			}
		}
		for _, pod := range pods {
			if refused[pod] < settledBy {
				return fmt.Sprintf("%s was refused %d times", pod, refused[pod]), nil
			}
		}
		return "", nil
	})
}

// lastAccepted returns how long after the revocation an exchange still succeeded; the error reports
// other failures.
func (s *harness) lastAccepted(began time.Time) (time.Duration, error) {
	var last time.Duration
	for _, each := range s.observer.since(began, exchangeLine) {
		after := each.At.Sub(began)
		switch {
		case each.OK:
			last = max(last, after)
		case each.Error != invalidGrant:
			return last, fmt.Errorf("%s failed with %q, want %s", each.pod, each.Error, invalidGrant)
		}
	}
	if last > refusedWithin {
		return last, fmt.Errorf("an exchange succeeded %s after the revocation", seconds(last))
	}
	return last, nil
}
