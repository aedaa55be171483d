package lifecycle

import (
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/policy"
)

// dues are the causes for which a new revision may be minted now, and those for which it must be, without obstacles. They
// differ by the jitter of a renewal.
type dues struct{ may, must []Cause }

// due computes the causes from the simulation, and not from the Observed for Decide.
func (w *simulation) due() (d dues) {
	status, spec := &w.key.Status, &w.key.Spec
	oneTime := w.mode() == v1alpha1.RotationOneTimeUse
	is := func(cause Cause, holds bool) {
		if holds {
			d.may, d.must = append(d.may, cause), append(d.must, cause)
		}
	}
	revoked := status.RevokedAt != nil
	is(CauseReinstated, revoked && !spec.Revoked && (status.RevocationReason == v1alpha1.RevokedRequested || (status.Revision == 0 && w.asked())))
	if status.Revision == 0 {
		is(CauseRotateNow, w.annotationAsks(v1alpha1.AnnotationRotateNow) && w.holdsToken())
		return d
	}
	is(CauseRotateNow, w.annotationAsks(v1alpha1.AnnotationRotateNow))
	is(CauseRotate, w.annotationAsks(v1alpha1.AnnotationRotate))
	is(CauseDistrusted, w.forged)
	token := w.contentOf(status)
	if token == nil || revoked {
		return d
	}
	gone := !w.ringHolds(token.terms.Issuer, token.KeyID) && w.now.Before(token.ExpiresAt)
	is(CauseKeyWithdrawn, !oneTime && gone && !w.fromEarlier(token))
	is(CauseTokenLost, gone && w.fromEarlier(token) && w.missing(token))
	is(CauseSpecChanged, !oneTime && (w.saysOther(token) || w.lastsOther(token)))
	if w.mode() == v1alpha1.RotationScheduled && (spec.ExpiresAt == nil || token.ExpiresAt.Before(spec.ExpiresAt.Truncate(time.Second))) {
		latest := token.ExpiresAt.Add(-w.renewBefore())
		earliest := latest.Add(-latest.Sub(token.CreatedAt) / 10)
		is(CauseRenewalDue, !w.now.Before(latest))
		if w.now.Before(latest) && !w.now.Before(earliest) {
			d.may = append(d.may, CauseRenewalDue)
		}
	}
	return d
}

// fromEarlier reports whether an issuer that the key no longer names signed a token.
func (w *simulation) fromEarlier(token *storedToken) bool {
	issuer := w.issuers[IssuerName(w.key)]
	return issuer != nil && issuer.found && issuer.url != token.terms.Issuer
}

// missing reports whether the Secret must hold a token and does not.
func (w *simulation) missing(token *storedToken) bool {
	name := SecretName(w.key)
	secret := w.secrets[name]
	return name != "" && !w.usedUp() && (secret == nil || secret.token != token.Hash)
}

func (w *simulation) mode() v1alpha1.RotationMode {
	if r := w.key.Spec.Rotation; r != nil && r.Mode != "" {
		return r.Mode
	}
	return v1alpha1.RotationScheduled
}

func (w *simulation) renewBefore() time.Duration {
	if r := w.key.Spec.Rotation; r != nil && r.RenewBefore != nil {
		return r.RenewBefore.Duration
	}
	return (w.lifetime() / 3).Truncate(time.Second)
}

func (w *simulation) annotationAsks(annotation string) bool {
	value := w.key.Annotations[annotation]
	return value != "" && value != w.handled[annotation]
}

func (w *simulation) asked() bool {
	return w.annotationAsks(v1alpha1.AnnotationRotate) || w.annotationAsks(v1alpha1.AnnotationRotateNow)
}

// saysOther reports whether spec requires another content of a token.
func (w *simulation) saysOther(token *storedToken) bool {
	spec, terms := &w.key.Spec, &token.terms
	wanted, scope := spec.Subject, ""
	if wanted == "" {
		wanted = subject
	}
	for i, s := range spec.Scopes {
		if i > 0 {
			scope += " "
		}
		scope += s
	}
	binding := v1alpha1.BindingSpec{}
	if spec.Binding != nil {
		binding = *spec.Binding
	}
	claims := len(spec.Claims) != len(terms.Claims)
	for name, value := range spec.Claims {
		claims = claims || terms.Claims[name] != string(value.Raw)
	}
	url := ""
	if issuer := w.issuers[IssuerName(w.key)]; issuer != nil && issuer.found {
		url = issuer.url
	}
	return terms.Issuer != url || terms.Audience != spec.Audience || terms.Subject != wanted || terms.Scope != scope || claims ||
		terms.ServiceAccount != binding.ServiceAccountName || terms.JWKThumbprint != binding.JWKThumbprint
}

