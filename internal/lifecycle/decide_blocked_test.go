package lifecycle

import (
	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// obstacles are all obstacles to a new token, with their conditions.
var obstacles = []struct {
	name, check, verdict string
	raise                func(*situation)
}{
	{"the spec is invalid", "spec is invalid", "stalled InvalidSpec", func(s *situation) { s.mode("Often") }},
	{"the absolute end is reached", endReached, "stalled Expired", func(s *situation) { s.end(hour) }},
	{"the issuer is missing", "issuer is missing", "waiting IssuerNotFound", func(s *situation) { s.lacksIssuer() }},
	{"the issuer is not ready", "issuer is not ready", "waiting IssuerNotReady", func(s *situation) { s.Issuer.Ready, s.Issuer.Policy = false, nil }},
	{"the policy denies", "policy does not grant", "stalled PolicyDenied", func(s *situation) { s.grant(v1alpha1.PolicyRule{Audiences: []string{"none"}}) }},
}

// blockedCases check that tokens end even if no new ones can be minted.
var blockedCases = append([]decideCase{
	{name: "rotate-now while the policy denies: taken back before the policy grants again, it is a new revision all the same", given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Key.Spec.Revoked = false
	}, want: advances(CauseReinstated, plain, "").but(func(o *outcome) { o.Verdict = "waiting Issuing" })},
	{name: "rotate-now while the policy denies: the next token comes as soon as it grants again", given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Key.Spec.Revoked = false
		s.rotateNow("leak")
	}, want: advancesAtOnce(CauseRotateNow, plain, "").but(func(o *outcome) { o.Verdict = "waiting Issuing" })},
	{name: "rotate-now while the policy denies: an unrecorded first token ends too", from: unissued, given: func(s *situation) {
		s.found(0, 720*hour)
		s.rotateNow("leak")
		s.grant(v1alpha1.PolicyRule{Audiences: []string{"none"}})
	}, want: endsTheLine("policy does not grant").but(func(o *outcome) { o.Verdict = "stalled PolicyDenied" })},
	{name: "rotate-now while the policy denies: of a key without a token nothing is revoked", from: unissued, given: func(s *situation) {
		s.rotateNow("leak")
		s.grant(v1alpha1.PolicyRule{Audiences: []string{"none"}})
	}, want: outcome{Check: "policy does not grant", Verdict: "stalled PolicyDenied"}},
	{name: "rotate-now while the policy denies: a revocation for another reason stays what it was", given: func(s *situation) {
		s.revoke(v1alpha1.RevokedLogout)
		s.rotateNow("leak")
		s.grant(v1alpha1.PolicyRule{Audiences: []string{"none"}})
	}, want: outcome{Check: "policy does not grant", Verdict: "stalled PolicyDenied"}},
	{name: "rotate-now while the policy denies: Secrets under earlier names go", from: renamed, given: func(s *situation) {
		s.rotateNow("leak")
		s.grant(v1alpha1.PolicyRule{Audiences: []string{"none"}})
	}, want: endsTheLine("policy does not grant").but(func(o *outcome) { o.Verdict, o.Remove = "stalled PolicyDenied", "orders" })},
	{name: "overlap end while the Secret is foreign: not seen, not retired", at: 4 * hour, given: func(s *situation) {
		s.overlapped()
		s.Secret = Secret{State: SecretForeign, Name: "orders"}
	}, want: conflict("4h0m30s")},
	{name: "overlap end while a Secret that is immutable blocks the next token", at: 4 * hour, given: func(s *situation) {
		s.overlapped()
		s.rotate("v1")
		s.Secret.Immutable = true
	}, want: immutable("4h0m30s").but(func(o *outcome) { o.Line = "retire" })},
	{name: "overlap end in mode Never, with the current token at its end", at: 4 * hour, given: func(s *situation) {
		s.mode(v1alpha1.RotationNever)
		s.overlapMax(2 * hour)
		s.Key.Spec.Lifetime = duration(hour)
		s.supersede(hour, 2*hour)
		s.Secret.TokenHash = ""
	}, want: expired(reachedItsEnd).but(func(o *outcome) { o.Line, o.Secret = "retire", "" })},
	{name: "overlap end in mode Never: a superseded token is taken out of the Secret first", at: 4 * hour, given: func(s *situation) {
		s.mode(v1alpha1.RotationNever)
		s.overlapMax(2 * hour)
		s.Key.Spec.Lifetime = duration(hour)
		s.supersede(hour, 2*hour)
		s.Secret.TokenHash = hashOf("token-1")
	}, want: expired(reachedItsEnd).but(func(o *outcome) { o.Next = "720h" })},
	{name: "overlap in mode Never, with the current token at its end: scheduled", at: 2 * hour, given: func(s *situation) {
		s.mode(v1alpha1.RotationNever)
		s.overlapMax(2 * hour)
		s.Key.Spec.Lifetime = duration(hour)
		s.supersede(hour, 2*hour)
		s.Secret.TokenHash = ""
	}, want: expired(reachedItsEnd).but(func(o *outcome) { o.Next, o.Secret = "3h", "" })},
	{name: "overlap end at a renewal after a long downtime: what is over is not carried on", at: 750 * hour, given: func(s *situation) {
		s.Key.Spec.Lifetime = duration(720 * hour)
		s.current(1, 0, 2000*hour)
		s.supersede(hour, 721*hour)
		s.overlapMax(100 * hour)
	}, want: advances(CauseRenewalDue, "revision 3, 750h to 1470h", "").unready()},
}, eachObstacle()...)

