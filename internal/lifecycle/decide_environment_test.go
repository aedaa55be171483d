package lifecycle

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

var issuerCases = []decideCase{
	{name: "issuer missing", given: func(s *situation) { s.lacksIssuer() }, says: `JWTIssuer "default" does not exist`,
		want: outcome{Check: "issuer is missing", Verdict: "waiting IssuerNotFound", Next: "720h"}},
	{name: "issuer missing: nothing is issued", from: unissued, given: func(s *situation) { s.lacksIssuer() },
		want: outcome{Check: "issuer is missing", Verdict: "waiting IssuerNotFound"}},
	{name: "issuer missing: a lost Secret waits, and so does a rotation", given: func(s *situation) {
		s.lacksIssuer()
		s.Secret = Secret{State: SecretMissing, Name: "orders"}
		s.rotate("v1")
	}, want: outcome{Check: "issuer is missing", Verdict: "waiting IssuerNotFound", Next: "720h"}},
	{name: "issuer not ready", given: func(s *situation) {
		s.Issuer.Ready, s.Issuer.Message, s.Issuer.Policy = false, "no signing key is active yet.", nil
	},
		says: `JWTIssuer "default" is not ready: no signing key is active yet.`,
		want: outcome{Check: "issuer is not ready", Verdict: "waiting IssuerNotReady", Next: "720h"}},
	{name: "issuer not granting: the message names the rule and what it lacks", from: unissued, given: func(s *situation) {
		s.grant(
			v1alpha1.PolicyRule{Audiences: []string{"https://none"}, Namespaces: &v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"team": "bank"}}},
			v1alpha1.PolicyRule{Audiences: []string{"https://billing.example.com"}})
	}, says: `rule 2 comes closest and lacks: audience "https://orders.example.com"`,
		want: outcome{Check: "policy does not grant", Verdict: "stalled PolicyDenied"}},
	{name: "issuer not granting: a subject that is never granted", from: unissued, given: func(s *situation) { s.Key.Spec.Subject = "refreshkey:shop:other" },
		says: "is never granted", want: outcome{Check: "policy does not grant", Verdict: "stalled PolicyDenied"}},
	{name: "policy tightened later: the line and the Secret stay", given: func(s *situation) { s.grant(v1alpha1.PolicyRule{MaxLifetime: duration(100 * hour)}) },
		says: "lifetime 720h0m0s (at most 100h0m0s)", want: outcome{Check: "policy does not grant", Verdict: "stalled PolicyDenied", Next: "720h"}},
	{name: "policy tightened later: nothing rotates", at: 500 * hour, given: func(s *situation) {
		s.grant(v1alpha1.PolicyRule{MaxLifetime: duration(100 * hour)})
		s.rotate("v1")
		s.Key.Spec.Scopes = []string{"orders:read"}
	}, want: outcome{Check: "policy does not grant", Verdict: "stalled PolicyDenied", Next: "720h"}},
	{name: "policy tightened later: a token signed by a withdrawn key is not replaced", given: func(s *situation) {
		s.grant(v1alpha1.PolicyRule{MaxLifetime: duration(100 * hour)})
		s.Issuer.KnowsHeldKey = false
	}, want: outcome{Check: "policy does not grant", Verdict: "stalled PolicyDenied", Next: "720h"}},
	{name: "policy loosened again: the key is back without a new revision", given: func(s *situation) { s.grant(v1alpha1.PolicyRule{}) }, want: atRest("480h")},
	{name: "policy: the labels of the namespace are taken away", given: func(s *situation) {
		s.grant(v1alpha1.PolicyRule{Namespaces: &v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"team": "shop"}}})
		s.Namespace.Labels = nil
	}, says: "rule 1 comes closest and lacks: the namespace's labels",
		want: outcome{Check: "policy does not grant", Verdict: "stalled PolicyDenied", Next: "720h"}},
}