// lastsOther reports whether a token is longer than allowed, or shorter than a new one would be.
func (w *simulation) lastsOther(token *storedToken) bool {
	full := token.CreatedAt.Add(w.lifetime())
	most := full
	if end := w.key.Spec.ExpiresAt; end != nil && end.Truncate(time.Second).Before(full) {
		most = end.Truncate(time.Second)
	}
	return token.ExpiresAt.After(full) || token.ExpiresAt.Before(most)
}

// retiresAtOnce are the causes that end every earlier token.
func retiresAtOnce(cause Cause) bool {
	return cause == CauseRotateNow || cause == CauseKeyWithdrawn || cause == CauseDistrusted
}

// checkPlan checks a plan against its observation.
func (w *simulation) checkPlan(o *observation, plan *Plan) {
	status := &o.Key.Status
	if len(plan.Previous) > 2 {
		w.fail("%d superseded tokens", len(plan.Previous))
	}
	if plan.Line == AdvanceLine {
		w.counts.advances++
		w.counts.causes[plan.Cause]++
		if !slices.Contains(o.due.may, plan.Cause) {
			w.fail("a rotation for %s, and the causes are %v", plan.Cause, o.due.may)
		}
	}
	if plan.Line == IssueFirst && (status.Revision != 0 || status.RevokedAt != nil) {
		w.fail("a first issue over revision %d, revoked %v", status.Revision, status.RevokedAt)
	}
	if m := plan.Mint; m != nil && (m.Revision != w.nextRevision(plan) || !m.ExpiresAt.After(w.now) || m.ExpiresAt.Sub(m.CreatedAt) > w.lifetime() ||
		(w.key.Spec.ExpiresAt != nil && m.ExpiresAt.After(w.key.Spec.ExpiresAt.Time))) {
		w.fail("to be minted: %+v", *m)
	}
	if plan.Secret != KeepSecret && (o.Secret.State == SecretForeign || o.Secret.State == NoSecret || o.Secret.Immutable != (plan.Secret == DeleteSecret)) {
		w.fail("a write of the Secret in state %d, immutable %v", o.Secret.State, o.Secret.Immutable)
	}
	if o.Secret.LacksEntries && o.Secret.TokenHash == status.TokenHash && len(o.due.must)+len(o.due.may) == 0 && plan.Line == KeepLine && plan.Secret == WriteSecret &&
		!plan.Paced && plan.Access != RenewAccess && (plan.Access == KeepAccess || !o.Secret.HoldsAccess) {
		w.fail("the entries of a later version are written without a pace: %+v", *plan)
	}
	if !plan.Next.IsZero() && !plan.Next.After(w.now) {
		w.fail("Next is %s, which has passed", plan.Next)
	}
	if v := plan.Verdict; !plan.Ignore && !plan.KeepStatus && (v.Reason == "" || v.Message == "" || (!v.Ready && v.Stalled == (v.Reconciling != ""))) {
		w.fail("verdict %+v", v)
	}
}

