package lifecycle

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// minted returns the token that a plan mints.
func minted(plan *Plan, o *Observed) *Token {
	switch {
	case plan.Line == AdoptFound:
		return o.Secret.Adoptable
	case plan.Mint == nil:
		return nil
	}
	jti := "minted-" + plan.Check
	return &Token{
		Revision: plan.Mint.Revision, JTI: jti, Hash: hashOf(jti), KeyID: signingKey, CreatedAt: plan.Mint.CreatedAt,
		ExpiresAt: plan.Mint.ExpiresAt, Content: []byte(`{"jti":"` + jti + `"}`),
	}
}

// stored returns a status as the API server returns it.
func stored(status *v1alpha1.JWTRefreshKeyStatus) (read v1alpha1.JWTRefreshKeyStatus) {
	encoded, err := json.Marshal(status)
	if err == nil {
		err = json.Unmarshal(encoded, &read)
	}
	if err != nil {
		panic(err)
	}
	return read
}

// line is the line of a status, for comparison.
type line struct {
	Revision               int64
	JTI, Hash, KeyID       string
	From, To, Renewal      string
	Content                string
	Previous               string
	RevokedAt              string
	Reason                 v1alpha1.RevocationReason
	Handled                string
	Generation             int64
	Issuer, Secret, Effect string
}

func lineOf(status *v1alpha1.JWTRefreshKeyStatus) line {
	at := func(t *metav1.Time) string {
		if t == nil {
			return ""
		}
		return sinceT0(t.Time)
	}
	l := line{
		Revision: status.Revision, JTI: status.JTI, Hash: status.TokenHash, KeyID: status.KeyID,
		From: at(status.CreatedAt), To: at(status.ExpiresAt), Renewal: at(status.RenewalTime),
		RevokedAt: at(status.RevokedAt), Reason: status.RevocationReason, Handled: status.LastHandledRotate,
		Generation: status.ObservedGeneration, Issuer: status.Issuer, Secret: status.SecretName,
	}
	if status.Content != nil {
		l.Content = string(status.Content.Raw)
	}
	for _, token := range status.Previous {
		l.Previous += token.JTI + " "
	}
	if status.Effective != nil {
		l.Effect = status.Effective.Subject
	}
	return l
}

// lineAfter returns the line of a key of the tables with the given token.
func lineAfter(revision int64, jti, from, to, renewal string, change func(*line)) line {
	l := line{
		Revision: revision, JTI: jti, Hash: hashOf(jti), KeyID: signingKey, From: from, To: to, Renewal: renewal,
		Content: `{"jti":"` + jti + `"}`, Generation: 3, Issuer: "default", Secret: "orders", Effect: subject,
	}
	if change != nil {
		change(&l)
	}
	return l
}

