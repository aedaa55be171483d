package lifecycle

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// The line of the table has three tokens. A use superseded each half an hour after its creation, so that f(1) is 30m,
// f(2) is 60m, and token 3 is current. The grace is 10m.
const (
	second     = time.Second
	tableGrace = 10 * minute
	followed1  = 30 * minute
	followed2  = 60 * minute
)

// handed returns the use of a token of revision k, at a time after t0.
func handed(k int64, at time.Duration, changes ...func(*OneTimeUse)) *OneTimeUse {
	s := settled()
	s.usedOnce(followed1, 720*hour)
	s.usedOnce(followed2, 720*hour)
	s.Key.Spec.Rotation.RetryGrace = &metav1.Duration{Duration: tableGrace}
	u := &OneTimeUse{Key: s.Key, Revision: k, JTI: tokenName(k), Live: true, Now: t0.Add(at)}
	for _, change := range changes {
		change(u)
	}
	return u
}

func tokenName(k int64) string { return "token-" + string(rune('0'+k)) }

// Differences from the line of the table.
var (
	byView = func(age time.Duration) func(*OneTimeUse) {
		return func(u *OneTimeUse) { u.Live, u.ViewAge = false, age }
	}
	graceOf = func(g time.Duration) func(*OneTimeUse) {
		return func(u *OneTimeUse) { u.Key.Spec.Rotation.RetryGrace.Duration = g }
	}
	firstGood    = func(f int64) func(*OneTimeUse) { return func(u *OneTimeUse) { u.Key.Status.FirstRevision = f } }
	jti          = func(text string) func(*OneTimeUse) { return func(u *OneTimeUse) { u.JTI = text } }
	holderProven = func(u *OneTimeUse) { u.HolderProven = true }
	termsDiffer  = func(u *OneTimeUse) { u.TermsDiffer = true }
	inNoSecret   = func(u *OneTimeUse) { u.Key.Spec.Secret.Mode = v1alpha1.SecretNone }
	unlisted     = func(u *OneTimeUse) { u.Key.Status.Previous = nil }
	// enrolledAnew sets an enrolment as the current token, which resets the record of used tokens.
	enrolledAnew = func(u *OneTimeUse) {
		u.Key.Status.LastUsedRevision = 0
		u.Key.Status.Previous = u.Key.Status.Previous[1:]
	}
	notBegun = func(u *OneTimeUse) { u.Key.Status = v1alpha1.JWTRefreshKeyStatus{} }
	// crowded supersedes two tokens within one grace.
	crowded = func(u *OneTimeUse) {
		u.Key.Status.Previous[1].CreatedAt.Time = t0.Add(followed2 - 2*minute)
	}
)

// TestDecideOneTime checks each row of the decision table, and its boundaries.
func TestDecideOneTime(t *testing.T) {
	cases := []struct {
		name string
		use  *OneTimeUse
		want OneTimeAnswer
	}{
		{"below F: refused, and nothing else happens", handed(2, 61*minute, firstGood(3)), OneTimeRefused},
		{"below F, however outdated the view", handed(2, 61*minute, firstGood(3), byView(hour)), OneTimeRefused},
		{"below F, with the key that it is bound to", handed(2, 61*minute, firstGood(3), holderProven), OneTimeRefused},
		{"at F", handed(2, 61*minute, firstGood(2)), OneTimeCurrent},

		{"of the future: read first", handed(4, 61*minute, byView(second)), OneTimeRead},
		{"of the future, on a live read", handed(4, 61*minute), OneTimeRefused},
		{"current revision, another jti: read first", handed(3, 61*minute, jti("other"), byView(second)), OneTimeRead},
		{"current revision, another jti, on a live read", handed(3, 61*minute, jti("other")), OneTimeRefused},
		{"first token of a line that has not begun: read first", handed(1, minute, notBegun, byView(second)), OneTimeRead},
		{"first token of a line that has not begun", handed(1, minute, notBegun), OneTimeUnrecorded},
		{"second token of a line that has not begun", handed(2, minute, notBegun), OneTimeRefused},

		{"current, a second younger than G", handed(3, followed2+tableGrace-second, byView(second)), OneTimeAgain},
		{"current, exactly G old", handed(3, followed2+tableGrace, byView(second)), OneTimeFollow},
		{"current, young, G = 0", handed(3, followed2, graceOf(0), byView(second)), OneTimeFollow},
		{"current, young, of another content than spec", handed(3, 61*minute, termsDiffer, byView(second)), OneTimeFollow},
		{"current, made by a clock that is ahead", handed(3, followed2-3*second), OneTimeAgain},
		{"current, young, an enrolment in a Secret", handed(3, 61*minute, enrolledAnew, byView(second)), OneTimeFollow},
		{"current, young, first token of a session", handed(3, 61*minute, enrolledAnew, inNoSecret), OneTimeAgain},
		{"current, G old, first token of a session", handed(3, followed2+tableGrace, enrolledAnew, inNoSecret), OneTimeFollow},
		{"current, young, the view proven a minute ago", handed(3, 61*minute, byView(minute)), OneTimeAgain},
		{"current, young, the view proven longer ago: read first", handed(3, 61*minute, byView(minute+1)), OneTimeRead},
		{"current, young, on a live read", handed(3, 61*minute), OneTimeAgain},

		{"to be followed, which would drop a token in its grace", handed(3, followed2+minute, crowded, termsDiffer), OneTimeAgain},
		{"the same, on a view of long ago: read first", handed(3, followed2+minute, crowded, termsDiffer, byView(hour)), OneTimeRead},
		{"an enrolment that cannot be followed yet: read first", handed(3, followed2+minute, crowded, enrolledBeside, byView(second)), OneTimeRead},
		{"an enrolment that cannot be followed yet", handed(3, followed2+minute, crowded, enrolledBeside), OneTimeWaits},

		{"superseded, bound, long after the grace", handed(1, 300*hour, holderProven, byView(second)), OneTimeCurrent},
		{"superseded, bound, and no longer recorded", handed(1, 300*hour, holderProven, unlisted), OneTimeCurrent},
		{"superseded, bound, G = 0", handed(2, 300*hour, holderProven, graceOf(0)), OneTimeCurrent},

		{"superseded by an enrolment, unused, in overlap", handed(2, 300*hour, enrolledAnew, byView(second)), OneTimeRollOver},
		{"superseded by an enrolment, used before: refused, and the line goes on", handed(1, 300*hour, enrolledAnew), OneTimeRefused},
		{"of an earlier enrolment, superseded at an unknown time", handed(1, 61*minute, enrolledAnew, unlisted), OneTimeRefused},
		{"superseded by an enrolment, another jti", handed(2, 300*hour, enrolledAnew, jti("other")), OneTimeRefused},

		{"followed, a second before the end of the skew", handed(2, followed2+tableGrace+4*second, byView(second)), OneTimeCurrent},
		{"followed, at the end of the skew: read first", handed(2, followed2+tableGrace+5*second, byView(second)), OneTimeRead},
		{"followed, at the end of the skew", handed(2, followed2+tableGrace+5*second), OneTimeReused},
		{"followed in this moment, G = 0", handed(2, followed2, graceOf(0)), OneTimeReused},
		{"followed, and its successor too, in the grace", handed(1, followed1+tableGrace+4*second), OneTimeCurrent},
		{"followed, and its successor too, after the grace", handed(1, followed1+tableGrace+5*second), OneTimeReused},
		{"followed, in the grace, another jti", handed(2, 61*minute, jti("other")), OneTimeReused},

		{"superseded at an unknown time, perhaps in the grace: read first", handed(1, 61*minute, unlisted, byView(second)), OneTimeRead},
		{"superseded at an unknown time, perhaps in the grace", handed(1, followed2+tableGrace+4*second, unlisted), OneTimeUnknown},
		{"superseded at an unknown time, before the grace", handed(1, followed2+tableGrace+5*second, unlisted), OneTimeReused},
		{"superseded at an unknown time, G = 0", handed(1, followed2, unlisted, graceOf(0)), OneTimeReused},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := DecideOneTime(c.use); got != c.want {
				t.Errorf("the answer is %s, want %s", answerNames[got], answerNames[c.want])
			}
		})
	}
}

