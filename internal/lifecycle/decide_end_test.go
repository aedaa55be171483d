package lifecycle

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

func revokes(reason v1alpha1.RevocationReason, secret string) outcome {
	return outcome{Check: "revocation is asked for", Line: "revoke", Revocation: reason, Secret: secret, Verdict: "stalled Revoked"}
}

func staysRevoked(check string) outcome { return outcome{Check: check, Verdict: "stalled Revoked"} }

var revokeCases = []decideCase{
	{name: "revoke: with a line", given: func(s *situation) { s.Key.Spec.Revoked = true }, says: "Requested: ",
		want: revokes(v1alpha1.RevokedRequested, "empty")},
	{name: "revoke: with superseded tokens", from: twoSuperseded, given: func(s *situation) { s.Key.Spec.Revoked = true },
		want: revokes(v1alpha1.RevokedRequested, "empty")},
	{name: "revoke: without a line", from: unissued, given: func(s *situation) { s.Key.Spec.Revoked = true },
		want: revokes(v1alpha1.RevokedRequested, "")},
	{name: "revoke: while the issuer is missing", given: func(s *situation) { s.Key.Spec.Revoked = true; s.lacksIssuer() },
		want: revokes(v1alpha1.RevokedRequested, "empty")},
	{name: "revoke: while the spec is invalid", given: func(s *situation) { s.Key.Spec.Revoked = true; s.mode("Often") },
		want: revokes(v1alpha1.RevokedRequested, "empty")},
	{name: "revoke: while the namespace is terminating", given: func(s *situation) { s.Key.Spec.Revoked = true; s.Namespace.Terminating = true },
		want: revokes(v1alpha1.RevokedRequested, "empty")},
	{name: "revoke: wins over both annotations", given: func(s *situation) { s.Key.Spec.Revoked = true; s.rotate("v1"); s.rotateNow("v1") },
		want: revokes(v1alpha1.RevokedRequested, "empty")},
	{name: "revoke: an access token goes too", given: func(s *situation) {
		s.Key.Spec.Revoked = true
		s.keepsAccess(80 * minute)
		s.Secret.TokenHash = ""
	}, want: revokes(v1alpha1.RevokedRequested, "empty")},
	{name: "revoke: a foreign Secret is not touched", given: func(s *situation) { s.Key.Spec.Revoked = true; s.Secret.State = SecretForeign },
		want: revokes(v1alpha1.RevokedRequested, "")},
	{name: "revoke: a left-over Secret is not touched", given: func(s *situation) { s.Key.Spec.Revoked = true; s.Secret.State = SecretLeftOver },
		want: revokes(v1alpha1.RevokedRequested, "").but(func(o *outcome) { o.Next = "" })},
	{name: "revoke: an immutable Secret cannot be emptied, and goes", given: func(s *situation) { s.Key.Spec.Revoked = true; s.Secret.Immutable = true },
		want: revokes(v1alpha1.RevokedRequested, "delete")},
	{name: "revoke: an immutable Secret that is foreign stays", given: func(s *situation) {
		s.Key.Spec.Revoked, s.Secret.State, s.Secret.Immutable = true, SecretForeign, true
	}, want: revokes(v1alpha1.RevokedRequested, "")},
	{name: "revoked: an immutable Secret without a token stays", given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Secret.Immutable = true
	}, want: staysRevoked("revocation is asked for")},
	{name: "revoke: Secrets under earlier names go", given: func(s *situation) {
		s.Key.Spec.Revoked = true
		s.Others = []OtherSecret{{Name: "orders-old", TokenHash: hashOf("token-1")}}
	}, want: revokes(v1alpha1.RevokedRequested, "empty").but(func(o *outcome) { o.Remove = "orders-old" })},
	{name: "revoked: at rest", given: func(s *situation) { s.revoke(v1alpha1.RevokedRequested) }, want: staysRevoked("revocation is asked for")},
	{name: "revoked: at rest without a line", from: unissued, given: func(s *situation) { s.revoke(v1alpha1.RevokedRequested) },
		want: staysRevoked("revocation is asked for")},
	{name: "revoked: a Secret that has lost its ownerReference gets it back", given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Secret.OwnerDiffers = true
	}, want: staysRevoked("revocation is asked for").but(func(o *outcome) { o.Secret = "own" })},
	{name: "revoked: a left-over Secret without ownerReference goes with the key again", given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Secret.State, s.Secret.OwnerDiffers = SecretLeftOver, true
	}, want: staysRevoked("revocation is asked for").but(func(o *outcome) { o.Secret = "own" })},
	{name: "revoked: an immutable Secret without ownerReference stays as it is", given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Secret.OwnerDiffers, s.Secret.Immutable = true, true
	}, want: staysRevoked("revocation is asked for")},
	{name: "revoked: a foreign Secret without ownerReference stays as it is", given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Secret.State, s.Secret.OwnerDiffers = SecretForeign, true
	}, want: staysRevoked("revocation is asked for")},
	{name: "revoked: a Secret that is missing is not made", given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Secret = Secret{State: SecretMissing, Name: "orders"}
	}, want: staysRevoked("revocation is asked for")},
	{name: "revoked: the Secret is emptied after a crash in between", given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Secret.TokenHash = hashOf("token-1")
	}, want: staysRevoked("revocation is asked for").but(func(o *outcome) { o.Secret = "empty" })},
	{name: "revoked: true overrides the reason", given: func(s *situation) {
		s.revoke(v1alpha1.RevokedLogout)
		s.Key.Spec.Revoked = true
	}, want: revokes(v1alpha1.RevokedRequested, "")},
}

