package lifecycle

import (
	"slices"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// honours reports whether an access token that was issued from a token of that revision is accepted: the key is not revoked,
// and firstRevision <= revision <= the current revision. The access tokens of a first token are accepted before it is
// recorded.
func (w *simulation) honours(revision int64) bool {
	status := &w.key.Status
	return status.RevokedAt == nil && !w.key.Spec.Revoked && status.FirstRevision <= revision && revision <= max(status.Revision, 1)
}

// bury notes that all tokens of the key that a client can have must stay refused, except one.
func (w *simulation) bury(but string) {
	for hash := range w.out {
		if token := w.tokens[hash]; token != nil && token.uid == w.key.UID && hash != but {
			w.buried[hash] = true
		}
	}
}

// checkFirstRevision checks the first revision after a write of the manager against the requests that it observed.
func (w *simulation) checkFirstRevision(o *observation, plan *Plan, before *v1alpha1.JWTRefreshKeyStatus) {
	after := &w.key.Status
	if before.RevokedAt == nil && after.RevokedAt != nil {
		w.bury("")
	}
	made := plan.Line == IssueFirst || plan.Line == AdoptFound || plan.Line == AdvanceLine
	if !made {
		if after.FirstRevision != before.FirstRevision {
			w.fail("first revision %d became %d by line step %d", before.FirstRevision, after.FirstRevision, plan.Line)
		}
		w.checkBuried()
		return
	}
	w.out[after.TokenHash] = true
	ends := before.RevokedAt != nil || slices.ContainsFunc(o.due.must, retiresAtOnce)
	switch {
	case ends:
		w.bury(after.TokenHash)
	case after.FirstRevision != before.FirstRevision:
		w.fail("first revision %d became %d by a rotation for %q", before.FirstRevision, after.FirstRevision, plan.Cause)
	}
	if current := w.byJTI[after.JTI]; !w.honours(current.Revision) && !w.key.Spec.Revoked {
		w.fail("first revision %d is above the new line of revision %d", after.FirstRevision, after.Revision)
	}
	w.checkBuried()
}

// checkBuried checks that no token that was issued before an end is accepted again.
func (w *simulation) checkBuried() {
	for hash := range w.buried {
		token := w.tokens[hash]
		if token.uid == w.key.UID && w.honours(token.Revision) && !w.forged {
			w.fail("%s of revision %d was issued before the line was ended, and is good again: first revision %d, revision %d",
				token.JTI, token.Revision, w.key.Status.FirstRevision, w.key.Status.Revision)
		}
	}
}

// nextRevision returns the revision that a plan mints. A revision that may have been handed out is never used again.
func (w *simulation) nextRevision(plan *Plan) int64 {
	status := &w.key.Status
	if plan.Line == IssueFirst {
		return 1
	}
	return max(status.Revision, status.FirstRevision, 1) + 1
}

// holdsToken reports whether the key's Secret holds a token of any kind.
func (w *simulation) holdsToken() bool {
	secret := w.secrets[SecretName(w.key)]
	return secret != nil && secret.stateFor(w.key) == SecretOwn && (secret.token != "" || secret.access != nil)
}
