package lifecycle

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// carryOut applies a plan to a situation without failures, and reports whether it wrote anything.
func carryOut(s *situation, plan *Plan, now time.Time) bool {
	token := minted(plan, &s.Observed)
	status := plan.Status(&s.Observed, token, now)
	wrote := !equality.Semantic.DeepEqual(s.Key.Status, status) || plan.Secret != KeepSecret || len(plan.Remove) > 0
	s.Key.Status = stored(&status)
	if token != nil {
		terms := plan.Terms()
		s.Held = &Held{Terms: terms, IssuedAt: token.CreatedAt.Truncate(time.Second), ExpiresAt: token.ExpiresAt.Truncate(time.Second)}
		s.Distrust, s.Issuer.KnowsHeldKey, s.Secret.Adoptable = "", true, nil
	}
	switch plan.Secret {
	case WriteSecret:
		if s.Secret.State != SecretOwn {
			s.Secret.CreatedAt = now
		}
		s.Secret.State, s.Secret.TokenHash, s.Secret.AsWanted, s.Secret.OwnerDiffers = SecretOwn, s.Key.Status.TokenHash, true, false
		s.Secret.LacksEntries = false
		s.Secret.HoldsAccess = plan.Access != NoAccess
		if plan.Access != KeepAccess {
			s.Secret.AccessWithdrawn, s.Secret.AccessExpiresAt = false, time.Time{}
		}
		if plan.Access == RenewAccess {
			s.Secret.AccessExpiresAt, s.Secret.AccessRevision = now.Add(plan.AccessLifetime()), s.Key.Status.Revision
		}
	case EmptySecret:
		s.Secret.OwnerDiffers = false
		s.Secret.TokenHash, s.Secret.HoldsAccess = "", false
	case OwnSecret:
		s.Secret.State, s.Secret.OwnerDiffers = SecretOwn, false
	case DeleteSecret:
		s.Secret = Secret{State: SecretMissing, Name: s.Secret.Name}
	case KeepSecret:
	}
	s.Others = slices.DeleteFunc(s.Others, func(o OtherSecret) bool { return slices.Contains(plan.Remove, o.Name) })
	return wrote
}

// TestNoWriteAtRest applies plans to every row until the key rests, and checks that a restart, a resync or the API server's
// form of the status causes no further write.
func TestNoWriteAtRest(t *testing.T) {
	for _, c := range slices.Concat(decideCases, oddSeconds) {
		s, now := c.situation(), c.now()
		done := carryToRest(s, now)
		if len(done) > 6 {
			t.Errorf("%s: the key does not rest after\n%v", c.name, done)
			continue
		}
		later := Decide(s.Observed, now.Add(time.Millisecond))
		status := later.Status(&s.Observed, minted(&later, &s.Observed), now.Add(time.Millisecond))
		if !equality.Semantic.DeepEqual(s.Key.Status, status) || later.Secret != KeepSecret {
			t.Errorf("%s: a write at rest by %q, secret %s\n%s", c.name, later.Check, secretNames[later.Secret], cmp.Diff(s.Key.Status, status))
		}
	}
}

// TestARevocationIsWrittenOnce checks that the look after a revocation does not write status again.
func TestARevocationIsWrittenOnce(t *testing.T) {
	revocations := 0
	for _, c := range decideCases {
		s, now := c.situation(), c.now()
		plan := Decide(s.Observed, now)
		if plan.Line != RevokeLine {
			continue
		}
		revocations++
		carryOut(s, &plan, now)
		next := Decide(s.Observed, now)
		if status := next.Status(&s.Observed, minted(&next, &s.Observed), now); !equality.Semantic.DeepEqual(s.Key.Status, status) {
			t.Errorf("%s: status is written twice, by %q and by %q\n%s", c.name, plan.Check, next.Check, cmp.Diff(s.Key.Status, status))
		}
	}
	if revocations < 10 {
		t.Errorf("only %d cases revoke", revocations)
	}
}

func carryToRest(s *situation, now time.Time) (done []string) {
	for len(done) < 12 {
		plan := Decide(s.Observed, now)
		done = append(done, fmt.Sprintf("%s: line %q, secret %q", plan.Check, lineNames[plan.Line], secretNames[plan.Secret]))
		if !carryOut(s, &plan, now) {
			break
		}
	}
	return done
}

// TestOddSecondsRotateNothing checks that times with fractions of a second do not count as a change.
func TestOddSecondsRotateNothing(t *testing.T) {
	for _, c := range oddSeconds {
		s := c.situation()
		before := s.Key.Status.Revision
		done := carryToRest(s, c.now())
		if after := s.Key.Status.Revision; after != max(before, 1) {
			t.Errorf("%s: revision %d became %d by\n%v", c.name, before, after, done)
		}
	}
}

// oddSeconds are durations and times with fractions of a second.
var oddSeconds = []decideCase{
	{name: "a third of the lifetime that is not whole seconds", from: unissued, given: func(s *situation) { s.Key.Spec.Lifetime = duration(100 * time.Second) }},
	{name: "a lifetime with a part of a second", from: unissued, given: func(s *situation) { s.Key.Spec.Lifetime = duration(100*time.Second + 500*time.Millisecond) }},
	{name: "renewBefore with a part of a second", from: unissued, given: func(s *situation) {
		s.Key.Spec.Rotation.RenewBefore = duration(99*hour + 999*time.Millisecond)
	}},
	{name: "an expiresAt with a part of a second", from: unissued, given: func(s *situation) { s.end(100*hour + 999*time.Millisecond) }},
	{name: "an overlap with a part of a second", from: twoSuperseded, at: 3 * hour, given: func(s *situation) { s.overlapMax(5*hour + time.Millisecond) }},
	{name: "a clock that does not show whole seconds", from: unissued, at: hour + 123456789, given: func(s *situation) { s.Key.UID = earlyUID }},
}