// overlapped returns a key with a superseded token that retires at 3h.
func (s *situation) overlapped() {
	s.supersede(hour, 721*hour)
	s.overlapMax(2 * hour)
}

func eachObstacle() (cases []decideCase) {
	for _, o := range obstacles {
		under := func(given func(*situation)) func(*situation) {
			return func(s *situation) {
				given(s)
				o.raise(s)
			}
		}
		cases = append(cases,
			decideCase{name: "rotate-now while " + o.name + ": the leaked token goes", given: under(func(s *situation) { s.rotateNow("leak") }),
				want: endsTheLine(o.check).but(func(w *outcome) { w.Verdict = o.verdict })},
			decideCase{name: "rotate-now while " + o.name + ": at rest", given: under(func(s *situation) {
				s.revoke(v1alpha1.RevokedRequested)
				s.Key.Spec.Revoked = false
				s.rotateNow("leak")
			}), want: outcome{Check: o.check, Verdict: o.verdict}},
		)
		if o.check == endReached {
			continue
		}
		cases = append(cases,
			decideCase{name: "overlap end while " + o.name, at: 4 * hour, given: under((*situation).overlapped),
				want: outcome{Check: o.check, Line: "retire", Verdict: o.verdict}},
			decideCase{name: "overlap while " + o.name + ": its end is looked for", at: 2 * hour, given: under((*situation).overlapped),
				want: outcome{Check: o.check, Verdict: o.verdict, Next: "3h"}},
			decideCase{name: "overlap end while " + o.name + ": not before the current token was seen", at: 4 * hour,
				given: under(func(s *situation) { s.overlapped(); s.Secret.TokenHash = hashOf("token-1") }),
				want:  outcome{Check: o.check, Verdict: o.verdict, Next: "720h"}},
		)
	}
	return cases
}