// All reasons except Requested.
var otherReasons = []v1alpha1.RevocationReason{
	v1alpha1.RevokedLogout, v1alpha1.RevokedReuseDetected, v1alpha1.RevokedIdleTimeout, v1alpha1.RevokedKeyWithdrawn,
}

var revivalCases = append([]decideCase{
	{name: "un-revoke: the status first, and not Ready until the Secret holds the token", given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Key.Spec.Revoked = false
	}, want: advances(CauseReinstated, plain, "").but(func(o *outcome) { o.Verdict = "waiting Issuing" })},
	{name: "un-revoke: Ready once the Secret holds the token", given: func(s *situation) { s.current(2, hour, 721*hour); s.Secret.TokenHash = hashOf("token-2") },
		want: atRest("481h")},
	{name: "un-revoke: not Ready by a Secret write that was lost in a crash", given: func(s *situation) { s.current(2, hour, 721*hour); s.Secret.TokenHash = "" },
		want: writesSecret("481h")},
	{name: "un-revoke: no superseded token comes back", from: twoSuperseded, at: 3 * hour, given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Key.Spec.Revoked = false
	}, want: advances(CauseReinstated, "revision 4, 3h to 723h", "").but(func(o *outcome) { o.Verdict = "waiting Issuing" })},
	{name: "un-revoke: of a key never issued", from: unissued, given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Key.Spec.Revoked = false
	}, want: advances(CauseReinstated, "revision 2, 1h to 721h", "").but(func(o *outcome) { o.Check, o.Verdict = "no token yet", "waiting Issuing" })},
	{name: "un-revoke: without a Secret it is Ready at once", given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Key.Spec.Revoked, s.Key.Spec.Secret.Mode, s.Secret = false, v1alpha1.SecretNone, Secret{}
	}, want: advances(CauseReinstated, plain, "").but(func(o *outcome) { o.Secret = "" })},
	{name: "un-revoke: with the Secret foreign it stays revoked", given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Key.Spec.Revoked, s.Secret.State = false, SecretForeign
	}, want: outcome{Check: "secret cannot be written", Verdict: "stalled SecretConflict", Next: "1h0m30s"}},
	{name: "un-revoke: in mode OneTimeUse it enrols again", given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Key.Spec.Revoked = false
		s.mode(v1alpha1.RotationOneTimeUse)
	}, want: advances(CauseReinstated, plain, "").but(func(o *outcome) { o.Verdict = "waiting Issuing" })},
	{name: "un-revoke: of a key whose signing key was withdrawn meanwhile", given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Key.Spec.Revoked, s.Issuer.KnowsHeldKey = false, false
	}, want: advances(CauseReinstated, plain, "").but(func(o *outcome) { o.Verdict = "waiting Issuing" })},
}, otherReasonCases()...)

