package lifecycle

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

var renewalCases = []decideCase{
	{name: "renewal not yet due", want: atRest("480h")},
	{name: "renewal not due a second before", at: 480*hour - time.Second, want: atRest("480h")},
	{name: "renewal due", at: 480 * hour, want: advances(CauseRenewalDue, "revision 2, 480h to 1200h", "token-1")},
	{
		name: "renewal due with the most jitter", at: 432*hour + time.Second,
		given: func(s *situation) { s.Key.UID = earlyUID },
		want:  advances(CauseRenewalDue, "revision 2, 432h0m1s to 1152h0m1s", "token-1"),
	},
	{
		name: "renewal not due a second before the most jitter", at: 432 * hour,
		given: func(s *situation) { s.Key.UID = earlyUID },
		want:  atRest("432h0m1s"),
	},
	{
		name: "renewal after a long downtime: the token is dead and not carried", at: 800 * hour,
		want: advances(CauseRenewalDue, "revision 2, 800h to 1520h", "").unready(),
	},
	{
		name: "renewal as renewBefore says", at: 700 * hour,
		given: func(s *situation) { s.Key.Spec.Rotation.RenewBefore = duration(20 * hour) },
		want:  advances(CauseRenewalDue, "revision 2, 700h to 1420h", "token-1"),
	},
	{
		name: "renewBefore a second short of the lifetime: not before the token is 30 s old", at: 29 * time.Second,
		given: func(s *situation) { s.Key.Spec.Rotation.RenewBefore = duration(720*hour - time.Second) },
		want:  atRest("30s"),
	},
	{
		name: "renewBefore a second short of a lifetime of a minute: not before a tenth of it", at: 5 * time.Second,
		given: func(s *situation) {
			s.Key.Spec.Lifetime, s.Key.Spec.Rotation.RenewBefore = duration(time.Minute), duration(59*time.Second)
			s.current(1, 0, time.Minute)
		},
		want: atRest("6s"),
	},
	{
		name: "renewal of a key without a Secret", at: 480 * hour,
		given: func(s *situation) { s.Key.Spec.Secret.Mode = v1alpha1.SecretNone; s.Secret = Secret{} },
		want:  advances(CauseRenewalDue, "revision 2, 480h to 1200h", "token-1").but(func(o *outcome) { o.Secret = "" }),
	},
	{
		name: "renewal into a deleted Secret: not Ready until it exists", at: 480 * hour,
		given: func(s *situation) { s.Secret = Secret{State: SecretMissing, Name: "orders"} },
		want:  advances(CauseRenewalDue, "revision 2, 480h to 1200h", "token-1").but(func(o *outcome) { o.Verdict = "waiting Issuing" }),
	},
	{
		name: "renewal in mode Never: not by time", at: 719 * hour,
		given: func(s *situation) { s.mode(v1alpha1.RotationNever) },
		want:  atRest("720h"),
	},
}

func retires(left string) outcome {
	return outcome{Check: "superseded token must retire", Line: "retire", Previous: left, Verdict: "ready Issued"}
}