// refusedCases check that the successor of a refused current token does not wait for an overlap.
var refusedCases = []decideCase{
	{name: "a token that the policy no longer grants: the third rotation does not wait", from: twoSuperseded, at: 3 * hour, given: func(s *situation) {
		s.Held.Terms.Scope = "billing:all"
	}, want: advances(CauseSpecChanged, "revision 4, 3h to 723h", "token-1 token-2").unready().but(func(o *outcome) { o.Detail = "scopes" })},
	{name: "a token that is longer than the policy grants: the third rotation does not wait", from: twoSuperseded, at: 3 * hour, given: func(s *situation) {
		s.Key.Spec.Lifetime = duration(100 * hour)
		s.grant(v1alpha1.PolicyRule{MaxLifetime: duration(100 * hour)})
	}, want: advances(CauseSpecChanged, "revision 4, 3h to 103h", "token-1 token-2").unready().but(func(o *outcome) { o.Detail = "lifetime" })},
	{name: "a token that the policy no longer grants: where there is room it is kept, in case the policy grants it again", at: 3 * hour, given: func(s *situation) {
		s.Held.Terms.Scope = "billing:all"
	}, want: advances(CauseSpecChanged, "revision 2, 3h to 723h", "token-1").unready().but(func(o *outcome) { o.Detail = "scopes" })},
	{name: "a token of an earlier issuer: the third rotation waits", from: twoSuperseded, at: 3 * hour, given: func(s *situation) {
		s.Held.Terms.Issuer = "https://earlier.example.com"
	}, want: pending("482h")},
	{name: "a token of a deleted earlier issuer: the third rotation does not wait", from: twoSuperseded, at: 3 * hour, given: func(s *situation) {
		s.Held.Terms.Issuer, s.Held.KeyGone = "https://earlier.example.com", true
	}, want: advances(CauseSpecChanged, "revision 4, 3h to 723h", "token-1 token-2").unready().but(func(o *outcome) { o.Detail = "issuer" })},
}

// lost sets a token of an earlier issuer that no longer exists, and an empty Secret.
func lost(s *situation) {
	s.Held.Terms.Issuer, s.Held.KeyGone = "https://earlier.example.com", true
	s.Secret = Secret{State: SecretMissing, Name: "orders"}
}

func replacesLost(mint, previous string) outcome {
	return advances(CauseTokenLost, mint, previous).but(func(o *outcome) { o.Verdict = "waiting Issuing" })
}

var lostCases = []decideCase{
	{name: "a token that cannot be made again is followed, and not carried", given: lost, want: replacesLost(plain, "")},
	{name: "a token that cannot be made again: superseded ones stay", from: twoSuperseded, at: 3 * hour, given: lost,
		want: replacesLost("revision 4, 3h to 723h", "token-1 token-2")},
	{name: "a token that cannot be made again: an enrolment as well", given: func(s *situation) { lost(s); s.mode(v1alpha1.RotationOneTimeUse) },
		want: replacesLost(plain, "")},
	{name: "a token that cannot be made again: not after the enrolment was used", given: func(s *situation) {
		lost(s)
		s.mode(v1alpha1.RotationOneTimeUse)
		s.Key.Status.LastUsed, s.Key.Status.LastUsedRevision = s.Key.Status.CreatedAt, 1
	}, want: atRest("720h")},
	{name: "a token that cannot be made again: a dead one is not missed", at: 720 * hour, given: func(s *situation) { lost(s); s.mode(v1alpha1.RotationOneTimeUse) },
		want: expired(reachedItsEnd).but(func(o *outcome) { o.Secret = "" })},
	{name: "a token that cannot be made again: not while the issuer is not ready", given: func(s *situation) { lost(s); s.Issuer.Ready = false },
		want: outcome{Check: "issuer is not ready", Verdict: "waiting IssuerNotReady", Next: "720h"}},
	{name: "a token whose signing key was removed: in the Secret it is not lost", given: func(s *situation) {
		s.mode(v1alpha1.RotationOneTimeUse)
		s.Held.Terms.Issuer, s.Held.KeyGone = "https://earlier.example.com", true
	}, want: atRest("720h")},
	{name: "a token of an earlier issuer that has its key: made again", given: func(s *situation) {
		lost(s)
		s.mode(v1alpha1.RotationOneTimeUse)
		s.Held.KeyGone = false
	}, want: writesSecret("720h")},
}