func otherReasonCases() (cases []decideCase) {
	for _, reason := range otherReasons {
		revoked := func(then func(*situation)) func(*situation) {
			return func(s *situation) {
				s.rotate("v1")
				s.Key.Status.LastHandledRotate = "v1"
				s.revoke(reason)
				then(s)
			}
		}
		cases = append(cases,
			decideCase{name: "revoked for " + string(reason) + ": stays revoked", given: revoked(func(*situation) {}), says: string(reason) + ": ",
				want: staysRevoked("key stays revoked")},
			decideCase{name: "revoked for " + string(reason) + ": what the token service left is retired", from: twoSuperseded,
				given: revoked(func(s *situation) { s.Secret.TokenHash = hashOf("token-3") }),
				want:  revokes(reason, "empty").but(func(o *outcome) { o.Check = "key stays revoked" })},
			decideCase{name: "revoked for " + string(reason) + ": comes back by rotate", given: revoked(func(s *situation) { s.rotate("v2") }),
				want: advances(CauseRotate, plain, "").but(func(o *outcome) { o.Verdict = "waiting Issuing" })},
			decideCase{name: "revoked for " + string(reason) + ": comes back by rotate-now", given: revoked(func(s *situation) { s.rotateNow("v2") }),
				want: advancesAtOnce(CauseRotateNow, plain, "").but(func(o *outcome) { o.Verdict = "waiting Issuing" })},
			decideCase{name: "revoked for " + string(reason) + ": no changed spec brings it back", given: revoked(func(s *situation) { s.Key.Spec.Audience = "https://other.example.com" }),
				want: staysRevoked("key stays revoked")},
			decideCase{name: "revoked for " + string(reason) + ": no time brings it back", at: 2000 * hour, given: revoked(func(*situation) {}),
				want: staysRevoked("key stays revoked")},
		)
	}
	return cases
}

func expired(check string) outcome {
	return outcome{Check: check, Verdict: "stalled Expired", Secret: "empty"}
}

const reachedItsEnd = "token reached its end"

var expiryCases = []decideCase{
	{name: "expiry in mode Never", at: 720 * hour, given: func(s *situation) { s.mode(v1alpha1.RotationNever) }, want: expired(reachedItsEnd)},
	{name: "expiry in mode Never: at rest", at: 721 * hour, given: func(s *situation) { s.mode(v1alpha1.RotationNever); s.Secret.TokenHash = "" },
		want: expired(reachedItsEnd).but(func(o *outcome) { o.Secret = "" })},
	{name: "expiry in mode Never: its signing key retires after it and brings nothing back", at: 3000 * hour, given: func(s *situation) {
		s.mode(v1alpha1.RotationNever)
		s.Issuer.KnowsHeldKey, s.Secret.TokenHash = false, ""
	}, want: expired(reachedItsEnd).but(func(o *outcome) { o.Secret = "" })},
	{name: "expiry in mode Never: an emptied Secret that is immutable needs no write", at: 721 * hour, given: func(s *situation) {
		s.mode(v1alpha1.RotationNever)
		s.Secret.TokenHash, s.Secret.Immutable = "", true
	}, want: expired(reachedItsEnd).but(func(o *outcome) { o.Secret = "" })},
	{name: "expiry in mode Never: an immutable Secret goes", at: 720 * hour, given: func(s *situation) {
		s.mode(v1alpha1.RotationNever)
		s.Secret.Immutable = true
	}, want: expired(reachedItsEnd).but(func(o *outcome) { o.Secret = "delete" })},
	{name: "expiry in mode Never: a foreign Secret is no concern of a dead token", at: 721 * hour, given: func(s *situation) {
		s.mode(v1alpha1.RotationNever)
		s.Secret = Secret{State: SecretForeign, Name: "orders", TokenHash: hashOf("x")}
	}, want: expired(reachedItsEnd).but(func(o *outcome) { o.Secret = "" })},
	{name: "expiry in mode Never: a longer lifetime brings it back", at: 721 * hour, given: func(s *situation) {
		s.mode(v1alpha1.RotationNever)
		s.Key.Spec.Lifetime, s.Secret.TokenHash = duration(1000*hour), ""
	}, want: advances(CauseSpecChanged, "revision 2, 721h to 1721h", "").but(func(o *outcome) { o.Detail, o.Verdict = "lifetime", "waiting Issuing" })},
	{name: "expiry in mode Scheduled is a new revision", at: 720 * hour, want: advances(CauseRenewalDue, "revision 2, 720h to 1440h", "").unready()},
	{name: "expiry while the issuer is missing: the Secret is emptied", at: 720 * hour, given: func(s *situation) { s.lacksIssuer() },
		want: outcome{Check: "issuer is missing", Verdict: "waiting IssuerNotFound", Secret: "empty"}},
	{name: "expiry while the policy does not grant: the Secret is emptied", at: 720 * hour, given: func(s *situation) { s.grant(v1alpha1.PolicyRule{Audiences: []string{"none"}}) },
		want: outcome{Check: "policy does not grant", Verdict: "stalled PolicyDenied", Secret: "empty"}},
}

