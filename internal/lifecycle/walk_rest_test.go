package lifecycle

import (
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// mostRounds bounds the reconciliations until a key rests: retire, advance, write, and once more.
const mostRounds = 8

// settle reconciles without interference until the manager writes nothing more, and checks the result against the simulation.
func (w *simulation) settle() {
	steady := w.unsteady
	w.unsteady = false
	defer func() { w.unsteady = steady }()
	for range mostRounds {
		before := w.writes
		plan, err := w.reconcile()
		if err != nil {
			w.fail("failed without interference: %v", err)
		}
		if w.writes == before {
			w.counts.settled++
			w.checkRest(plan)
			return
		}
	}
	w.fail("still writing after %d rounds", mostRounds)
}

func (w *simulation) checkRest(plan *Plan) {
	if w.key.Spec.Revoked && w.key.Status.RevokedAt == nil {
		w.fail("revoked by spec, and status does not say so")
	}
	if plan.Ignore {
		return
	}
	w.checkReason()
	w.checkSecretAtRest()
	w.checkOthersAtRest()
	w.checkNothingBeforeNext(plan)
}

// checkNothingBeforeNext checks that Decide returns the same at a random time before Next.
func (w *simulation) checkNothingBeforeNext(plan *Plan) {
	span := 30000 * time.Hour
	if !plan.Next.IsZero() {
		span = plan.Next.Sub(w.now)
	}
	moment := w.now.Add(time.Duration(w.random.Int64N(int64(span))))
	o := w.observe()
	later := Decide(o.Observed, moment)
	was, is := outcomeOf(plan), outcomeOf(&later)
	was.Next, is.Next = "", ""
	if was != is {
		w.fail("Next is %s, and the plan differs already at %s:\n%s", sinceT0(plan.Next), sinceT0(moment), cmp.Diff(was, is))
	}
}

// checkReason checks the condition Ready against the reason that follows from the simulation.
func (w *simulation) checkReason() {
	reason, isReady := w.readyReason()
	w.counts.reasons[reason]++
	wanted := w.wantedReasons()
	if !slices.Contains(wanted, reason) || isReady != (reason == v1alpha1.ReasonIssued) {
		w.fail("Ready is %v, %s; wanted is %v", isReady, reason, wanted)
	}
	pendingNow := w.condition(v1alpha1.ConditionReconciling) == v1alpha1.ReasonOverlapPending
	due := w.due()
	if isReady && pendingNow != (len(due.must) > 0) && !slices.Contains(due.may, CauseRenewalDue) {
		w.fail("overlap pending is %v, and due is %v", pendingNow, due.must)
	}
	if pendingNow {
		w.counts.reasons[v1alpha1.ReasonOverlapPending]++
	}
	if pendingNow && len(w.key.Status.Previous) < 2 {
		w.fail("overlap pending with %d superseded tokens", len(w.key.Status.Previous))
	}
}

func (w *simulation) condition(kind string) string {
	for _, condition := range w.key.Status.Conditions {
		if condition.Type == kind {
			return condition.Reason
		}
	}
	return ""
}

func (w *simulation) wantedReasons() []string {
	status, spec := &w.key.Status, &w.key.Spec
	issuer := w.issuers[IssuerName(w.key)]
	due := w.due()
	switch {
	case spec.Revoked,
		status.RevokedAt != nil && status.RevocationReason != v1alpha1.RevokedRequested && !w.asked():
		return []string{v1alpha1.ReasonRevoked}
	case w.invalid():
		return []string{v1alpha1.ReasonInvalidSpec}
	case !w.beforeEnd():
		return []string{v1alpha1.ReasonExpired}
	case issuer == nil || !issuer.found:
		return []string{v1alpha1.ReasonIssuerNotFound}
	case !issuer.ready:
		return []string{v1alpha1.ReasonIssuerNotReady}
	case !w.issuerGrants():
		return []string{v1alpha1.ReasonPolicyDenied}
	case status.Revision > 0 && !w.now.Before(status.ExpiresAt.Time) && len(due.must) == 0:
		return []string{v1alpha1.ReasonExpired}
	}
	return w.wantedOfSecret(due)
}

func (w *simulation) wantedOfSecret(due dues) []string {
	name := SecretName(w.key)
	secret := w.secrets[name]
	if name == "" || secret == nil {
		return []string{v1alpha1.ReasonIssued}
	}
	switch state := secret.stateFor(w.key); {
	case state == SecretForeign:
		return []string{v1alpha1.ReasonSecretConflict}
	case state == SecretLeftOver && w.now.Before(w.key.CreationTimestamp.Add(30*time.Second)):
		return []string{v1alpha1.ReasonWaitingForSecret}
	case secret.immutable && (w.key.Status.Revision == 0 || len(due.must) > 0 || !w.isAsItShould(secret)):
		return []string{v1alpha1.ReasonSecretImmutable}
	case secret.immutable && len(due.may) > 0:
		return []string{v1alpha1.ReasonSecretImmutable, v1alpha1.ReasonIssued}
	default:
		return []string{v1alpha1.ReasonIssued}
	}
}

// isAsItShould reports whether a Secret of the key needs no write while its token is valid.
func (w *simulation) isAsItShould(secret *storedSecret) bool {
	if w.usedUp() {
		return true
	}
	if secret.stateFor(w.key) != SecretOwn || secret.token != w.key.Status.TokenHash || !w.isDressed(secret) {
		return false
	}
	a := secret.access
	if !WantsAccessToken(w.key) || (w.accessSigner() == "" && a == nil) {
		return a == nil
	}
	if a == nil || a.edited || a.signer != w.accessSigner() || a.revision < w.key.Status.FirstRevision {
		return false
	}
	return w.now.Before(a.expiresAt.Add(-w.accessLifetime()/3).Truncate(time.Second)) || !a.expiresAt.Before(w.key.Status.ExpiresAt.Time)
}

// usedUp reports whether the one-time token for the Secret was used, after which the Secret holds none.
func (w *simulation) usedUp() bool {
	status := &w.key.Status
	return w.mode() == v1alpha1.RotationOneTimeUse && status.LastUsedRevision > 0 && status.LastUsedRevision >= status.Revision-1
}

// invalid reports whether admission should have refused the spec.
func (w *simulation) invalid() bool {
	spec := &w.key.Spec
	_, iss := spec.Claims["iss"]
	mode := w.mode()
	known := mode == v1alpha1.RotationScheduled || mode == v1alpha1.RotationNever || mode == v1alpha1.RotationOneTimeUse
	access := WantsAccessToken(w.key) && (spec.Binding != nil || spec.IdleTimeout != nil || mode == v1alpha1.RotationOneTimeUse ||
		spec.Secret.Mode == v1alpha1.SecretNone || w.accessLifetime() < 5*time.Minute)
	scope := slices.ContainsFunc(spec.Scopes, func(s string) bool { return strings.Contains(s, " ") })
	return iss || !known || access || scope || w.lifetime() < time.Minute || w.renewBefore() < time.Second || w.renewBefore() >= w.lifetime()
}

// checkSecretAtRest checks that Ready means that the Secret holds the current token and that it is accepted, and that no
// Secret of the key holds a token that has ended.
func (w *simulation) checkSecretAtRest() {
	reason, isReady := w.readyReason()
	name := SecretName(w.key)
	secret := w.secrets[name]
	status := &w.key.Status
	own := secret != nil && secret.stateFor(w.key) == SecretOwn
	if isReady {
		current := w.byJTI[status.JTI]
		switch {
		case !w.accepts(current) && !w.excused(current):
			w.fail("Ready, and the current token is not accepted")
		case !w.served(current) && !w.excused(current):
			w.fail("Ready, and the current token is not granted")
		case name != "" && !w.usedUp() && (!own || !w.isAsItShould(secret)):
			w.fail("Ready, and the Secret differs from the wanted one: %+v", secret)
		}
	}
	over := status.RevokedAt != nil || !w.beforeEnd() || (status.Revision > 0 && status.ExpiresAt != nil && !w.now.Before(status.ExpiresAt.Time))
	if own && over && (secret.token != "" || secret.access != nil) {
		w.fail("%s, and the Secret still holds a token: %+v", reason, secret)
	}
	if token := w.heldByOwn(secret); token != nil && w.usedUp() && w.uses[token.JTI].successor != nil {
		w.fail("%s, and %s was used, and can still be read in the Secret", reason, token.JTI)
	}
	if reason == v1alpha1.ReasonRevoked && len(status.Previous) > 0 {
		w.fail("revoked, and superseded tokens are still listed")
	}
	w.checkOverdue(own)
	w.checkEnded()
}

// heldByOwn returns the token in the key's Secret.
func (w *simulation) heldByOwn(secret *storedSecret) *storedToken {
	if secret == nil || secret.stateFor(w.key) != SecretOwn {
		return nil
	}
	return w.tokens[secret.token]
}

// excused reports whether a difference from spec is allowed: a one-time token takes over changes with its next use, and the
// policy of an earlier issuer does not count.
func (w *simulation) excused(token *storedToken) bool {
	return w.mode() == v1alpha1.RotationOneTimeUse || (w.fromEarlier(token) && w.ringHolds(token.terms.Issuer, token.KeyID))
}

// checkEnded checks that tokens that rotate-now or the absolute end ended, while no new one could be minted, stay ended.
func (w *simulation) checkEnded() {
	status := &w.key.Status
	asked := status.Revision > 0 && (w.annotationAsks(v1alpha1.AnnotationRotateNow) || !w.beforeEnd())
	for jti, token := range w.byJTI {
		if !w.inLine(token) || !w.now.Before(token.ExpiresAt) || status.Revision == 0 {
			continue
		}
		if asked {
			w.fail("%s had to end, and is still in the line", jti)
		}
		if w.ended[jti] {
			w.fail("%s came back", jti)
		}
	}
	for jti, token := range w.byJTI {
		if asked && token.uid == w.key.UID && w.now.Before(token.ExpiresAt) {
			w.ended[jti] = true
		}
	}
}

// checkOverdue checks that status lists no superseded token that is due to retire, with any obstacle, once clients can read
// the current one.
func (w *simulation) checkOverdue(own bool) {
	status := &w.key.Status
	name := SecretName(w.key)
	if status.Revision == 0 || status.RevokedAt != nil || w.forged || (name != "" && w.now.Before(status.ExpiresAt.Time) && (!own || w.secrets[name].token != status.TokenHash)) {
		return
	}
	for i, token := range status.Previous {
		if end := w.overlapEnd(status, i); !w.now.Before(end) {
			w.fail("%s should have been retired at %s", token.JTI, sinceT0(end))
		}
	}
}

// checkOthersAtRest checks that Secrets under earlier names stay exactly as long as a client may need them.
func (w *simulation) checkOthersAtRest() {
	issuer := w.issuers[IssuerName(w.key)]
	for name, secret := range w.secrets {
		if name == SecretName(w.key) || secret.stateFor(w.key) != SecretOwn {
			continue
		}
		token := w.tokens[secret.token]
		alive := w.key.Status.RevokedAt == nil && w.beforeEnd() && !w.forged
		listed := alive && secret.token != "" && (issuer == nil || !issuer.found || !issuer.ready ||
			w.key.Status.Revision == 0 || (w.inLine(token) && w.now.Before(token.ExpiresAt)))
		if !listed || w.renameIsOver() {
			w.fail("the Secret under the earlier name %s still exists", name)
		}
	}
}
