package lifecycle

import (
	"slices"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// honours tells whether an access token is good that was issued from a token of that revision, in the
// words of the issue: the key is not revoked, and firstRevision <= revision <= the current revision.
// The access tokens of a first token are good before it is on record.
func (w *world) honours(revision int64) bool {
	status := &w.key.Status
	return status.RevokedAt == nil && !w.key.Spec.Revoked && status.FirstRevision <= revision && revision <= max(status.Revision, 1)
}

// bury notes that all tokens of the key that anybody can have are to stay refused, but for one.
func (w *world) bury(but string) {
	for hash := range w.out {
		if token := w.tokens[hash]; token != nil && token.uid == w.key.UID && hash != but {
			w.buried[hash] = true
		}
	}
}

// checkFirstRevision holds the first revision that a write of the manager leaves against what was asked for
// when it looked.
func (w *world) checkFirstRevision(o *observation, plan *Plan, before *v1alpha1.JWTRefreshKeyStatus) {
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

// checkBuried: nothing that was issued before an end comes to life again.
func (w *world) checkBuried() {
	for hash := range w.buried {
		token := w.tokens[hash]
		if token.uid == w.key.UID && w.honours(token.Revision) && !w.forged {
			w.fail("%s of revision %d was issued before the line was ended, and is good again: first revision %d, revision %d",
				token.JTI, token.Revision, w.key.Status.FirstRevision, w.key.Status.Revision)
		}
	}
}

// nextRevision is the revision that a plan is to make. One that may have been given out is never given again.
func (w *world) nextRevision(plan *Plan) int64 {
	status := &w.key.Status
	if plan.Line == IssueFirst {
		return 1
	}
	return max(status.Revision, status.FirstRevision, 1) + 1
}

// holdsToken tells whether our Secret holds a token of any kind.
func (w *world) holdsToken() bool {
	secret := w.secrets[SecretName(w.key)]
	return secret != nil && secret.stateFor(w.key) == SecretOwn && (secret.token != "" || secret.access != nil)
}