// endsTheLine is the outcome for tokens that must end although no new one can be minted.
func endsTheLine(check string) outcome {
	return outcome{Check: check, Line: "revoke", Revocation: v1alpha1.RevokedRequested, Secret: "empty", Verdict: "stalled Expired"}
}

const endReached = "absolute end is reached"

var absoluteEndCases = []decideCase{
	{name: "expiresAt reached by a token that ends with it: no write of the line", at: 500 * hour, given: func(s *situation) { s.current(1, 0, 500*hour); s.end(500 * hour) },
		want: expired(endReached)},
	{name: "expiresAt reached: at rest", at: 500 * hour, given: func(s *situation) {
		s.current(1, 0, 500*hour)
		s.end(500 * hour)
		s.Secret.TokenHash = ""
	}, want: expired(endReached).but(func(o *outcome) { o.Secret = "" })},
	{name: "expiresAt moved before the token's end: it is a revocation", at: 500 * hour, given: func(s *situation) { s.end(500 * hour) },
		want: endsTheLine(endReached)},
	{name: "expiresAt moved before a superseded token's end: it is a revocation", from: twoSuperseded, at: 500 * hour, given: func(s *situation) {
		s.current(3, 2*hour, 500*hour)
		s.end(500 * hour)
	}, want: endsTheLine(endReached)},
	{name: "expiresAt moved: the end of the tokens of a distrusted line is unknown", at: 500 * hour, given: func(s *situation) {
		s.current(1, 0, 500*hour)
		s.end(500 * hour)
		s.Distrust, s.Held = "forged", nil
	}, want: endsTheLine(endReached)},
	{name: "expiresAt moved: seen under an invalid spec as well", at: 500 * hour, given: func(s *situation) { s.end(500 * hour); s.mode("Often") },
		want: endsTheLine("spec is invalid").but(func(o *outcome) { o.Verdict = "stalled InvalidSpec" })},
	{name: "expiresAt moved: at rest", at: 500 * hour, given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Key.Spec.Revoked = false
		s.end(500 * hour)
	}, want: expired(endReached).but(func(o *outcome) { o.Secret = "" })},
	{name: "expiresAt moved and lifted: no earlier token comes back", at: 501 * hour, given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Key.Spec.Revoked = false
	}, want: advances(CauseReinstated, "revision 2, 501h to 1221h", "").but(func(o *outcome) { o.Verdict = "waiting Issuing" })},
	{name: "expiresAt reached: nothing is issued", from: unissued, at: 500 * hour, given: func(s *situation) { s.end(500 * hour) },
		want: expired(endReached).but(func(o *outcome) { o.Secret = "" })},
	{name: "expiresAt reached: annotations bring nothing back", at: 500 * hour, given: func(s *situation) { s.current(1, 0, 500*hour); s.end(500 * hour); s.rotate("v1") },
		want: expired(endReached)},
	{name: "expiresAt caps the first token", from: unissued, given: func(s *situation) { s.end(500 * hour) }, want: issuesFirst("revision 1, 1h to 500h")},
	{name: "expiresAt caps a later token", at: 480 * hour, given: func(s *situation) { s.end(1000 * hour) },
		want: advances(CauseRenewalDue, "revision 2, 480h to 1000h", "token-1")},
	{name: "expiresAt: no renewal passes it", at: 499 * hour, given: func(s *situation) { s.current(1, 0, 500*hour); s.end(500 * hour) }, want: atRest("500h")},
	{name: "expiresAt with a part of a second: nothing rotates for it", at: 499 * hour, given: func(s *situation) {
		s.current(1, 0, 500*hour)
		s.end(500*hour + 500*time.Millisecond)
	}, want: atRest("500h")},
	{name: "expiresAt in another time zone", at: 499 * hour, given: func(s *situation) {
		s.current(1, 0, 500*hour)
		s.Key.Spec.ExpiresAt = &metav1.Time{Time: t0.Add(500 * hour).In(time.FixedZone("", 7200))}
	}, want: atRest("500h")},
	{name: "expiresAt extended: the token that it cut is followed by a longer one", given: func(s *situation) { s.current(1, 0, 500*hour); s.end(600 * hour) },
		want: advances(CauseSpecChanged, "revision 2, 1h to 600h", "token-1").but(func(o *outcome) { o.Detail = "lifetime" })},
	{name: "expiresAt taken away: the same", given: func(s *situation) { s.current(1, 0, 500*hour) },
		want: advances(CauseSpecChanged, plain, "token-1").but(func(o *outcome) { o.Detail = "lifetime" })},
	{name: "expiresAt extended after it was reached", at: 550 * hour, given: func(s *situation) {
		s.current(1, 0, 500*hour)
		s.end(600 * hour)
		s.Secret.TokenHash = ""
	}, want: advances(CauseSpecChanged, "revision 2, 550h to 600h", "").but(func(o *outcome) { o.Detail, o.Verdict = "lifetime", "waiting Issuing" })},
	{name: "expiresAt extended where it cut nothing", given: func(s *situation) { s.end(900 * hour) }, want: atRest("480h")},
	{name: "expiresAt in mode Never", at: 400 * hour, given: func(s *situation) {
		s.mode(v1alpha1.RotationNever)
		s.current(1, 0, 500*hour)
		s.end(500 * hour)
	}, want: atRest("500h")},
}

