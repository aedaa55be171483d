package lifecycle

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

const (
	hour   = time.Hour
	minute = time.Minute
)

// decideCase is one row of the table of Decide.
type decideCase struct {
	name string
	// from returns the initial situation; settled if nil.
	from func() *situation
	// given changes the situation.
	given func(*situation)
	// at is the time since t0, an hour if zero.
	at   time.Duration
	want outcome
	// says is a part of the message.
	says string
}

func (c *decideCase) situation() *situation {
	from := c.from
	if from == nil {
		from = settled
	}
	s := from()
	if c.given != nil {
		c.given(s)
	}
	return s
}

func (c *decideCase) now() time.Time {
	if c.at == 0 {
		return t0.Add(hour)
	}
	return t0.Add(c.at)
}

// decideCases are all rows, by subject; each subject has a file.
var decideCases = slices.Concat(
	firstIssueCases, adoptionCases, renewalCases, overlapCases, specMattersCases, specDoesNotMatterCases,
	rotateCases, rotateNowCases, pendingCases, revokeCases, revivalCases, expiryCases, absoluteEndCases, oneTimeCases,
	issuerCases, withdrawalCases, secretCases, renameCases, leftOverCases, immutableCases, earlierFormCases, accessCases, accessPendingCases,
	blockedCases, refusedCases, lostCases,
	distrustCases, ignoredCases, clockCases, invalidCases, evidenceCases, idleCases, sessionCases,
)

func TestDecide(t *testing.T) {
	for _, c := range decideCases {
		t.Run(c.name, func(t *testing.T) {
			s, now := c.situation(), c.now()
			before := s.Key.DeepCopy()
			plan := Decide(s.Observed, now)
			if diff := cmp.Diff(c.want, outcomeOf(&plan)); diff != "" {
				t.Errorf("plan at %s (- wanted, + decided):\n%s", sinceT0(now), diff)
			}
			if !strings.Contains(plan.Verdict.Message, c.says) {
				t.Errorf("message %q does not say %q", plan.Verdict.Message, c.says)
			}
			if diff := cmp.Diff(before, s.Key); diff != "" {
				t.Errorf("Decide changed the key:\n%s", diff)
			}
			checkNothingBeforeNext(t, s.Observed, now, &plan)
		})
	}
}

// checkNothingBeforeNext checks that Decide returns the same between now and Next. Plans that write are
// followed by another decision anyway.
func checkNothingBeforeNext(t *testing.T, o Observed, now time.Time, plan *Plan) {
	t.Helper()
	if plan.Line != KeepLine || plan.Secret != KeepSecret || len(plan.Remove) > 0 {
		return
	}
	moments := []time.Time{now.Add(time.Hour), now.Add(10000 * hour), now.Add(200000 * hour)}
	if !plan.Next.IsZero() {
		moments = []time.Time{now.Add(plan.Next.Sub(now) / 2), plan.Next.Add(-1)}
	}
	wanted := outcomeOf(plan)
	wanted.Next = ""
	for _, moment := range moments {
		later := Decide(o, moment)
		got := outcomeOf(&later)
		got.Next = ""
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Errorf("Next is %q, but the plan differs already at %s:\n%s", sinceT0(plan.Next), sinceT0(moment), diff)
		}
	}
}

// TestNextIsAhead checks that Next is never in the past if now is not a whole second. Otherwise the key would be reconciled
// in a loop until the second ends.
func TestNextIsAhead(t *testing.T) {
	for _, c := range slices.Concat(decideCases, oddSeconds) {
		for _, fraction := range []time.Duration{0, 1, 340 * time.Millisecond, time.Second - 1} {
			s, now := c.situation(), c.now().Add(fraction)
			if plan := Decide(s.Observed, now); !plan.Next.IsZero() && !plan.Next.After(now) {
				t.Errorf("%s: at %s, Next is %s", c.name, sinceT0(now), sinceT0(plan.Next))
			}
		}
	}
}

func TestDecideNamesEachCaseOnce(t *testing.T) {
	seen, decided := map[string]bool{}, map[string]bool{}
	for _, c := range decideCases {
		if seen[c.name] {
			t.Errorf("two cases have the name %q", c.name)
		}
		seen[c.name], decided[c.want.Check] = true, true
	}
	for _, check := range checks {
		if !decided[check.name] {
			t.Errorf("the check %q decides no case", check.name)
		}
	}
}