func TestHandledRotateFitsIntoStatus(t *testing.T) {
	s := settled()
	for _, values := range [][2]string{{longValue, longValue}, {longValue[:64], longValue[1:65]}, {fmt.Sprintf("%064d", 1), fmt.Sprintf("%064d", 2)}} {
		s.rotate(values[0])
		s.rotateNow(values[1])
		if handled := HandledRotate(s.Key); len(handled) > 200 {
			t.Errorf("%d bytes: %s", len(handled), handled)
		}
	}
}

func TestEffectiveValuesAreShown(t *testing.T) {
	tests := []struct {
		name  string
		given func(*situation)
		want  string
	}{
		{"defaults", nil, "lifetime 720h0m0s, renewBefore 240h0m0s, quiet 20m0s, max -, access 15m0s, refreshkey:shop:orders"},
		{"the issuer's access lifetime", func(s *situation) { s.Issuer.AccessLifetime = 10 * minute },
			"lifetime 720h0m0s, renewBefore 240h0m0s, quiet 15m0s, max -, access 10m0s, refreshkey:shop:orders"},
		{"as spec says", func(s *situation) {
			spec := &s.Key.Spec
			spec.Lifetime, spec.Subject = duration(100*hour), "shop:till"
			spec.Rotation.RenewBefore = duration(10 * hour)
			spec.Rotation.Overlap = &v1alpha1.OverlapSpec{Quiet: duration(hour), Max: duration(5 * hour)}
			spec.AccessToken = &v1alpha1.KeyAccessTokenSpec{Lifetime: duration(30 * minute)}
		}, "lifetime 100h0m0s, renewBefore 10h0m0s, quiet 1h0m0s, max 5h0m0s, access 30m0s, shop:till"},
		{"overlap.quiet is never less than an access token's life and 5m", func(s *situation) {
			s.Key.Spec.Rotation.Overlap = &v1alpha1.OverlapSpec{Quiet: duration(minute)}
		}, "lifetime 720h0m0s, renewBefore 240h0m0s, quiet 20m0s, max -, access 15m0s, refreshkey:shop:orders"},
		{"mode Never renews nothing", func(s *situation) { s.mode(v1alpha1.RotationNever) },
			"lifetime 720h0m0s, renewBefore -, quiet -, max -, access 15m0s, refreshkey:shop:orders"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := (&decideCase{given: test.given}).situation()
			plan := Decide(s.Observed, t0.Add(hour))
			status := plan.Status(&s.Observed, minted(&plan, &s.Observed), t0.Add(hour))
			if got := effectiveText(status.Effective); got != test.want {
				t.Errorf("effective values\n%s\nwanted\n%s", got, test.want)
			}
		})
	}
}

func effectiveText(e *v1alpha1.EffectiveValues) string {
	renew, quiet, most := "-", "-", "-"
	if e.RenewBefore != nil {
		renew = e.RenewBefore.Duration.String()
	}
	if e.Overlap != nil && e.Overlap.Quiet != nil {
		quiet = e.Overlap.Quiet.Duration.String()
	}
	if e.Overlap != nil && e.Overlap.Max != nil {
		most = e.Overlap.Max.Duration.String()
	}
	return fmt.Sprintf("lifetime %s, renewBefore %s, quiet %s, max %s, access %s, %s",
		e.Lifetime.Duration, renew, quiet, most, e.AccessTokenLifetime.Duration, e.Subject)
}

// TestRenewalsAreSpread checks that a thousand keys that were created in one minute renew at different times, and that each
// time is stable.
func TestRenewalsAreSpread(t *testing.T) {
	const keys = 1000
	window := 48 * hour
	buckets := make([]int, 20)
	seen := map[time.Time]bool{}
	for i := range keys {
		e := effective{mode: v1alpha1.RotationScheduled, lifetime: DefaultLifetime, renewBefore: DefaultLifetime / 3}
		uid := fmt.Sprintf("5b0e2c1a-%04d-4000-8000-000000000000", i)
		due := e.renewal(uid, t0, t0.Add(DefaultLifetime))
		if again := e.renewal(uid, t0, t0.Add(DefaultLifetime)); !again.Equal(due) {
			t.Fatalf("renewal of %s at %s, and then at %s", uid, due, again)
		}
		if due.Nanosecond() != 0 {
			t.Errorf("renewal of %s is not at a whole second: %s", uid, due)
		}
		before := t0.Add(480 * hour).Sub(due)
		if before < 0 || before >= window {
			t.Fatalf("renewal of %s is %s before 480h, not within %s", uid, before, window)
		}
		buckets[int(before*20/window)]++
		seen[due.Truncate(time.Minute)] = true
	}
	for i, n := range buckets {
		if n < keys/20/2 || n > keys/20*2 {
			t.Errorf("%d of %d renewals in part %d of %d: %v", n, keys, i, len(buckets), buckets)
		}
	}
	if len(seen) < keys*7/10 {
		t.Errorf("%d renewals fall into %d minutes", keys, len(seen))
	}
}