var oneTimeCases = []decideCase{
	{name: "OneTimeUse: no renewal by time", at: 719 * hour, given: func(s *situation) { s.mode(v1alpha1.RotationOneTimeUse) }, want: atRest("720h")},
	{name: "OneTimeUse: no rotation on a changed spec", given: func(s *situation) {
		s.mode(v1alpha1.RotationOneTimeUse)
		s.Key.Spec.Audience, s.Key.Spec.Lifetime = "https://other.example.com", duration(100*hour)
	}, want: atRest("720h")},
	{name: "OneTimeUse: it expires", at: 720 * hour, given: func(s *situation) { s.mode(v1alpha1.RotationOneTimeUse) }, want: expired(reachedItsEnd)},
	{name: "OneTimeUse: an expired line is not revoked when its signing key retires", at: 3000 * hour, given: func(s *situation) {
		s.mode(v1alpha1.RotationOneTimeUse)
		s.Issuer.KnowsHeldKey, s.Secret.TokenHash = false, ""
	}, want: expired(reachedItsEnd).but(func(o *outcome) { o.Secret = "" })},
	{name: "OneTimeUse: rotate enrols again", given: func(s *situation) { s.mode(v1alpha1.RotationOneTimeUse); s.rotate("v1") },
		want: advances(CauseRotate, plain, "token-1")},
	{name: "OneTimeUse: rotate forgets what was used, which would look as good as new", at: 2 * hour, given: func(s *situation) {
		s.rotate("v1")
		s.usedOnce(hour, 721*hour)
	}, want: advances(CauseRotate, "revision 3, 2h to 722h", "token-2").but(func(o *outcome) { o.Verdict = "waiting Issuing" })},
	{name: "OneTimeUse: overlap.max does not end the time for a lost answer", at: hour, given: func(s *situation) {
		s.Key.Spec.Secret.Mode = v1alpha1.SecretNone
		s.overlapMax(0)
		s.usedOnce(hour, 721*hour)
		s.Secret = Secret{}
	}, want: atRest("720h")},
	{name: "OneTimeUse: an emptied Secret that has lost its ownerReference gets it back", at: hour, given: func(s *situation) {
		s.usedOnce(hour, 721*hour)
		s.Secret.OwnerDiffers = true
	}, want: atRest("720h").but(func(o *outcome) { o.Secret = "own" })},
	{name: "OneTimeUse: a withdrawal revokes", given: func(s *situation) { s.mode(v1alpha1.RotationOneTimeUse); s.Issuer.KnowsHeldKey = false },
		want: revokes(v1alpha1.RevokedKeyWithdrawn, "empty").but(func(o *outcome) { o.Check = "tokens must end at once" })},
	{name: "OneTimeUse: after its first use the Secret is not filled again", given: func(s *situation) {
		s.mode(v1alpha1.RotationOneTimeUse)
		s.current(2, hour, 721*hour)
		s.Key.Status.LastUsed, s.Key.Status.LastUsedRevision = &metav1.Time{Time: t0.Add(hour)}, 1
		s.Secret.TokenHash = ""
	}, want: atRest("721h")},
	{name: "OneTimeUse: a new enrolment that was lost in a crash is written", given: func(s *situation) {
		s.mode(v1alpha1.RotationOneTimeUse)
		s.current(3, hour, 721*hour)
		s.Key.Status.LastUsed, s.Key.Status.LastUsedRevision = &metav1.Time{Time: t0.Add(hour)}, 1
		s.Secret.TokenHash = ""
	}, want: writesSecret("721h")},
}