// enrolledBeside sets an enrolment as the current token, with two unused superseded tokens.
func enrolledBeside(u *OneTimeUse) { u.Key.Status.LastUsedRevision = 0 }

var answerNames = map[OneTimeAnswer]string{
	OneTimeRefused: "refused", OneTimeReused: "reused", OneTimeRead: "read", OneTimeFollow: "follow", OneTimeAgain: "again", OneTimeCurrent: "current",
	OneTimeRollOver: "roll over", OneTimeUnrecorded: "unrecorded", OneTimeWaits: "waits", OneTimeUnknown: "unknown",
}

// TestKeptInGrace checks which superseded tokens a line keeps at a use of its current one.
func TestKeptInGrace(t *testing.T) {
	cases := []struct {
		name string
		use  *OneTimeUse
		want []int64
		fits bool
	}{
		{"those before are out of their grace", handed(3, followed2+tableGrace+5*second), []int64{3}, true},
		{"the one before is in the skew of its grace", handed(3, followed2+tableGrace), []int64{2, 3}, true},
		{"both before are in their grace", handed(3, followed2+minute, crowded), []int64{1, 2, 3}, false},
		{"G = 0", handed(3, followed2, graceOf(0)), []int64{3}, true},
		{"first token", handed(3, followed2+minute, unlisted), []int64{3}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			kept, fits := KeptInGrace(c.use.Key, c.use.Now)
			var got []int64
			for _, token := range kept {
				got = append(got, token.Revision)
			}
			if fits != c.fits || len(got) != len(c.want) {
				t.Fatalf("kept are %v (fits %v), want %v (%v)", got, fits, c.want, c.fits)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("kept are %v, want %v", got, c.want)
				}
			}
		})
	}
}

// TestRetryGrace checks that values that admission refuses have bounded effects.
func TestRetryGrace(t *testing.T) {
	for name, c := range map[string]struct {
		spec *v1alpha1.RotationSpec
		want time.Duration
	}{
		"unset":             {nil, 30 * second},
		"unset in rotation": {&v1alpha1.RotationSpec{}, 30 * second},
		"none":              {&v1alpha1.RotationSpec{RetryGrace: duration(0)}, 0},
		"negative":          {&v1alpha1.RotationSpec{RetryGrace: duration(-minute)}, 0},
		"longest":           {&v1alpha1.RotationSpec{RetryGrace: duration(10 * minute)}, 10 * minute},
		"longer":            {&v1alpha1.RotationSpec{RetryGrace: duration(hour)}, 10 * minute},
	} {
		key := &v1alpha1.JWTRefreshKey{}
		key.Spec.Rotation = c.spec
		if got := RetryGrace(key); got != c.want {
			t.Errorf("%s: the grace is %s, want %s", name, got, c.want)
		}
	}
}