var withdrawalCases = []decideCase{
	{name: "signing key withdrawn: paced, and the current token is not carried", given: func(s *situation) { s.Issuer.KnowsHeldKey = false },
		want: advancesAtOnce(CauseKeyWithdrawn, plain, "").but(func(o *outcome) { o.Paced = true })},
	{name: "signing key withdrawn: every earlier token goes, whichever key signed it", at: 2 * hour, given: func(s *situation) { s.supersede(hour, 721*hour); s.Issuer.KnowsHeldKey = false },
		want: advancesAtOnce(CauseKeyWithdrawn, "revision 3, 2h to 722h", "").but(func(o *outcome) { o.Paced = true })},
	{name: "signing key withdrawn: with the Secret foreign", given: func(s *situation) {
		s.Issuer.KnowsHeldKey = false
		s.Secret = Secret{State: SecretForeign, Name: "orders"}
	}, want: advancesAtOnce(CauseKeyWithdrawn, plain, "").but(func(o *outcome) {
		o.Paced, o.Secret, o.Verdict = true, "", "stalled SecretConflict"
	})},
	{name: "signing key withdrawn: with the Secret immutable", given: func(s *situation) { s.Issuer.KnowsHeldKey = false; s.Secret.Immutable = true },
		want: advancesAtOnce(CauseKeyWithdrawn, plain, "").but(func(o *outcome) {
			o.Paced, o.Secret, o.Verdict = true, "", "stalled SecretImmutable"
		})},
	{name: "signing key withdrawn: in mode Never", given: func(s *situation) { s.Issuer.KnowsHeldKey = false; s.mode(v1alpha1.RotationNever) },
		want: advancesAtOnce(CauseKeyWithdrawn, plain, "").but(func(o *outcome) { o.Paced = true })},
	{name: "signing key withdrawn: of a revoked key nothing is made", given: func(s *situation) { s.revoke(v1alpha1.RevokedRequested); s.Issuer.KnowsHeldKey = false },
		want: staysRevoked("revocation is asked for")},
}

func conflict(next string) outcome {
	return outcome{Check: "secret cannot be written", Verdict: "stalled SecretConflict", Next: next}
}

var secretCases = []decideCase{
	{name: "Secret missing", given: func(s *situation) { s.Secret = Secret{State: SecretMissing, Name: "orders"} }, want: writesSecret("480h")},
	{name: "Secret edited: another token", given: func(s *situation) { s.Secret.TokenHash = hashOf("forged") }, want: writesSecret("480h")},
	{name: "Secret edited: the token taken out", given: func(s *situation) { s.Secret.TokenHash = "" }, want: writesSecret("480h")},
	{name: "Secret edited: other data", given: func(s *situation) { s.Secret.AsWanted = false }, want: writesSecret("480h")},
	{name: "Secret without the operator's label stays its own, and gets it back", given: func(s *situation) { s.Secret.AsWanted = false; s.Secret.CreatedAt = t0.Add(-hour) },
		want: writesSecret("480h")},
	{name: "Secret holds a superseded token: it follows the line", at: 2 * hour, given: func(s *situation) { s.supersede(hour, 721*hour); s.Secret.TokenHash = hashOf("token-1") },
		want: writesSecret("481h")},
	{name: "Secret foreign", given: func(s *situation) { s.Secret = Secret{State: SecretForeign, Name: "orders"} }, says: `Secret "orders" exists and does not belong to this key`,
		want: conflict("1h0m30s")},
	{name: "Secret foreign: at the first issue", from: unissued, given: func(s *situation) { s.Secret.State = SecretForeign }, want: conflict("1h0m30s")},
	{name: "Secret foreign: a rotation waits", at: 480 * hour, given: func(s *situation) { s.Secret = Secret{State: SecretForeign, Name: "orders"}; s.rotate("v1") },
		want: conflict("480h0m30s")},
	{name: "Secret foreign: it holds our very token and stays untouched", given: func(s *situation) { s.Secret.State = SecretForeign }, want: conflict("1h0m30s")},
	{name: "Secret no longer wanted: mode None takes it away", given: func(s *situation) {
		s.Key.Spec.Secret.Mode, s.Secret = v1alpha1.SecretNone, Secret{}
		s.Others = []OtherSecret{{Name: "orders", TokenHash: hashOf("token-1")}}
	}, want: atRest("480h").but(func(o *outcome) { o.Remove = "orders" })},
}

// renamed returns a key with a Secret under a new name and one under the old name.
func renamed() *situation {
	s := settled()
	s.Secret.Name, s.Secret.CreatedAt = "orders-2", t0.Add(hour)
	s.Others = []OtherSecret{{Name: "orders", TokenHash: hashOf("token-1")}}
	return s
}

