package lifecycle

import (
	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// fromEarlier makes the Secret one that an earlier version of the operator wrote, with fewer entries.
func (s *situation) fromEarlier() { s.Secret.AsWanted, s.Secret.LacksEntries = false, true }

func paced(o *outcome) { o.Paced = true }

// earlierFormCases are the Secrets that an upgrade finds: each is written once, in its turn, and no token changes.
var earlierFormCases = []decideCase{
	{name: "Secret of an earlier version: gets the entries in its turn", given: func(s *situation) { s.fromEarlier() }, want: writesSecret("480h").but(paced)},
	{name: "Secret of an earlier version: keeps its access token", given: func(s *situation) { s.fromEarlier(); s.keepsAccess(80 * minute) },
		want: writesSecret("1h15m").but(func(o *outcome) { o.Paced, o.Access = true, "keep" })},
	{name: "Secret of an earlier version: an access token that is due does not wait", at: 75 * minute, given: func(s *situation) { s.fromEarlier(); s.keepsAccess(80 * minute) },
		want: writesSecret("480h").but(func(o *outcome) { o.Access = "renew" })},
	{name: "Secret of an earlier version: with another token it does not wait", given: func(s *situation) { s.fromEarlier(); s.Secret.TokenHash = hashOf("forged") },
		want: writesSecret("480h")},
	{name: "Secret of an earlier version: a lost token does not wait", given: func(s *situation) { s.fromEarlier(); s.Secret.TokenHash = "" }, want: writesSecret("480h")},
	{name: "Secret of an earlier version: a rotation does not wait", at: 480 * hour, given: func(s *situation) { s.fromEarlier() },
		want: advances(CauseRenewalDue, "revision 2, 480h to 1200h", "token-1")},
	{name: "Secret of an earlier version: rotate-now does not wait", at: hour, given: func(s *situation) { s.fromEarlier(); s.rotateNow("v1") },
		want: advancesAtOnce(CauseRotateNow, plain, "")},
	{name: "Secret of an earlier version: a revocation does not wait", given: func(s *situation) { s.fromEarlier(); s.Key.Spec.Revoked = true },
		want: outcome{Check: "revocation is asked for", Line: "revoke", Revocation: v1alpha1.RevokedRequested, Secret: "empty", Verdict: "stalled Revoked"}},
	{name: "Secret of an earlier version: an empty one of a revoked key stays", at: 2 * hour, given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.fromEarlier()
	}, want: staysRevoked("revocation is asked for")},
	{name: "Secret of an earlier version: an empty one after the first use stays", at: 2 * hour, given: func(s *situation) {
		s.usedOnce(hour, 721*hour)
		s.fromEarlier()
	}, want: atRest("720h")},
}