var overlapCases = []decideCase{
	{
		name: "overlap end: overlap.max", at: 3 * hour,
		given: func(s *situation) { s.supersede(hour, 721*hour); s.overlapMax(2 * hour) },
		want:  retires(""),
	},
	{
		name: "overlap not ended a second before overlap.max", at: 3*hour - time.Second,
		given: func(s *situation) { s.supersede(hour, 721*hour); s.overlapMax(2 * hour) },
		want:  atRest("3h"),
	},
	{
		name: "overlap end: overlap.max of zero", at: hour,
		given: func(s *situation) { s.supersede(hour, 721*hour); s.overlapMax(0) },
		want:  retires(""),
	},
	{
		name: "overlap end: the superseded token's own end", at: 720 * hour,
		given: func(s *situation) { s.supersede(hour, 721*hour); s.mode(v1alpha1.RotationNever) },
		want:  retires(""),
	},
	{
		name: "overlap end: the superseded token's own end comes before overlap.max", at: 720 * hour,
		given: func(s *situation) {
			s.supersede(hour, 721*hour)
			s.mode(v1alpha1.RotationNever)
			s.overlapMax(5000 * hour)
		},
		want: retires(""),
	},
	{
		name: "overlap end comes before a renewal that is due as well", at: 720 * hour,
		given: func(s *situation) { s.supersede(hour, 721*hour) },
		want:  retires(""),
	},
	{
		name: "overlap end of one of two superseded tokens", from: twoSuperseded, at: 3 * hour,
		given: func(s *situation) { s.overlapMax(2 * hour) },
		want:  retires("token-2"),
	},
	{
		name: "overlap end of a superseded token in a damaged status: the next one has no time", from: twoSuperseded, at: 2*hour + minute,
		given: func(s *situation) { s.overlapMax(2 * hour); s.Key.Status.Previous[1].CreatedAt = metav1.Time{} },
		want:  retires("token-2"),
	},
	{
		name: "overlap end of both superseded tokens", from: twoSuperseded, at: 4 * hour,
		given: func(s *situation) { s.overlapMax(2 * hour) },
		want:  retires(""),
	},
	{
		name: "no retirement before the current token was seen in the Secret", at: 4 * hour,
		given: func(s *situation) {
			s.supersede(hour, 721*hour)
			s.overlapMax(2 * hour)
			s.Secret.TokenHash = hashOf("token-1")
		},
		want: writesSecret("481h"),
	},
	{
		name: "no retirement while the Secret is foreign", at: 4 * hour,
		given: func(s *situation) {
			s.supersede(hour, 721*hour)
			s.overlapMax(2 * hour)
			s.Secret = Secret{State: SecretForeign, Name: "orders"}
		},
		want: outcome{Check: "secret cannot be written", Verdict: "stalled SecretConflict", Next: "4h0m30s"},
	},
	{
		name: "retirement of a key without a Secret", at: 3 * hour,
		given: func(s *situation) {
			s.supersede(hour, 721*hour)
			s.overlapMax(2 * hour)
			s.Key.Spec.Secret.Mode, s.Secret = v1alpha1.SecretNone, Secret{}
		},
		want: retires(""),
	},
}

var longValue = strings.Repeat("long ", 50)

var rotateCases = []decideCase{
	{name: "rotate: a new value", given: func(s *situation) { s.rotate("v2"); s.Key.Status.LastHandledRotate = "v1" },
		want: advances(CauseRotate, "revision 2, 1h to 721h", "token-1")},
	{name: "rotate: the handled value", given: func(s *situation) { s.rotate("v1"); s.Key.Status.LastHandledRotate = "v1" }, want: atRest("480h")},
	{name: "rotate: an empty value asks for nothing", given: func(s *situation) { s.rotate("") }, want: atRest("480h")},
	{name: "rotate: taken away again", given: func(s *situation) { s.Key.Status.LastHandledRotate = "v1" }, want: atRest("480h")},
	{name: "rotate: both annotations handled", given: func(s *situation) {
		s.rotate("v1")
		s.rotateNow("v2")
		s.Key.Status.LastHandledRotate = "v1 now:v2"
	}, want: atRest("480h")},
	{name: "rotate: new beside a handled rotate-now", given: func(s *situation) {
		s.rotate("v3")
		s.rotateNow("v2")
		s.Key.Status.LastHandledRotate = "v1 now:v2"
	}, want: advances(CauseRotate, "revision 2, 1h to 721h", "token-1")},
	{name: "rotate: a value that looks like a handled rotate-now", given: func(s *situation) {
		s.rotate("now:v2")
		s.rotateNow("v2")
		s.Key.Status.LastHandledRotate = "now:v2"
	}, want: advances(CauseRotate, "revision 2, 1h to 721h", "token-1")},
	{name: "rotate: the value that rotate-now had", given: func(s *situation) { s.rotate("v1"); s.Key.Status.LastHandledRotate = "now:v1" },
		want: advances(CauseRotate, "revision 2, 1h to 721h", "token-1")},
	{name: "rotate: a long value", given: func(s *situation) { s.rotate(longValue) },
		want: advances(CauseRotate, "revision 2, 1h to 721h", "token-1")},
	{name: "rotate: a long value that is handled", given: func(s *situation) {
		s.rotate(longValue)
		s.Key.Status.LastHandledRotate = HandledRotate(s.Key)
	}, want: atRest("480h")},
	{name: "rotate: in mode Never", given: func(s *situation) { s.rotate("v1"); s.mode(v1alpha1.RotationNever) },
		want: advances(CauseRotate, "revision 2, 1h to 721h", "token-1")},
	{name: "rotate: an expired key in mode Never comes back", at: 721 * hour, given: func(s *situation) { s.rotate("v1"); s.mode(v1alpha1.RotationNever) },
		want: advances(CauseRotate, "revision 2, 721h to 1441h", "").unready()},
	{name: "rotate: together with a changed spec it is one rotation", given: func(s *situation) { s.rotate("v1"); s.Key.Spec.Audience = "https://other.example.com" },
		want: advances(CauseRotate, "revision 2, 1h to 721h", "token-1")},
}