var renameCases = []decideCase{
	{name: "Secret renamed: the new one first", from: renamed, given: func(s *situation) { s.Secret = Secret{State: SecretMissing, Name: "orders-2"} },
		want: writesSecret("480h")},
	{name: "Secret renamed: the old one stays for overlap.quiet", from: renamed, at: hour + 19*minute, want: atRest("1h20m")},
	{name: "Secret renamed: the old one goes after overlap.quiet", from: renamed, at: hour + 20*minute,
		want: atRest("480h").but(func(o *outcome) { o.Remove = "orders" })},
	{name: "Secret renamed: overlap.quiet as spec says", from: renamed, at: hour + 20*minute, given: func(s *situation) {
		s.Key.Spec.Rotation.Overlap = &v1alpha1.OverlapSpec{Quiet: duration(2 * hour)}
	}, want: atRest("3h")},
	{name: "Secret renamed: overlap.quiet is never less than an access token's life and 5m", from: renamed, at: hour + 19*minute, given: func(s *situation) {
		s.Key.Spec.Rotation.Overlap = &v1alpha1.OverlapSpec{Quiet: duration(0)}
	}, want: atRest("1h20m")},
	{name: "Secret renamed: the old one goes at once if its token is dead", from: renamed, given: func(s *situation) { s.Others[0].TokenHash = hashOf("dead") },
		want: atRest("1h20m").but(func(o *outcome) { o.Remove = "orders" })},
	{name: "Secret renamed: the old one goes at once if it holds no token", from: renamed, given: func(s *situation) { s.Others[0].TokenHash = "" },
		want: atRest("1h20m").but(func(o *outcome) { o.Remove = "orders" })},
	{name: "Secret renamed: before the first issue, an empty old one goes at once too", from: unissued, given: func(s *situation) {
		s.Others = []OtherSecret{{Name: "orders-old"}}
		s.grant(v1alpha1.PolicyRule{Audiences: []string{"none"}})
	}, want: outcome{Check: "policy does not grant", Verdict: "stalled PolicyDenied", Remove: "orders-old"}},
	{name: "Secret renamed: before the first issue, an old one with a token stays", from: unissued, given: func(s *situation) {
		s.Others = []OtherSecret{{Name: "orders-old", TokenHash: hashOf("token-1")}}
		s.grant(v1alpha1.PolicyRule{Audiences: []string{"none"}})
	}, want: outcome{Check: "policy does not grant", Verdict: "stalled PolicyDenied"}},
	{name: "Secret renamed: the old one stays while its token is superseded", from: renamed, at: hour + minute, given: func(s *situation) { s.supersede(hour, 721*hour) },
		want: atRest("1h20m")},
	{name: "Secret renamed: the old one stays until the new one exists, however long", from: renamed, at: 400 * hour, given: func(s *situation) {
		s.Secret.TokenHash = ""
	}, want: writesSecret("480h")},
	{name: "Secret renamed: to a name that is taken", from: renamed, given: func(s *situation) { s.Secret = Secret{State: SecretForeign, Name: "orders-2"} },
		want: conflict("1h0m30s")},
	{name: "Secret renamed: rotate-now takes the old one along", from: renamed, at: hour + minute, given: func(s *situation) { s.rotateNow("v1") },
		want: advancesAtOnce(CauseRotateNow, "revision 2, 1h1m to 721h1m", "").but(func(o *outcome) { o.Remove = "orders" })},
	{name: "Secret renamed: a rotation in between does not take it along", from: renamed, at: hour + minute, given: func(s *situation) { s.rotate("v1") },
		want: advances(CauseRotate, "revision 2, 1h1m to 721h1m", "token-1")},
	{name: "Secret renamed: while the issuer is missing the old one stays for overlap.quiet", from: renamed, at: hour + minute, given: func(s *situation) { s.lacksIssuer() },
		want: outcome{Check: "issuer is missing", Verdict: "waiting IssuerNotFound", Next: "1h20m"}},
	{name: "Secret renamed: the old one holds a superseded token that outlives the current one", from: renamed, at: 101 * hour, given: func(s *situation) {
		s.Key.Spec.Lifetime = duration(100 * hour)
		s.supersede(hour, 101*hour)
		s.mode(v1alpha1.RotationNever)
		s.Secret = Secret{State: SecretMissing, Name: "orders-2"}
	}, want: expired(reachedItsEnd).but(func(o *outcome) { o.Secret, o.Next = "", "720h" })},
}