var statusLineCases = []struct {
	name string
	decideCase
	want line
}{
	{"IssueFirst", decideCase{from: unissued, given: func(s *situation) { s.rotate("v1"); s.rotateNow("v2") }},
		lineAfter(1, "minted-no token yet", "1h", "721h", "481h", func(l *line) { l.Handled = "v1 now:v2" })},
	{"IssueFirst over an incomplete line", decideCase{given: func(s *situation) { s.Key.Status.Revision, s.Held = 0, nil; s.Key.Status.Previous = nil }},
		lineAfter(1, "minted-no token yet", "1h", "721h", "481h", nil)},
	{"AdoptFound", decideCase{from: unissued, given: func(s *situation) { s.found(0, 720*hour); s.rotate("v1") }},
		lineAfter(1, "token-1", "0s", "720h", "480h", func(l *line) { l.Content = "{}" })},
	{"AdvanceLine keeps the superseded token", decideCase{given: func(s *situation) { s.rotate("v1") }},
		lineAfter(2, "minted-next token is due", "1h", "721h", "481h", func(l *line) { l.Handled, l.Previous = "v1", "token-1 " })},
	{"AdvanceLine of any cause handles the annotations", decideCase{at: 480 * hour, given: func(s *situation) { s.rotate("v1"); s.Key.Status.LastHandledRotate = "v0" }},
		lineAfter(2, "minted-next token is due", "480h", "1200h", "960h", func(l *line) { l.Handled, l.Previous = "v1", "token-1 " })},
	{"AdvanceLine ends a revocation", decideCase{given: func(s *situation) { s.revoke(v1alpha1.RevokedRequested); s.Key.Spec.Revoked = false }},
		lineAfter(2, "minted-next token is due", "1h", "721h", "481h", nil)},
	{"AdvanceLine at once drops the superseded tokens", decideCase{from: twoSuperseded, at: 3 * hour, given: func(s *situation) { s.rotateNow("v1") }},
		lineAfter(4, "minted-tokens must end at once", "3h", "723h", "483h", func(l *line) { l.Handled = "now:v1" })},
	{"RetireSuperseded of one", decideCase{from: twoSuperseded, at: 3 * hour, given: func(s *situation) { s.overlapMax(2 * hour) }},
		lineAfter(3, "token-3", "2h", "722h", "482h", func(l *line) { l.Previous = "token-2 " })},
	{"RetireSuperseded of all", decideCase{from: twoSuperseded, at: 4 * hour, given: func(s *situation) { s.overlapMax(2 * hour) }},
		lineAfter(3, "token-3", "2h", "722h", "482h", nil)},
	{"RevokeLine", decideCase{from: twoSuperseded, at: 3*hour + 300*time.Millisecond, given: func(s *situation) { s.Key.Spec.Revoked = true }},
		lineAfter(3, "token-3", "2h", "722h", "", func(l *line) { l.RevokedAt, l.Reason = "3h", v1alpha1.RevokedRequested })},
	{"RevokeLine keeps the time of an earlier revocation", decideCase{given: func(s *situation) { s.revoke(v1alpha1.RevokedLogout); s.Key.Spec.Revoked = true }},
		lineAfter(1, "token-1", "0s", "720h", "", func(l *line) { l.RevokedAt, l.Reason = "30m", v1alpha1.RevokedRequested })},
	{"RevokeLine does not handle the annotations", decideCase{given: func(s *situation) { s.Key.Spec.Revoked = true; s.rotate("v1") }},
		lineAfter(1, "token-1", "0s", "720h", "", func(l *line) { l.RevokedAt, l.Reason = "1h", v1alpha1.RevokedRequested })},
	{"KeepLine", decideCase{from: twoSuperseded, at: 3 * hour},
		lineAfter(3, "token-3", "2h", "722h", "482h", func(l *line) { l.Previous = "token-1 token-2 " })},
	{"KeepLine while a rotation waits does not handle the annotation", decideCase{from: twoSuperseded, at: 3 * hour, given: func(s *situation) { s.rotate("v1") }},
		lineAfter(3, "token-3", "2h", "722h", "482h", func(l *line) { l.Previous = "token-1 token-2 " })},
	{"KeepLine in mode Never has no renewal time", decideCase{given: func(s *situation) { s.mode(v1alpha1.RotationNever) }},
		lineAfter(1, "token-1", "0s", "720h", "", nil)},
	{"KeepLine of a token that lasts to the absolute end has no renewal time", decideCase{given: func(s *situation) { s.end(600 * hour) }},
		lineAfter(1, "token-1", "0s", "720h", "", nil)},
}

func TestStatusLine(t *testing.T) {
	for _, c := range statusLineCases {
		t.Run(c.name, func(t *testing.T) {
			s := c.situation()
			plan := Decide(s.Observed, c.now())
			status := plan.Status(&s.Observed, minted(&plan, &s.Observed), c.now())
			if diff := cmp.Diff(c.want, lineOf(&status)); diff != "" {
				t.Errorf("status after %q (- wanted, + made):\n%s", plan.Check, diff)
			}
			if status.Previous != nil && len(status.Previous) == 0 {
				t.Error("previous is an empty list, and the API server returns none")
			}
		})
	}
}

// TestStatusConditions checks the rules of kstatus for all rows, and that conditions do not flap (Crossplane's guide).
func TestStatusConditions(t *testing.T) {
	for _, c := range decideCases {
		s, now := c.situation(), c.now()
		plan := Decide(s.Observed, now)
		status := plan.Status(&s.Observed, minted(&plan, &s.Observed), now)
		if plan.Ignore || plan.Discard || plan.KeepStatus {
			if !equality.Semantic.DeepEqual(s.Key.Status, status) {
				t.Errorf("%s: the plan keeps the status, and it changed:\n%s", c.name, cmp.Diff(s.Key.Status, status))
			}
			continue
		}
		checkConditions(t, c.name, &plan, &status)
		checkTransitions(t, c.name, s, &plan, &status, now)
	}
}

