package lifecycle

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

func TestTimeline(t *testing.T) {
	type key = v1alpha1.JWTRefreshKey
	noon := time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)
	in := func(hours float64) time.Time { return noon.Add(time.Duration(hours * float64(time.Hour))) }
	at := func(hours float64) *metav1.Time { return &metav1.Time{Time: in(hours)} }
	lasting := func(hours float64) *metav1.Duration { return &metav1.Duration{Duration: in(hours).Sub(noon)} }
	// line sets a line whose revision 3 was issued at noon, and which superseded revision 2, from 10 h before, and 1.
	line := func(k *key) {
		k.Status.Revision, k.Status.CreatedAt, k.Status.ExpiresAt, k.Status.RenewalTime = 3, at(0), at(30), at(20)
		k.Status.Previous = []v1alpha1.SupersededToken{
			{JTI: "one", Revision: 1, CreatedAt: *at(-20), ExpiresAt: *at(10)}, {JTI: "two", Revision: 2, CreatedAt: *at(-10), ExpiresAt: *at(20)},
		}
	}
	inForce := func(quiet, longest *metav1.Duration) func(*key) {
		return func(k *key) {
			k.Status.Effective = &v1alpha1.EffectiveValues{Overlap: &v1alpha1.EffectiveOverlap{Quiet: quiet, Max: longest}}
		}
	}
	used := func(revision int64, superseded *metav1.Time) func(*key) {
		return func(k *key) {
			k.Status.LastUsed, k.Status.LastUsedRevision, k.Status.SupersededLastUsed = at(1), revision, superseded
		}
	}
	ready := func(status metav1.ConditionStatus) func(*key) {
		return func(k *key) {
			k.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: status, LastTransitionTime: *at(-2)}}
		}
	}
	idle := func(k *key) { k.Spec.IdleTimeout = lasting(5) }
	grace := func(d *metav1.Duration) func(*key) {
		return func(k *key) { k.Spec.Rotation = &v1alpha1.RotationSpec{RetryGrace: d} }
	}
	none := grace(&metav1.Duration{})
	const reports = 2 * ReportInterval
	current := Times{TokenEnd: in(30), Renewal: in(20)}
	with := func(change func(*Times)) Times {
		times := current
		change(&times)
		return times
	}
	superseded := func(one, two SupersededTimes) Times {
		one.JTI, one.At, two.JTI, two.At = "one", in(-10), "two", in(0)
		return with(func(times *Times) { times.Superseded = []SupersededTimes{one, two} })
	}
	for _, c := range []struct {
		name  string
		given []func(*key)
		want  Times
	}{
		{"a key without a line", []func(*key){idle, ready(metav1.ConditionTrue)}, Times{}},
		{"an absolute end", []func(*key){func(k *key) { k.Spec.ExpiresAt = at(50) }}, Times{End: in(50)}},
		{"superseded tokens without a record of the overlap", []func(*key){line, none}, superseded(SupersededTimes{End: in(10)}, SupersededTimes{End: in(20)})},
		{"an overlap without a maximum, and without a use", []func(*key){line, none, inForce(lasting(1), nil)},
			superseded(SupersededTimes{End: in(10)}, SupersededTimes{End: in(20)})},
		{"overlap.max counts from the next token", []func(*key){line, none, inForce(lasting(1), lasting(12))},
			superseded(SupersededTimes{End: in(2)}, SupersededTimes{End: in(12)})},
		{"overlap.max beyond the token's own end", []func(*key){line, none, inForce(nil, lasting(21))},
			superseded(SupersededTimes{End: in(10)}, SupersededTimes{End: in(20)})},
		{"overlap.max of 0 s", []func(*key){line, none, inForce(nil, lasting(0))}, superseded(SupersededTimes{End: in(-10)}, SupersededTimes{End: in(0)})},
		{"a use of a superseded token is no evidence", []func(*key){line, none, inForce(lasting(1), nil), used(2, at(1))},
			superseded(SupersededTimes{End: in(10)}, SupersededTimes{End: in(20)})},
		{"a use of the current token only", []func(*key){line, none, inForce(lasting(1), nil), used(3, nil)},
			superseded(SupersededTimes{End: in(10), Quiet: in(-9)}, SupersededTimes{End: in(20), Quiet: in(1)})},
		{"a use of both", []func(*key){line, none, inForce(lasting(1), nil), used(3, at(3))},
			superseded(SupersededTimes{End: in(10), Quiet: in(4)}, SupersededTimes{End: in(20), Quiet: in(4)})},
		{"a use so late that the end is first", []func(*key){line, none, inForce(lasting(15), nil), used(3, at(3))},
			superseded(SupersededTimes{End: in(10), Quiet: in(10)}, SupersededTimes{End: in(20), Quiet: in(18)})},
		{"no quiet on record", []func(*key){line, none, inForce(nil, nil), used(3, at(3))}, superseded(SupersededTimes{End: in(10)}, SupersededTimes{End: in(20)})},
		{"a line without the time of its current token", []func(*key){line, none, inForce(lasting(1), lasting(12)), used(3, nil), func(k *key) {
			k.Status.CreatedAt, k.Status.Previous = nil, k.Status.Previous[1:]
		}}, with(func(times *Times) { times.Superseded = []SupersededTimes{{JTI: "two", End: in(20)}} })},
		{"a line without the time of a superseded token counts it as long ago", []func(*key){line, none, inForce(lasting(1), lasting(12)), func(k *key) {
			k.Status.Previous[1].CreatedAt = metav1.Time{}
		}}, with(func(times *Times) {
			times.Superseded = []SupersededTimes{{JTI: "one", End: time.Time{}.Add(12 * time.Hour)}, {JTI: "two", At: in(0), End: in(12)}}
		})},
		{"the same without a maximum, on evidence", []func(*key){line, none, inForce(lasting(1), nil), used(3, nil), func(k *key) {
			k.Status.Previous[1].CreatedAt = metav1.Time{}
		}}, with(func(times *Times) {
			times.Superseded = []SupersededTimes{{JTI: "one", End: in(10), Quiet: time.Time{}.Add(time.Hour)}, {JTI: "two", At: in(0), End: in(20), Quiet: in(1)}}
		})},
		{"idle since it is ready", []func(*key){line, none, single, idle, ready(metav1.ConditionTrue)}, with(func(times *Times) { times.Idle = in(3).Add(reports) })},
		{"idle since the last use", []func(*key){line, none, single, idle, ready(metav1.ConditionTrue), used(3, nil)}, with(func(times *Times) { times.Idle = in(6).Add(reports) })},
		{"idle since the last use of a superseded token", []func(*key){line, none, single, idle, ready(metav1.ConditionTrue), used(3, at(2))},
			with(func(times *Times) { times.Idle = in(7).Add(reports) })},
		{"a key that is not ready is not idle", []func(*key){line, none, single, idle, ready(metav1.ConditionFalse)}, current},
		{"a revoked key is not idle", []func(*key){line, none, single, idle, ready(metav1.ConditionTrue), func(k *key) { k.Status.RevokedAt = at(0) }}, current},
		{"the default grace", []func(*key){line, single}, with(func(times *Times) { times.Grace = in(0).Add(DefaultRetryGrace) })},
		{"a grace", []func(*key){line, single, grace(lasting(0.1))}, with(func(times *Times) { times.Grace = in(0.1) })},
		{"a grace above its bound", []func(*key){line, single, grace(lasting(5))}, with(func(times *Times) { times.Grace = in(0).Add(maxRetryGrace) })},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := &key{}
			for _, change := range c.given {
				change(k)
			}
			if diff := cmp.Diff(c.want, Timeline(k), cmpopts.IgnoreUnexported(Times{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// single removes the superseded tokens.
func single(k *v1alpha1.JWTRefreshKey) { k.Status.Previous = nil }

func TestEndsOfATimeline(t *testing.T) {
	noon := time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)
	times := Times{Superseded: []SupersededTimes{{JTI: "one", End: noon}, {JTI: "two", End: noon.Add(time.Hour)}}}
	for name, c := range map[string]struct{ got, want time.Time }{
		"the oldest superseded token":  {times.OverlapEnd(), noon},
		"nothing superseded":           {Times{}.OverlapEnd(), time.Time{}},
		"a superseded token":           {times.SupersededEnd("two"), noon.Add(time.Hour)},
		"a token that is not one":      {times.SupersededEnd("three"), time.Time{}},
		"the last second of a key":     {Times{End: noon.Add(time.Millisecond)}.LastSecond(), noon},
		"a key without an end":         {times.LastSecond(), time.Time{}},
		"idle after a use":             {Times{idleTimeout: &metav1.Duration{Duration: time.Minute}}.IdleAfter(noon), noon.Add(time.Minute)},
		"a key that is never too idle": {times.IdleAfter(noon), time.Time{}},
	} {
		if !c.got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
}