var leftOverCases = []decideCase{
	{name: "Secret left over with a dead UID is waited for", from: unissued, at: 10 * time.Second, given: func(s *situation) { s.Secret.State = SecretLeftOver },
		want: outcome{Check: "secret cannot be written", Verdict: "waiting WaitingForSecret", Next: "30s"}},
	{name: "Secret left over with a dead UID is taken over after that", from: unissued, at: 30 * time.Second, given: func(s *situation) { s.Secret.State = SecretLeftOver },
		want: issuesFirst("revision 1, 30s to 720h0m30s")},
	{name: "Secret left over under the name that an issued key now wants", given: func(s *situation) { s.Secret.State, s.Secret.TokenHash = SecretLeftOver, hashOf("dead") },
		want: writesSecret("480h")},
	{name: "Secret left over and immutable cannot be taken over", from: unissued, at: minute, given: func(s *situation) { s.Secret.State, s.Secret.Immutable = SecretLeftOver, true },
		want: immutable("1m30s")},
	{name: "Secret left over and immutable is waited for as any other", from: unissued, at: 10 * time.Second, given: func(s *situation) { s.Secret.State, s.Secret.Immutable = SecretLeftOver, true },
		want: outcome{Check: "secret cannot be written", Verdict: "waiting WaitingForSecret", Next: "30s"}},
	{name: "Secret left over with an access token of the dead key", given: func(s *situation) {
		s.Secret.State, s.Secret.TokenHash = SecretLeftOver, hashOf("dead")
		s.keepsAccess(80 * minute)
	}, want: writesSecret("1h15m").but(func(o *outcome) { o.Access = "renew" })},
}

func immutable(next string) outcome {
	return outcome{Check: "secret cannot be written", Verdict: "stalled SecretImmutable", Next: next}
}

var immutableCases = []decideCase{
	{name: "Secret immutable: labels that differ are written, since its data stays", given: func(s *situation) {
		s.Secret.Immutable, s.Secret.AsWanted, s.Secret.DataAsWanted = true, false, true
	}, want: writesSecret("480h")},
	{name: "Secret immutable: labels that differ do not let a renewal through", at: 480 * hour, given: func(s *situation) {
		s.Secret.Immutable, s.Secret.AsWanted, s.Secret.DataAsWanted = true, false, true
	}, want: immutable("480h0m30s")},
	{name: "Secret immutable: at rest it is fine", given: func(s *situation) { s.Secret.Immutable = true }, want: atRest("480h")},
	{name: "Secret immutable: a renewal stalls", at: 480 * hour, given: func(s *situation) { s.Secret.Immutable = true }, want: immutable("480h0m30s")},
	{name: "Secret immutable: a rotation stalls", given: func(s *situation) { s.Secret.Immutable = true; s.rotate("v1") }, want: immutable("1h0m30s")},
	{name: "Secret immutable: an edit stalls", given: func(s *situation) { s.Secret.Immutable, s.Secret.AsWanted = true, false }, want: immutable("1h0m30s")},
	{name: "Secret immutable: a due access token stalls", given: func(s *situation) { s.Secret.Immutable = true; s.keepsAccess(hour) }, want: immutable("1h0m30s")},
	{name: "Secret immutable: the first issue stalls", from: unissued, given: func(s *situation) { s.Secret.State, s.Secret.Immutable = SecretOwn, true }, want: immutable("1h0m30s")},
	{name: "Secret immutable: a superseded token retires all the same", at: 3 * hour, given: func(s *situation) {
		s.supersede(hour, 721*hour)
		s.overlapMax(2 * hour)
		s.Secret.Immutable = true
	}, want: retires("")},
}

