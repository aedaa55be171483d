package lifecycle

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// used records a use.
func (s *situation) used(revision int64, at time.Duration) {
	s.Key.Status.LastUsed, s.Key.Status.LastUsedRevision = &metav1.Time{Time: t0.Add(at)}, revision
}

func (s *situation) supersededUsed(at time.Duration) {
	s.Key.Status.SupersededLastUsed = &metav1.Time{Time: t0.Add(at)}
}

// readySince sets when the key became ready.
func (s *situation) readySince(at time.Duration) {
	s.Key.Status.Conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonIssued, LastTransitionTime: metav1.Time{Time: t0.Add(at)},
	}}
}

// In twoSuperseded, revision 3 was created at 2h, and access tokens live for 15 minutes: quiet is 20 minutes.
var evidenceCases = []decideCase{
	{name: "overlap: the current token is unused, and nothing retires", from: twoSuperseded, at: 100 * hour,
		given: func(s *situation) { s.used(2, 50*hour); s.supersededUsed(50 * hour) }, want: atRest("482h")},
	{name: "overlap: the current token is used, and a superseded one was lately", from: twoSuperseded, at: 50*hour + 19*minute,
		given: func(s *situation) { s.used(3, 50*hour); s.supersededUsed(50 * hour) }, want: atRest("50h20m")},
	{name: "overlap: the current token is used, and the superseded ones are silent", from: twoSuperseded, at: 50*hour + 20*minute,
		given: func(s *situation) { s.used(3, 50*hour); s.supersededUsed(50 * hour) }, want: retires("")},
	{name: "overlap: the current token is used, and no superseded one ever was", from: twoSuperseded, at: 3 * hour,
		given: func(s *situation) { s.used(3, 3*hour) }, want: retires("")},
	{name: "overlap.quiet is longer", from: twoSuperseded, at: 73 * hour,
		given: func(s *situation) {
			s.used(3, 50*hour)
			s.supersededUsed(50 * hour)
			s.Key.Spec.Rotation.Overlap = &v1alpha1.OverlapSpec{Quiet: duration(24 * hour)}
		}, want: atRest("74h")},
	{name: "overlap: silent, but the current token is not in the Secret yet", from: twoSuperseded, at: 50*hour + 20*minute,
		given: func(s *situation) { s.used(3, 50*hour); s.Secret.TokenHash = hashOf("token-2") }, want: writesSecret("482h")},
}

var idleCases = []decideCase{
	{name: "idleTimeout: used lately", at: 100 * hour, given: func(s *situation) { s.idlesFor(10 * hour); s.used(1, 95*hour) }, want: atRest("105h2m")},
	{name: "idleTimeout: not used since, and the last use may not be recorded yet", at: 105*hour + minute,
		given: func(s *situation) { s.idlesFor(10 * hour); s.used(1, 95*hour) }, want: atRest("105h2m")},
	{name: "idleTimeout: over", at: 105*hour + 2*minute, given: func(s *situation) { s.idlesFor(10 * hour); s.used(1, 95*hour) }, want: idles()},
	{name: "idleTimeout: over, but the manager did not watch the reports of use", at: 200 * hour, given: func(s *situation) {
		s.idlesFor(10 * hour)
		s.used(1, 95*hour)
		s.WatchedSince = t0.Add(200*hour - minute)
	}, want: atRest("200h1m")},
	{name: "idleTimeout: over, and it was time for reports", at: 200 * hour, given: func(s *situation) {
		s.idlesFor(10 * hour)
		s.used(1, 95*hour)
		s.WatchedSince = t0.Add(200*hour - 2*minute)
	}, want: idles()},
	{name: "idleTimeout: over, and never used", at: 10*hour + 2*minute, given: func(s *situation) { s.idlesFor(10 * hour) }, want: idles()},
	{name: "idleTimeout: use of a superseded token is use", from: twoSuperseded, at: 100 * hour,
		given: func(s *situation) { s.idlesFor(10 * hour); s.supersededUsed(95 * hour) }, want: atRest("105h2m")},
	{name: "idleTimeout: reinstated lately", at: 100 * hour, given: func(s *situation) { s.idlesFor(10 * hour); s.readySince(95 * hour); s.used(1, hour) }, want: atRest("105h2m")},
	{name: "idleTimeout: the key could not be used while it was not ready", at: 100 * hour, given: func(s *situation) {
		s.idlesFor(10 * hour)
		s.Key.Status.Conditions = nil
	}, want: atRest("480h")},
	{name: "idleTimeout: over, and a rotation is asked for", at: 200 * hour, given: func(s *situation) { s.idlesFor(10 * hour); s.rotate("v1") },
		want: advances(CauseRotate, "revision 2, 200h to 920h", "token-1")},
}

func (s *situation) idlesFor(timeout time.Duration) {
	s.Key.Spec.IdleTimeout = duration(timeout)
	s.readySince(0)
}

func idles() outcome {
	return outcome{Check: "key is idle", Line: "revoke", Revocation: v1alpha1.RevokedIdleTimeout, Secret: "empty", Verdict: "stalled Revoked"}
}