// checkStatusWrite checks the change of the line by a write of status. held is the token in the Secret, if it was accepted
// before.
func (w *simulation) checkStatusWrite(o *observation, plan *Plan, before *v1alpha1.JWTRefreshKeyStatus, held *storedToken) {
	after := &w.key.Status
	made := plan.Line == IssueFirst || plan.Line == AdoptFound || plan.Line == AdvanceLine
	if grown := after.Revision - before.Revision; grown < 0 || (grown > 0) != made {
		w.fail("revision %d became %d by line step %d", before.Revision, after.Revision, plan.Line)
	}
	w.checkFirstRevision(o, plan, before)
	atOnce := plan.Line == RevokeLine || (plan.Line == AdvanceLine && retiresAtOnce(plan.Cause))
	if held != nil && !w.inLine(held) && !atOnce && !w.interfered {
		w.fail("%s is in the Secret, and the write retired it", held.JTI)
	}
	if !atOnce && before.RevokedAt == nil && !w.forged {
		w.checkRetired(o, plan, before)
	}
	if plan.Line == RetireSuperseded && !w.interfered && o.Secret.State != NoSecret && o.at.Before(after.ExpiresAt.Time) && w.secrets[o.Secret.Name].token != after.TokenHash {
		w.fail("tokens retired before the Secret holds the current one")
	}
	if atOnce && len(after.Previous) > 0 {
		w.fail("every earlier token had to end, and %d are still listed", len(after.Previous))
	}
	w.checkReadiness(o, plan, before)
	if before.RevokedAt != nil && after.RevokedAt == nil && (w.key.Spec.Revoked || (before.RevocationReason != v1alpha1.RevokedRequested && !w.asked())) {
		w.fail("the revocation for %s was lost", before.RevocationReason)
	}
	if !made {
		return
	}
	w.forged = false
	if plan.Line == AdoptFound {
		return
	}
	for _, annotation := range []string{v1alpha1.AnnotationRotate, v1alpha1.AnnotationRotateNow} {
		w.handled[annotation] = w.key.Annotations[annotation]
	}
	if due := w.due(); !w.interfered && len(due.must) > 0 {
		w.fail("a token was minted for %q, and the next is due at once for %v", plan.Cause, due.must)
	}
}

// checkReadiness checks that status has Ready only while the Secret holds an accepted token, before and after the next
// write, and that no write turns Ready True before the Secret is written.
func (w *simulation) checkReadiness(o *observation, plan *Plan, before *v1alpha1.JWTRefreshKeyStatus) {
	if !plan.Verdict.Ready || plan.KeepConditions || o.Secret.State == NoSecret || w.interfered || w.usedUp() {
		return
	}
	secret := w.secrets[o.Secret.Name]
	if secret == nil || secret.stateFor(w.key) != SecretOwn || secret.token == "" {
		w.fail("Ready, and the Secret holds no token")
	}
	token := w.tokens[secret.token]
	if !w.accepts(token) && !w.excused(token) {
		w.fail("Ready, and %s in the Secret is refused", token.JTI)
	}
	if became := !meta.IsStatusConditionTrue(before.Conditions, v1alpha1.ConditionReady); became && secret.token != w.key.Status.TokenHash {
		w.fail("Ready turned true, and the Secret does not hold the current token")
	}
}

// overlapEnd returns when a superseded token retires: at its own end, overlap.max after the next token was created, or once
// the current one is in use and no superseded one was used for overlap.quiet.
func (w *simulation) overlapEnd(status *v1alpha1.JWTRefreshKeyStatus, i int) time.Time {
	end, since := status.Previous[i].ExpiresAt.Time, status.CreatedAt.Time
	if w.usedOnce(status, status.Previous[i]) {
		return end
	}
	if i+1 < len(status.Previous) {
		since = status.Previous[i+1].CreatedAt.Time
	}
	quiet := w.accessLifetime() + QuietMargin
	if r := w.key.Spec.Rotation; r != nil && r.Overlap != nil {
		if r.Overlap.Max != nil && since.Add(r.Overlap.Max.Duration).Before(end) {
			end = since.Add(r.Overlap.Max.Duration)
		}
		if r.Overlap.Quiet != nil {
			quiet = max(quiet, r.Overlap.Quiet.Duration)
		}
	}
	if status.LastUsed != nil && status.LastUsedRevision >= status.Revision {
		if used := status.SupersededLastUsed; used != nil && used.After(since) {
			since = used.Time
		}
		if since.Add(quiet).Before(end) {
			end = since.Add(quiet)
		}
	}
	return end
}

// checkRetired checks that no token retires early.
func (w *simulation) checkRetired(o *observation, plan *Plan, before *v1alpha1.JWTRefreshKeyStatus) {
	for i, superseded := range before.Previous {
		token := w.byJTI[superseded.JTI]
		if made := plan.Line == AdvanceLine; made && w.usedOnce(before, superseded) {
			continue
		}
		if w.inLine(token) || !o.at.Before(superseded.ExpiresAt.Time) {
			continue
		}
		if plan.Line == KeepLine || o.at.Before(w.overlapEnd(before, i)) {
			w.fail("%s was retired before its time", superseded.JTI)
		}
	}
	current := w.byJTI[before.JTI]
	if current != nil && !w.inLine(current) && o.at.Before(current.ExpiresAt) && o.Issuer.KnowsHeldKey && o.served {
		w.fail("%s was current, and is no longer accepted", current.JTI)
	}
}

