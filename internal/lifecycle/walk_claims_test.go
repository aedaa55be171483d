package lifecycle

import (
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// Results of a use of a one-time token.
const (
	claimed     = "claimed"
	forestalled = "forestalled"
	kept        = "kept"
	retried     = "a retry"
	rolledOver  = "rolled over"
	reused      = "a reuse"
	refused     = "refused"
	waits       = "for later"
)

var outcomes = map[OneTimeAnswer]string{
	OneTimeAgain: kept, OneTimeCurrent: retried, OneTimeRollOver: rolledOver, OneTimeReused: reused, OneTimeRefused: refused,
	OneTimeUnrecorded: waits, OneTimeWaits: waits, OneTimeUnknown: waits,
}

// claim is a successor that was minted for the key as read, and whose write has not arrived yet.
type claim struct {
	used    *storedToken
	read    *v1alpha1.JWTRefreshKey
	version int
	// previous are the superseded tokens of the claim, as of the time at.
	previous []v1alpha1.SupersededToken
	at       time.Time
}

// use is the use of a one-time token: its successor and its time.
type use struct {
	successor *storedToken
	at        time.Time
}

// use simulates clients and the token service around DecideOneTime. Half of the claims arrive later, when the key may have
// changed.
func (w *simulation) use() {
	for range 1 + w.random.IntN(4) {
		if token := w.pickToUse(); token != nil {
			w.present(token, w.random.IntN(2) == 0)
		}
		w.now = w.now.Add(time.Duration(w.random.Int64N(int64(20 * time.Second))))
	}
}

// claimArrives simulates the compare-and-swap. After a conflict, the token service reads the key again.
func (w *simulation) claimArrives() {
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

// pickToUse returns mostly the current token, and otherwise any token of the key.
func (w *simulation) pickToUse() *storedToken {
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

// present simulates the token service for a correctly signed token and the key as it is now. The client of a bound token
// proves its DPoP key.
func (w *simulation) present(token *storedToken, late bool) {
	if w.mode() != v1alpha1.RotationOneTimeUse || w.forged || w.invalid() || token.uid != w.key.UID || !w.now.Before(token.ExpiresAt) || !w.served(token) {
		return
	}
	status := &w.key.Status
	if status.RevokedAt != nil || w.key.Spec.Revoked || !w.beforeEnd() {
		w.counts.claims[refused]++
		return
	}
	u := &OneTimeUse{Key: w.key, JTI: token.JTI, Revision: token.Revision, Live: true, Now: w.now}
	if current := w.byJTI[status.JTI]; current != nil {
		u.HolderProven = token.terms.JWKThumbprint != "" && token.terms.JWKThumbprint == current.terms.JWKThumbprint
	}
	held := &Held{Terms: token.terms, IssuedAt: token.CreatedAt, ExpiresAt: token.ExpiresAt}
	differs, err := Outdated(w.key, token.terms.Issuer, held)
	u.TermsDiffer = differs || err != nil
	answer := DecideOneTime(u)
	if answer == OneTimeFollow {
		w.checkFollow(token)
		previous, _ := KeptInGrace(w.key, w.now)
		w.begin(&claim{used: token, read: w.key, version: w.version, previous: previous, at: w.now}, late)
		return
	}
	switch outcome := outcomes[answer]; outcome {
	case reused:
		w.patchStatus(func(s *v1alpha1.JWTRefreshKeyStatus) {
			s.RevokedAt, s.RevocationReason, s.Previous = &metav1.Time{Time: w.now.Truncate(time.Second)}, v1alpha1.RevokedReuseDetected, nil
			s.LastHandledRotate = HandledRotate(w.key)
		})
		maps.Copy(w.handled, w.key.Annotations)
		w.came(token, u, status, outcome)
	case kept:
		w.patchStatus(func(s *v1alpha1.JWTRefreshKeyStatus) { s.LastUsed = &metav1.Time{Time: w.now.Truncate(time.Second)} })
		w.came(token, u, status, outcome)
	default:
		w.came(token, u, status, outcome)
	}
}

// came counts the result of a use, and checks it against the token's earlier uses. status is the one before the use.
func (w *simulation) came(token *storedToken, u *OneTimeUse, status *v1alpha1.JWTRefreshKeyStatus, outcome string) {
	w.counts.claims[outcome]++
	w.note("  the use of %s is %s", token.JTI, outcome)
	w.checkUse(token, u, status, outcome)
}

func (w *simulation) begin(c *claim, late bool) {
	if late {
		w.under = append(w.under, *c)
		return
	}
	w.swap(c)
}

// swap records the successor.
func (w *simulation) swap(c *claim) {
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
		// The policy does not grant the current spec: the use is refused, and the token does not change.
		return
	}
	if before, twice := w.uses[c.used.JTI]; twice {
		w.fail("%s has two successors: %s and %s", c.used.JTI, before.successor.JTI, jti)
	}
	w.tokens[next.Hash], w.byJTI[jti], w.out[next.Hash] = next, next, true
	w.uses[c.used.JTI] = use{successor: next, at: mint.CreatedAt}
	w.patchStatus(func(s *v1alpha1.JWTRefreshKeyStatus) {
		s.TokenLine = next.Line(c.previous)
		s.LastUsed, s.LastUsedRevision = &metav1.Time{Time: w.now.Truncate(time.Second)}, c.used.Revision
	})
	w.checkKept(c)
	w.counts.claims[claimed]++
	w.note("  %s is claimed for %s", c.used.JTI, jti)
}

// signerOf returns the issuer at whose URL the token is used.
func (w *simulation) signerOf(token *storedToken) *storedIssuer {
	for _, issuer := range w.issuers {
		if issuer.url == token.terms.Issuer && issuer.found && issuer.ready {
			return issuer
		}
	}
	return nil
}

// checkFollow checks that no use supersedes a one-time token that is younger than the grace, unless spec requires another
// content.
func (w *simulation) checkFollow(token *storedToken) {
	for _, before := range w.uses {
		if before.successor == token && w.now.Before(token.CreatedAt.Add(RetryGrace(w.key))) && !w.saysOther(token) && !w.lastsOther(token) {
			w.fail("%s is superseded and only %s old", token.JTI, w.now.Sub(token.CreatedAt))
		}
	}
}

// checkKept checks that a claim keeps every token whose client may still request its successor.
func (w *simulation) checkKept(c *claim) {
	for _, superseded := range c.read.Status.Previous {
		before, used := w.uses[superseded.JTI]
		if used && c.at.Before(before.at.Add(RetryGrace(c.read))) && c.at.Before(superseded.ExpiresAt.Time) && !w.inLine(w.byJTI[superseded.JTI]) {
			w.fail("%s was used %s ago, and a claim drops it", superseded.JTI, c.at.Sub(before.at))
		}
	}
	if n := len(w.key.Status.Previous); n > 2 {
		w.fail("a claim keeps %d superseded tokens", n)
	}
}

// checkUse checks the result of a use against the token's earlier uses.
func (w *simulation) checkUse(token *storedToken, u *OneTimeUse, status *v1alpha1.JWTRefreshKeyStatus, outcome string) {
	before, used := w.uses[token.JTI]
	if !used {
		return
	}
	grace := RetryGrace(w.key)
	over := grace == 0 || !w.now.Before(before.at.Add(grace+5*time.Second))
	listed := slices.ContainsFunc(status.Previous, func(t v1alpha1.SupersededToken) bool { return t.JTI == token.JTI })
	switch {
	case outcome == rolledOver:
		w.fail("%s was used, and counts as unused", token.JTI)
	case outcome == kept:
		w.fail("%s was used, and is kept as unused", token.JTI)
	case outcome == retried && over && !u.HolderProven:
		w.fail("%s was used at %s, and its unbound holder still gets %s", token.JTI, sinceT0(before.at), status.JTI)
	case outcome == reused && (u.HolderProven || (listed && !over && !w.now.Before(before.at))):
		// The answer to the use may have been lost, or another process of the client may be late.
		w.fail("%s was used %s ago, and its holder ended the key", token.JTI, w.now.Sub(before.at))
	}
}

// usedOnce reports whether a superseded token is a one-time token that was used.
func (w *simulation) usedOnce(status *v1alpha1.JWTRefreshKeyStatus, token v1alpha1.SupersededToken) bool {
	return w.mode() == v1alpha1.RotationOneTimeUse && token.Revision <= status.LastUsedRevision
}
