package lifecycle

import (
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// What can come of a use of a one-time token, in the words of section 6 of the contract.
const (
	claimed     = "claimed"
	forestalled = "forestalled"
	retried     = "a retry"
	rolledOver  = "rolled over"
	reused      = "a reuse"
	refused     = "refused"
)

// claim is a successor that was made on a key as it was read, on its way to the API server.
type claim struct {
	used    *storedToken
	read    *v1alpha1.JWTRefreshKey
	version int
}

// use is the one use of a token: what came of it, and when.
type use struct {
	successor *storedToken
	at        time.Time
}

// use plays a client and the token service around Successor, without any code of theirs. Half of the
// claims arrive later, when the key may not be as it was read.
func (w *world) use() {
	for range 1 + w.random.IntN(4) {
		if token := w.pickToUse(); token != nil {
			w.present(token, w.random.IntN(2) == 0)
		}
		w.now = w.now.Add(time.Duration(w.random.Int64N(int64(20 * time.Second))))
	}
}

// claimArrives: a compare-and-swap. Whoever was forestalled looks again.
func (w *world) claimArrives() {
	if len(w.under) == 0 {
		return
	}
	late := w.under[0]
	w.under = w.under[1:]
	if late.version == w.version {
		w.swap(&late)
		return
	}
	w.counts.claims[forestalled]++
	w.present(late.used, false)
}

// pickToUse is mostly the current token, and else any that there ever was of the key.
func (w *world) pickToUse() *storedToken {
	status := &w.key.Status
	var last []string
	for _, superseded := range status.Previous {
		last = append(last, superseded.JTI)
	}
	switch n := w.random.IntN(8); {
	case n < 4 || len(w.byJTI) == 0:
		return w.byJTI[status.JTI]
	case n < 7 && len(last) > 0:
		return w.byJTI[pick(w, last...)]
	default:
		return w.byJTI[pick(w, slices.Sorted(maps.Keys(w.byJTI))...)]
	}
}

// present is what the token service does with a token that is correctly signed, of a key as it is now.
func (w *world) present(token *storedToken, late bool) {
	if w.mode() != v1alpha1.RotationOneTimeUse || w.forged || w.invalid() || token.uid != w.key.UID || !w.now.Before(token.ExpiresAt) || !w.served(token) {
		return
	}
	status := &w.key.Status
	used := status.LastUsed != nil && token.Revision <= status.LastUsedRevision
	standing := w.inLine(token) && !w.key.Spec.Revoked && w.beforeEnd()
	outcome := refused
	switch {
	case status.Revision == 0 || status.RevokedAt != nil || w.key.Spec.Revoked || !w.beforeEnd():
	case token.JTI == status.JTI:
		w.begin(&claim{used: token, read: w.key, version: w.version}, late)
		return
	case standing && !used:
		outcome = rolledOver
	case standing && status.LastUsedRevision == token.Revision && status.Revision == token.Revision+1 && w.inGrace(status):
		outcome = retried
	case used:
		outcome = reused
		w.patchStatus(func(s *v1alpha1.JWTRefreshKeyStatus) {
			s.RevokedAt, s.RevocationReason, s.Previous = &metav1.Time{Time: w.now.Truncate(time.Second)}, v1alpha1.RevokedReuseDetected, nil
			s.LastHandledRotate = HandledRotate(w.key)
		})
		maps.Copy(w.handled, w.key.Annotations)
	}
	w.counts.claims[outcome]++
	w.note("  the use of %s is %s", token.JTI, outcome)
	w.checkUse(token, outcome)
}

func (w *world) inGrace(status *v1alpha1.JWTRefreshKeyStatus) bool {
	return w.now.Before(status.CreatedAt.Add(RetryGrace(w.key)))
}

func (w *world) begin(c *claim, late bool) {
	if late {
		w.under = append(w.under, *c)
		return
	}
	w.swap(c)
}

// swap puts the successor on record.
func (w *world) swap(c *claim) {
	issuer := w.signerOf(c.used)
	if issuer == nil {
		return
	}
	mint, err := Successor(c.read, issuer.url, w.now)
	if err != nil || !mint.ExpiresAt.After(w.now) {
		return
	}
	jti := fmt.Sprint("t", len(w.tokens)+1)
	next := &storedToken{
		Token: Token{
			Revision: mint.Revision, JTI: jti, Hash: hashOf(jti), KeyID: issuer.signer, CreatedAt: mint.CreatedAt,
			ExpiresAt: mint.ExpiresAt, Content: []byte(`{"jti":"` + jti + `"}`),
		},
		uid: c.read.UID, terms: mint.Terms,
	}
	if !w.served(next) {
		// What spec says by now is not granted: the use is refused, and the token stays as it is.
		return
	}
	if before, twice := w.uses[c.used.JTI]; twice {
		w.fail("%s has two successors: %s and %s", c.used.JTI, before.successor.JTI, jti)
	}
	w.tokens[next.Hash], w.byJTI[jti], w.out[next.Hash] = next, next, true
	w.uses[c.used.JTI] = use{successor: next, at: mint.CreatedAt}
	w.patchStatus(func(s *v1alpha1.JWTRefreshKeyStatus) {
		s.TokenLine = next.Line([]v1alpha1.SupersededToken{Superseded(&c.read.Status.TokenLine)})
		s.LastUsed, s.LastUsedRevision = &metav1.Time{Time: w.now.Truncate(time.Second)}, c.used.Revision
	})
	w.counts.claims[claimed]++
	w.note("  %s is claimed for %s", c.used.JTI, jti)
}

// signerOf is the issuer at whose URL the token is used.
func (w *world) signerOf(token *storedToken) *storedIssuer {
	for _, issuer := range w.issuers {
		if issuer.url == token.terms.Issuer && issuer.found && issuer.ready {
			return issuer
		}
	}
	return nil
}

// checkUse holds what came of a use against what is known of the token's uses.
func (w *world) checkUse(token *storedToken, outcome string) {
	status := &w.key.Status
	before, used := w.uses[token.JTI]
	switch {
	case !used:
		return
	case outcome == rolledOver:
		w.fail("%s was used, and looks as good as new", token.JTI)
	case outcome == retried && (status.JTI != before.successor.JTI || !w.now.Before(before.at.Add(RetryGrace(w.key)))):
		w.fail("a retry of %s, used at %s, gets %s, and its successor was %s", token.JTI, sinceT0(before.at), status.JTI, before.successor.JTI)
	}
	// A retry is not refused: the answer to the use may have been lost.
	if outcome == reused && status.JTI == before.successor.JTI && !w.now.Before(before.at) && w.now.Before(before.at.Add(RetryGrace(w.key))) {
		w.fail("%s was used %s ago, its successor was not, and the retry ended the key", token.JTI, w.now.Sub(before.at))
	}
}

// usedOnce tells whether a superseded token is one for one-time use that was used.
func (w *world) usedOnce(status *v1alpha1.JWTRefreshKeyStatus, token v1alpha1.SupersededToken) bool {
	return w.mode() == v1alpha1.RotationOneTimeUse && token.Revision <= status.LastUsedRevision
}