// heldAccepted returns the token in the Secret if it is accepted; a one-time token only until its first use.
func (w *simulation) heldAccepted() *storedToken {
	secret := w.secrets[SecretName(w.key)]
	if secret == nil || secret.stateFor(w.key) != SecretOwn {
		return nil
	}
	token := w.tokens[secret.token]
	if !w.accepts(token) || !w.served(token) || (w.mode() == v1alpha1.RotationOneTimeUse && w.uses[token.JTI].successor != nil) {
		return nil
	}
	return token
}

// served reports whether the issuer of a token grants its content.
func (w *simulation) served(token *storedToken) bool {
	for _, issuer := range w.issuers {
		if issuer.url != token.terms.Issuer || !issuer.found {
			continue
		}
		return w.ringHolds(issuer.url, token.KeyID) && issuer.policy.Check(policy.Request{
			Namespace: w.key.Namespace, NamespaceLabels: w.namespace.Labels, DefaultSubject: subject, Subject: token.terms.Subject, Audience: token.terms.Audience,
			Lifetime: token.ExpiresAt.Sub(token.CreatedAt), AccessLifetime: w.accessLifetime(),
			Scopes: strings.Fields(token.terms.Scope), Claims: slices.Collect(maps.Keys(token.terms.Claims)),
		}) == nil
	}
	return false
}

// checkFilled checks that no reader of a Secret finds a token that is not accepted yet, or no longer. The exception is an
// unused enrolment of an earlier issuer of the key.
func (w *simulation) checkFilled(secret *storedSecret) {
	token := w.tokens[secret.token]
	if w.usedUp() && !w.interfered {
		w.fail("the Secret was filled again after its token was used")
	}
	oneTime := token != nil && w.mode() == v1alpha1.RotationOneTimeUse && w.fromEarlier(token)
	if !w.accepts(token) && !w.interfered && !oneTime {
		w.fail("the Secret was filled with %s, which is not accepted", secret.token)
	}
	if a := secret.access; a != nil && !w.interfered && (a.revision < w.key.Status.FirstRevision || a.owner != w.key.UID || a.edited || !a.expiresAt.After(w.now) || a.signer != w.accessSigner()) {
		w.fail("the Secret was left with an access token that is not accepted: %+v", *a)
	}
}

// checkEmptied checks that only the Secret of a revoked or expired key is emptied, and that of a used one-time token. This
// includes a superseded token that ends later than the current one, which a user wrote or a crash left.
func (w *simulation) checkEmptied(secret *storedSecret) {
	end := w.key.Status.ExpiresAt
	over := end != nil && !w.now.Before(end.Time)
	if w.usedUp() && secret.token != w.key.Status.TokenHash {
		return
	}
	if _, isReady := w.readyReason(); isReady && !w.interfered {
		w.fail("Ready, and the token was removed from the Secret")
	}
	if token := w.tokens[secret.token]; w.accepts(token) && !w.interfered && !over {
		w.fail("%s was removed from the Secret, and is accepted", token.JTI)
	}
}

// checkRemoved checks that a Secret under an earlier name stays until clients had time to read the new one.
func (w *simulation) checkRemoved(secret *storedSecret) {
	if token := w.tokens[secret.token]; w.accepts(token) && !w.interfered && !w.forged && !w.renamed && !w.renameIsOver() {
		w.fail("a Secret with %s was removed too early", token.JTI)
	}
}

func (w *simulation) renameIsOver() bool {
	name := SecretName(w.key)
	secret := w.secrets[name]
	if name == "" {
		return true
	}
	quiet := w.accessLifetime() + 5*time.Minute
	if r := w.key.Spec.Rotation; r != nil && r.Overlap != nil && r.Overlap.Quiet != nil {
		quiet = max(quiet, r.Overlap.Quiet.Duration)
	}
	return secret != nil && secret.stateFor(w.key) == SecretOwn && secret.token == w.key.Status.TokenHash && !w.now.Before(secret.createdAt.Add(quiet))
}

// readyReason returns the reason that kubectl shows for the key.
func (w *simulation) readyReason() (reason string, isReady bool) {
	ready := meta.FindStatusCondition(w.key.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return "", false
	}
	return ready.Reason, ready.Status == "True"
}