var firstIssueCases = []decideCase{
	{name: "first issue", from: unissued, want: issuesFirst("revision 1, 1h to 721h")},
	{
		name: "first issue with secret.mode None: the token is only recorded", from: unissued,
		given: func(s *situation) {
			s.Key.Spec.Secret.Mode = v1alpha1.SecretNone
			s.Secret = Secret{}
		},
		want: issuesFirst("revision 1, 1h to 721h").but(func(o *outcome) { o.Secret = "" }),
	},
	{
		name: "first issue with an access token in the Secret", from: unissued,
		given: func(s *situation) { s.Key.Spec.Secret.AccessToken = true },
		want:  issuesFirst("revision 1, 1h to 721h").but(func(o *outcome) { o.Access = "renew" }),
	},
	{
		name: "first issue with rotate at creation: one token is made, not two", from: unissued,
		given: func(s *situation) { s.rotate("v1"); s.rotateNow("v1") },
		want:  issuesFirst("revision 1, 1h to 721h"),
	},
	{
		name: "first issue into a Secret that an earlier key retained", from: unissued,
		given: func(s *situation) {
			s.Key.Spec.Secret.DeletionPolicy = v1alpha1.DeletionRetain
			s.Secret = Secret{State: SecretOwn, Name: "orders", CreatedAt: t0.Add(-1000 * hour), TokenHash: hashOf("another key's")}
		},
		want: issuesFirst("revision 1, 1h to 721h"),
	},
	{
		name: "first issue: the time is cut to whole seconds", from: unissued, at: hour + 999*time.Millisecond,
		want: issuesFirst("revision 1, 1h to 721h"),
	},
	{
		name: "first issue with a status that has conditions only", from: unissued,
		given: func(s *situation) { s.Key.Status.ObservedGeneration = 2; s.Key.Status.SecretName = "orders" },
		want:  issuesFirst("revision 1, 1h to 721h"),
	},
}

var adoptionCases = []decideCase{
	{
		name: "adoption after a crash", from: unissued,
		given: func(s *situation) { s.found(0, 720*hour) },
		want:  outcome{Check: "no token yet", Line: "adopt", Verdict: "ready Issued"},
	},
	{
		name: "adoption to the last second of the token", from: unissued, at: 720*hour - time.Second,
		given: func(s *situation) { s.found(0, 720*hour) },
		want:  outcome{Check: "no token yet", Line: "adopt", Verdict: "ready Issued"},
	},
	{
		name: "adoptable but expired: a first token is made", from: unissued, at: 720 * hour,
		given: func(s *situation) { s.found(0, 720*hour) },
		want:  issuesFirst("revision 1, 720h to 1440h"),
	},
	{
		name: "adoption where spec changed meanwhile: adopted first, so that it goes over with an overlap", from: unissued,
		given: func(s *situation) { s.found(0, 720*hour); s.Key.Spec.Audience = "https://other.example.com" },
		want:  outcome{Check: "no token yet", Line: "adopt", Verdict: "ready Issued"},
	},
	{
		name: "adoption where the policy no longer grants: nothing is recorded", from: unissued,
		given: func(s *situation) { s.found(0, 720*hour); s.grant(v1alpha1.PolicyRule{Audiences: []string{"none"}}) },
		want:  outcome{Check: "policy does not grant", Verdict: "stalled PolicyDenied"},
	},
	{
		name: "adoption where the Secret was made immutable meanwhile: it needs no write", from: unissued,
		given: func(s *situation) { s.found(0, 720*hour); s.Secret.Immutable = true },
		want:  outcome{Check: "no token yet", Line: "adopt", Verdict: "ready Issued"},
	},
	{
		name: "adoption where rotate-now asks meanwhile: the token found may have leaked", from: unissued,
		given: func(s *situation) { s.found(0, 720*hour); s.rotateNow("leak") },
		want:  advances(CauseRotateNow, "revision 2, 1h to 721h", "").but(func(o *outcome) { o.Check, o.Verdict = "no token yet", "waiting Issuing" }),
	},
	{
		name: "adoption with a rotate request: adopted first, since the order is unknown", from: unissued,
		given: func(s *situation) { s.found(0, 720*hour); s.rotate("v1") },
		want:  outcome{Check: "no token yet", Line: "adopt", Verdict: "ready Issued"},
	},
	{
		name: "adoption where revocation was asked for meanwhile", from: unissued,
		given: func(s *situation) { s.found(0, 720*hour); s.Key.Spec.Revoked = true },
		want: outcome{
			Check: "revocation is asked for", Line: "revoke", Revocation: v1alpha1.RevokedRequested, Secret: "empty", Verdict: "stalled Revoked",
		},
	},
}