var rotateNowCases = []decideCase{
	{name: "rotate-now: every earlier token is retired", from: twoSuperseded, given: func(s *situation) { s.rotateNow("v1") }, at: 3 * hour,
		want: advancesAtOnce(CauseRotateNow, "revision 4, 3h to 723h", "")},
	{name: "rotate-now: together with rotate", given: func(s *situation) { s.rotate("v1"); s.rotateNow("v1") },
		want: advancesAtOnce(CauseRotateNow, "revision 2, 1h to 721h", "")},
	{name: "rotate-now: the value that rotate had", given: func(s *situation) { s.rotateNow("v1"); s.Key.Status.LastHandledRotate = "v1" },
		want: advancesAtOnce(CauseRotateNow, "revision 2, 1h to 721h", "")},
	{name: "rotate-now: a long value that is handled", given: func(s *situation) {
		s.rotateNow(longValue)
		s.Key.Status.LastHandledRotate = HandledRotate(s.Key)
	}, want: atRest("480h")},
	{name: "rotate-now: with the Secret foreign the token is retired all the same", given: func(s *situation) {
		s.rotateNow("v1")
		s.Secret = Secret{State: SecretForeign, Name: "orders"}
	}, want: advancesAtOnce(CauseRotateNow, "revision 2, 1h to 721h", "").but(func(o *outcome) { o.Secret, o.Verdict = "", "stalled SecretConflict" })},
	{name: "rotate-now: with the Secret immutable the token is retired all the same", given: func(s *situation) {
		s.rotateNow("v1")
		s.Secret.Immutable = true
	}, want: advancesAtOnce(CauseRotateNow, "revision 2, 1h to 721h", "").but(func(o *outcome) { o.Secret, o.Verdict = "", "stalled SecretImmutable" })},
	{name: "rotate-now: with the Secret missing it is not Ready until it is there", given: func(s *situation) {
		s.rotateNow("v1")
		s.Secret = Secret{State: SecretMissing, Name: "orders"}
	}, want: advancesAtOnce(CauseRotateNow, "revision 2, 1h to 721h", "").but(func(o *outcome) { o.Verdict = "waiting Issuing" })},
	{name: "rotate-now: with an access token in the Secret", given: func(s *situation) { s.rotateNow("v1"); s.keepsAccess(80 * minute) },
		want: advancesAtOnce(CauseRotateNow, "revision 2, 1h to 721h", "").but(func(o *outcome) { o.Access = "renew" })},
}

func pending(next string) outcome {
	return outcome{Check: "next token is due", Verdict: "ready Issued, reconciling OverlapPending", Next: next}
}