var accessCases = []decideCase{
	{name: "access token in the Secret: not due", given: func(s *situation) { s.keepsAccess(80 * minute) }, want: atRest("1h15m")},
	{name: "access token in the Secret: due when two thirds are over", at: 75 * minute, given: func(s *situation) { s.keepsAccess(80 * minute) },
		want: writesSecret("480h").but(func(o *outcome) { o.Access = "renew" })},
	{name: "access token in the Secret: edited", given: func(s *situation) { s.keepsAccess(80 * minute); s.Secret.AccessExpiresAt = time.Time{} },
		want: writesSecret("480h").but(func(o *outcome) { o.Access = "renew" })},
	{name: "access token in the Secret: issued before the line was ended", from: lineEnded, at: 3 * hour, given: func(s *situation) {
		s.keepsAccess(200 * minute)
		s.Secret.AccessRevision = 2
	}, want: writesSecret("3h15m").but(func(o *outcome) { o.Access = "renew" })},
	{name: "access token in the Secret: of an earlier release, and the line was ended", from: lineEnded, at: 3 * hour, given: func(s *situation) {
		s.keepsAccess(200 * minute)
	}, want: writesSecret("3h15m").but(func(o *outcome) { o.Access = "renew" })},
	{name: "access token in the Secret: issued since the line was ended", from: lineEnded, at: 3 * hour, given: func(s *situation) {
		s.keepsAccess(200 * minute)
		s.Secret.AccessRevision = 3
	}, want: atRest("3h15m")},
	{name: "access token in the Secret: issued before the line was ended, and none can follow", from: lineEnded, at: 3 * hour, given: func(s *situation) {
		s.keepsAccess(200 * minute)
		s.Secret.AccessRevision, s.Issuer.AccessPending = 2, true
	}, want: writesSecret("3h20m")},
	{name: "access token in the Secret: newly wanted", given: func(s *situation) { s.Key.Spec.Secret.AccessToken = true },
		want: writesSecret("480h").but(func(o *outcome) { o.Access = "renew" })},
	{name: "access token in the Secret: made beside an earlier refresh token", given: func(s *situation) {
		s.keepsAccess(80 * minute)
		s.Secret.TokenHash = hashOf("earlier")
	}, want: writesSecret("1h15m").but(func(o *outcome) { o.Access = "renew" })},
	{name: "access token in the Secret: no longer wanted", given: func(s *situation) { s.keepsAccess(80 * minute); s.Key.Spec.Secret.AccessToken = false },
		want: writesSecret("480h")},
	{name: "access token in the Secret: the Secret is edited otherwise", given: func(s *situation) { s.keepsAccess(80 * minute); s.Secret.AsWanted = false },
		want: writesSecret("1h15m").but(func(o *outcome) { o.Access = "keep" })},
	{name: "access token in the Secret: two thirds that are not whole seconds", given: func(s *situation) {
		s.Key.Spec.AccessToken = &v1alpha1.KeyAccessTokenSpec{Lifetime: duration(500 * time.Second)}
		s.keepsAccess(2 * hour)
	}, want: atRest("1h57m13s")},
	{name: "access token in the Secret: it ends with the refresh token, and no later one can be made", at: 719*hour + 58*minute, given: func(s *situation) {
		s.mode(v1alpha1.RotationNever)
		s.keepsAccess(720 * hour)
	}, want: atRest("720h")},
	{name: "access token in the Secret: not while the policy does not grant", given: func(s *situation) {
		s.keepsAccess(hour)
		s.grant(v1alpha1.PolicyRule{Audiences: []string{"none"}})
	}, want: outcome{Check: "policy does not grant", Verdict: "stalled PolicyDenied", Next: "720h"}},
}

// pendingAccess returns a key with an access token in its Secret, and an access ring without a key.
func pendingAccess() *situation {
	s := settled()
	s.keepsAccess(80 * minute)
	s.Issuer.AccessPending = true
	return s
}