func checkConditions(t *testing.T, name string, plan *Plan, status *v1alpha1.JWTRefreshKeyStatus) {
	t.Helper()
	v := plan.Verdict
	present := map[string]bool{}
	for _, condition := range status.Conditions {
		present[condition.Type] = true
		if slices.Contains(v1alpha1.NoticeConditions, condition.Type) {
			continue
		}
		message := v.Message
		if condition.Type == v1alpha1.ConditionReconciling {
			message = v.Waiting
		}
		if condition.ObservedGeneration != 3 || condition.Message != message || message == "" || condition.Reason == "" {
			t.Errorf("%s: condition %+v", name, condition)
		}
		if condition.Type != v1alpha1.ConditionReady && condition.Status != metav1.ConditionTrue {
			t.Errorf("%s: %s is present and not true", name, condition.Type)
		}
	}
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil || (ready.Status == metav1.ConditionTrue) != v.Ready || ready.Reason != v.Reason:
		t.Errorf("%s: Ready is %+v, wanted %+v", name, ready, v)
	case present[v1alpha1.ConditionReconciling] != (v.Reconciling != ""), present[v1alpha1.ConditionStalled] != v.Stalled:
		t.Errorf("%s: conditions %v, wanted %+v", name, present, v)
	case present[v1alpha1.ConditionReconciling] && present[v1alpha1.ConditionStalled]:
		t.Errorf("%s: both Reconciling and Stalled", name)
	case !v.Ready && v.Reconciling == "" && !v.Stalled:
		t.Errorf("%s: not Ready, and neither Reconciling nor Stalled", name)
	case v.Ready && v.Stalled:
		t.Errorf("%s: Ready and Stalled", name)
	}
}

// checkTransitions checks that lastTransitionTime changes only with the status of a condition.
func checkTransitions(t *testing.T, name string, s *situation, plan *Plan, status *v1alpha1.JWTRefreshKeyStatus, now time.Time) {
	t.Helper()
	s.Key.Status = stored(status)
	later := now.Add(time.Minute)
	again := plan.Status(&s.Observed, minted(plan, &s.Observed), later)
	for _, condition := range again.Conditions {
		if condition.LastTransitionTime.After(now) && condition.LastTransitionTime.After(t0) {
			t.Errorf("%s: lastTransitionTime of %s changed without its status", name, condition.Type)
		}
	}
	other := *plan
	other.Verdict = stalled(v1alpha1.ReasonInvalidSpec, "x")
	if plan.Verdict.Ready {
		changed := other.Status(&s.Observed, minted(plan, &s.Observed), later)
		ready := meta.FindStatusCondition(changed.Conditions, v1alpha1.ConditionReady)
		if !ready.LastTransitionTime.Time.Equal(later.Truncate(time.Second)) {
			t.Errorf("%s: Ready changed at %s, and lastTransitionTime is %s", name, later, ready.LastTransitionTime)
		}
	}
}

// TestARefusedSecretSettles checks that status settles while the API server refuses the Secret, and that it reports the
// state of the key.
func TestARefusedSecretSettles(t *testing.T) {
	for _, c := range decideCases {
		s, now := c.situation(), c.now()
		if plan := Decide(s.Observed, now); plan.Ignore || plan.Secret == KeepSecret {
			continue
		}
		s.Key.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonIssued}}
		var written []string
		for len(written) < 6 {
			plan := Decide(s.Observed, now)
			now = now.Add(10 * time.Millisecond)
			refused := refuse(s, &plan, now)
			if len(refused) == 0 {
				break
			}
			written = append(written, refused...)
		}
		if len(written) > 3 {
			t.Errorf("%s: status does not settle: %q", c.name, written)
		}
		v := c.want.Verdict
		ready := meta.FindStatusCondition(s.Key.Status.Conditions, v1alpha1.ConditionReady)
		if _, reason, _ := strings.Cut(v, " "); slices.Contains([]string{"empty", "own", "delete"}, c.want.Secret) && (ready == nil || ready.Reason != reason || !strings.HasSuffix(ready.Message, "refused")) {
			t.Errorf("%s: the verdict is %q, and Ready is %+v", c.name, v, ready)
		}
	}
}