var pendingCases = []decideCase{
	{name: "quick successive rotations: the second goes at once", at: 2 * hour, given: func(s *situation) { s.supersede(hour, 721*hour); s.rotate("v2") },
		want: advances(CauseRotate, "revision 3, 2h to 722h", "token-1 token-2")},
	{name: "quick successive rotations: the third waits", from: twoSuperseded, at: 3 * hour, given: func(s *situation) { s.rotate("v3") },
		want: pending("482h")},
	{name: "quick successive rotations: the third waits for overlap.max", from: twoSuperseded, at: 2*hour + minute, given: func(s *situation) { s.rotate("v3"); s.overlapMax(2 * hour) },
		want: pending("3h")},
	{name: "quick successive rotations: a changed spec waits as well", from: twoSuperseded, at: 3 * hour, given: func(s *situation) { s.Key.Spec.Scopes = []string{"orders:read"} },
		want: pending("482h")},
	{name: "quick successive rotations: the oldest retires", from: twoSuperseded, at: 3 * hour, given: func(s *situation) { s.rotate("v3"); s.overlapMax(2 * hour) },
		want: retires("token-2")},
	{name: "quick successive rotations: it goes on when the oldest is retired", from: twoSuperseded, at: 3 * hour, given: func(s *situation) {
		s.rotate("v3")
		s.overlapMax(2 * hour)
		s.Key.Status.Previous = s.Key.Status.Previous[1:]
	}, want: advances(CauseRotate, "revision 4, 3h to 723h", "token-2 token-3")},
	{name: "quick successive rotations: one that ended by itself does not count", from: twoSuperseded, at: 3 * hour, given: func(s *situation) {
		s.rotate("v3")
		s.Secret.TokenHash = hashOf("token-2")
		s.Key.Status.Previous[0].ExpiresAt = metav1.Time{Time: t0.Add(2 * hour)}
	}, want: advances(CauseRotate, "revision 4, 3h to 723h", "token-2 token-3").unready()},
	{name: "quick successive rotations: an enrolment waits for the oldest token's own end", from: twoSuperseded, at: 3 * hour, given: func(s *situation) {
		s.rotate("v3")
		s.mode(v1alpha1.RotationOneTimeUse)
	}, want: pending("720h")},
	{name: "quick successive rotations: not for rotate-now", from: twoSuperseded, at: 3 * hour, given: func(s *situation) { s.rotate("v3"); s.rotateNow("v3") },
		want: advancesAtOnce(CauseRotateNow, "revision 4, 3h to 723h", "")},
	{name: "quick successive rotations: not for a withdrawal", from: twoSuperseded, at: 3 * hour, given: func(s *situation) { s.Issuer.KnowsHeldKey = false },
		want: advancesAtOnce(CauseKeyWithdrawn, "revision 4, 3h to 723h", "").but(func(o *outcome) { o.Paced = true })},
	{name: "quick successive rotations: a lost Secret is restored while the third waits", from: twoSuperseded, at: 3 * hour, given: func(s *situation) {
		s.rotate("v3")
		s.Secret = Secret{State: SecretMissing, Name: "orders"}
	}, want: writesSecret("482h")},
	{name: "quick successive rotations: an access token is renewed while the third waits", from: twoSuperseded, at: 3 * hour, given: func(s *situation) {
		s.rotate("v3")
		s.keepsAccess(3*hour + 5*minute)
	}, want: writesSecret("482h").but(func(o *outcome) { o.Access = "renew" })},
}

var clockCases = []decideCase{
	{name: "clock set back: nothing rotates", at: -100 * hour, want: atRest("480h")},
	{name: "clock set back: nothing retires", from: twoSuperseded, at: -100 * hour, given: func(s *situation) { s.overlapMax(2 * hour) }, want: atRest("3h")},
	{name: "clock set back: nothing expires", at: -100 * hour, given: func(s *situation) { s.mode(v1alpha1.RotationNever) }, want: atRest("720h")},
	{name: "clock set back: the absolute end is still ahead", at: -100 * hour, given: func(s *situation) { s.end(720 * hour) }, want: atRest("720h")},
	{name: "clock set back: the access token stays", at: -100 * hour, given: func(s *situation) { s.keepsAccess(80 * minute) }, want: atRest("1h15m")},
	{name: "clock set back: a renamed Secret's predecessor stays", at: -100 * hour, given: func(s *situation) {
		s.Secret.Name = "orders-2"
		s.Others = []OtherSecret{{Name: "orders", TokenHash: hashOf("token-1")}}
	}, want: atRest("20m")},
	{name: "clock set back: an adoptable token is adopted", from: unissued, at: -100 * hour, given: func(s *situation) { s.found(0, 720*hour) },
		want: outcome{Check: "no token yet", Line: "adopt", Verdict: "ready Issued"}},
}