var accessPendingCases = []decideCase{
	{name: "no access key: a good access token stays to its end", from: pendingAccess, at: 76 * minute, want: atRest("1h20m")},
	{name: "no access key: an access token that ended goes", from: pendingAccess, at: 80 * minute, want: writesSecret("480h")},
	{name: "no access key: an access token of the withdrawn key goes at once", from: pendingAccess,
		given: func(s *situation) { s.Secret.AccessWithdrawn = true }, want: writesSecret("1h20m").but(func(o *outcome) { o.Paced = true })},
	{name: "no access key: one that was edited goes", from: pendingAccess, given: func(s *situation) { s.Secret.AccessExpiresAt = time.Time{} }, want: writesSecret("480h")},
	{name: "no access key: without one it is at rest", from: pendingAccess,
		given: func(s *situation) { s.Secret.HoldsAccess, s.Secret.AccessExpiresAt = false, time.Time{} },
		want:  atRest("480h").but(func(o *outcome) { o.Verdict = "ready Issued, reconciling KeyPending" })},
	{name: "no access key: another edit leaves a good one", from: pendingAccess, given: func(s *situation) { s.Secret.AsWanted = false },
		want: writesSecret("1h20m").but(func(o *outcome) { o.Access = "keep" })},
	{name: "no access key: a rotation carries no access token over", from: pendingAccess, given: func(s *situation) { s.rotateNow("v1") },
		want: advancesAtOnce(CauseRotateNow, plain, "")},
	{name: "no access key: the first issue goes without", from: unissued, given: func(s *situation) {
		s.Key.Spec.Secret.AccessToken, s.Issuer.AccessPending = true, true
	}, want: issuesFirst("revision 1, 1h to 721h").but(func(o *outcome) { o.Verdict = "ready Issued, reconciling KeyPending" })},
	{name: "no access key: an access token of a dead key is not carried over", from: pendingAccess, given: func(s *situation) {
		s.Secret.State, s.Secret.TokenHash = SecretLeftOver, hashOf("dead")
	}, want: writesSecret("1h20m")},
	{name: "an access key again: what the Secret lacks is made", from: pendingAccess, given: func(s *situation) {
		s.Secret.HoldsAccess, s.Secret.AccessExpiresAt, s.Issuer.AccessPending = false, time.Time{}, false
	}, want: writesSecret("480h").but(func(o *outcome) { o.Access = "renew" })},
}

var distrustCases = []decideCase{
	{name: "forged status content: a new token, and no earlier one is trusted", from: twoSuperseded, at: 3 * hour, given: func(s *situation) {
		s.Distrust, s.Held = "status.content is not that of this key's current token", nil
	}, want: advancesAtOnce(CauseDistrusted, "revision 4, 3h to 723h", "")},
	{name: "forged status content: with an immutable Secret", given: func(s *situation) { s.Distrust, s.Held, s.Secret.Immutable = "forged", nil, true },
		want: advancesAtOnce(CauseDistrusted, plain, "").but(func(o *outcome) { o.Secret, o.Verdict = "", "stalled SecretImmutable" })},
	{name: "forged status content: of a revoked key nothing is made", given: func(s *situation) {
		s.revoke(v1alpha1.RevokedLogout)
		s.Distrust, s.Held = "forged", nil
	}, want: staysRevoked("key stays revoked")},
	{name: "incomplete line: no content", given: func(s *situation) { s.Held = nil }, want: advancesAtOnce(CauseDistrusted, plain, "")},
	{name: "incomplete line: no jti", given: func(s *situation) { s.Key.Status.JTI = "" }, want: advancesAtOnce(CauseDistrusted, plain, "")},
	{name: "incomplete line: no createdAt", given: func(s *situation) { s.Key.Status.CreatedAt = nil }, want: advancesAtOnce(CauseDistrusted, plain, "")},
	{name: "incomplete line: no expiresAt", given: func(s *situation) { s.Key.Status.ExpiresAt = nil }, want: advancesAtOnce(CauseDistrusted, plain, "")},
	{name: "incomplete line: a revision alone", given: func(s *situation) {
		s.Key.Status.TokenLine, s.Held = v1alpha1.TokenLine{Revision: 7}, nil
	}, want: advancesAtOnce(CauseDistrusted, "revision 8, 1h to 721h", "")},
	{name: "incomplete line: all but a revision is a key without a line", given: func(s *situation) { s.Key.Status.Revision, s.Held = 0, nil },
		want: issuesFirst("revision 1, 1h to 721h")},
	{name: "incomplete line: while the issuer is missing", given: func(s *situation) {
		s.Key.Status.TokenLine, s.Held = v1alpha1.TokenLine{Revision: 7}, nil
		s.lacksIssuer()
	}, want: outcome{Check: "issuer is missing", Verdict: "waiting IssuerNotFound"}},
}

var ignoredCases = []decideCase{
	{name: "terminating namespace", given: func(s *situation) { s.Namespace.Terminating = true; s.rotate("v1") },
		want: outcome{Check: "namespace is terminating", Ignore: true}},
	{name: "terminating namespace: nothing is issued", from: unissued, given: func(s *situation) { s.Namespace.Terminating = true },
		want: outcome{Check: "namespace is terminating", Ignore: true}},
	{name: "key being deleted", given: func(s *situation) {
		s.Key.DeletionTimestamp = &metav1.Time{Time: t0}
		s.Key.Spec.Revoked = true
	}, want: outcome{Check: "key is being deleted", Ignore: true}},
}