// refuse applies a plan whose Secret is refused, and returns the reasons that were written.
func refuse(s *situation, plan *Plan, now time.Time) (written []string) {
	write := func(status v1alpha1.JWTRefreshKeyStatus, verdict Verdict) {
		if !equality.Semantic.DeepEqual(s.Key.Status, status) {
			written = append(written, plan.Check+": "+verdict.Reason)
			s.Key.Status = stored(&status)
		}
	}
	statusFirst := plan.StatusFirst(&s.Observed)
	if token := minted(plan, &s.Observed); statusFirst {
		write(plan.Status(&s.Observed, token, now), plan.Verdict)
		if token != nil {
			s.Held = &Held{Terms: plan.Terms(), IssuedAt: token.CreatedAt, ExpiresAt: token.ExpiresAt}
			s.Distrust, s.Issuer.KnowsHeldKey = "", true
		}
	}
	if plan.Secret != KeepSecret {
		report := plan.Failed(Failure{Name: s.Secret.Name, Answer: "refused", Refused: true})
		write(report.Status(&s.Observed, nil, now), report.Verdict)
	} else if !statusFirst {
		write(plan.Status(&s.Observed, nil, now), plan.Verdict)
	}
	return written
}

// TestTheNameOnRecord checks that a conflict does not record the name of a foreign Secret, since ownership depends on
// status.secretName.
func TestTheNameOnRecord(t *testing.T) {
	for name, test := range map[string]struct {
		state SecretState
		want  string
	}{
		"own": {SecretOwn, "renamed"}, "none": {NoSecret, ""}, "foreign": {SecretForeign, "orders"},
		"missing, not written yet": {SecretMissing, "orders"}, "left over, not replaced yet": {SecretLeftOver, "orders"},
	} {
		s := settled()
		s.Key.Status.SecretName = "orders"
		s.Secret.State, s.Secret.Name = test.state, "renamed"
		plan := Decide(s.Observed, t0.Add(hour))
		plan.KeepStatus = false
		if status := plan.Status(&s.Observed, nil, t0.Add(hour)); status.SecretName != test.want {
			t.Errorf("%s: status.secretName is %q, want %q", name, status.SecretName, test.want)
		}
	}
	s := settled()
	s.Key.Status.SecretName, s.Secret = "orders", Secret{State: SecretMissing, Name: "renamed"}
	restore := Decide(s.Observed, t0.Add(hour))
	written := restore.Written()
	if written == nil {
		t.Fatal("a Secret that is missing is not written")
	}
	if status := written.Status(&s.Observed, nil, t0.Add(hour)); status.SecretName != "renamed" {
		t.Errorf("once the Secret is written, status.secretName is %q", status.SecretName)
	}
	s.Key.Status.SecretName, s.Secret = "", Secret{State: SecretLeftOver, Name: "orders", OwnerDiffers: true}
	plan := Decide(s.Observed, s.Key.CreationTimestamp.Add(time.Second))
	if status := plan.Status(&s.Observed, nil, t0); status.SecretName != "" {
		t.Errorf("during the wait for a left-over Secret, status.secretName is %q", status.SecretName)
	}
}

func TestStatusOfARefusedSecret(t *testing.T) {
	s := settled()
	s.Secret = Secret{State: SecretMissing, Name: "orders"}
	plan := Decide(s.Observed, t0.Add(hour))
	report := plan.Failed(Failure{Name: "orders", Answer: "exceeded quota", Refused: true})
	status := report.Status(&s.Observed, nil, t0.Add(hour))
	if diff := cmp.Diff(lineAfter(1, "token-1", "0s", "720h", "480h", nil), lineOf(&status)); diff != "" {
		t.Errorf("a refusal changed the line:\n%s", diff)
	}
	stalled := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionStalled)
	if stalled == nil || stalled.Reason != v1alpha1.ReasonSecretRefused || !strings.Contains(stalled.Message, `refuses Secret "orders": exceeded quota.`) {
		t.Errorf("Stalled is %+v", stalled)
	}
	if report.Check != plan.Check || report.AccessLifetime() != 15*minute || report.Terms().Audience != audience {
		t.Errorf("the report does not match its plan: %+v", report)
	}
}
