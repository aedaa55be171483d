package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// verdict is the result of one check.
type verdict string

const (
	passed  verdict = "passed"
	failed  verdict = "failed"
	unknown verdict = "unknown"
)

// check is the result of one check, with its reason.
type check struct {
	Name    string  `json:"name"`
	Verdict verdict `json:"verdict"`
	Reason  string  `json:"reason"`
}

// evidence is the input of the checks. If a field is nil, the error next to it says why it is unknown.
type evidence struct {
	token *parsed
	now   time.Time
	// issuer has the URL in the token's iss; nil if there is none.
	issuer    *v1alpha1.JWTIssuer
	issuerErr error
	// key is the refresh key that the token names; nil if there is none.
	key    *v1alpha1.JWTRefreshKey
	keyErr error
	// jwks are the issuer's published keys, which verify access tokens.
	jwks    *jose.JSONWebKeySet
	jwksErr error
}

// errNotLookedUp is the error of a lookup that was not made, since the token lacks the name to look up.
var errNotLookedUp = errors.New("not looked up, since the token does not say where")

// examine makes all checks, in the order of the token service.
func examine(e *evidence) []check {
	if e.token.claimsErr != nil || e.token.headerErr != nil {
		return []check{e.form()}
	}
	checks := []check{e.form(), e.typ(), e.iss(), e.kid(), e.signature(), e.time(), e.object(), e.alive()}
	if e.refresh() {
		checks = append(checks, e.standing(), e.policy())
	} else {
		checks = append(checks, e.issuedFrom())
	}
	return append(checks, e.binding()...)
}

// accepted returns failed if a check failed, otherwise unknown if a check could not be made, otherwise passed.
func accepted(checks []check) verdict {
	is := func(v verdict) func(check) bool { return func(c check) bool { return c.Verdict == v } }
	switch {
	case slices.ContainsFunc(checks, is(failed)):
		return failed
	case slices.ContainsFunc(checks, is(unknown)):
		return unknown
	default:
		return passed
	}
}

func pass(name, format string, args ...any) check {
	return check{name, passed, fmt.Sprintf(format, args...)}
}

func reject(name, format string, args ...any) check {
	return check{name, failed, fmt.Sprintf(format, args...)}
}

func unsure(name string, err error) check { return check{name, unknown, err.Error()} }

func (e *evidence) refresh() bool { return e.token.text("typ") == string(token.Refresh) }

func (e *evidence) form() check {
	switch {
	case e.token.headerErr != nil:
		return reject("form", "%v", e.token.headerErr)
	case e.token.claimsErr != nil:
		return reject("form", "the payload is not that of a refresh key's token: %v", e.token.claimsErr)
	case len(e.token.header) != 3 || e.token.text("typ") == "" || e.token.text("alg") == "" || e.token.text("kid") == "":
		return reject("form", "the header must hold typ, alg and kid, and nothing else")
	default:
		return pass("form", "three parts, a header of typ, alg and kid, and the claims of a refresh key's token")
	}
}

func (e *evidence) typ() check {
	revision := e.token.claims.Object.Revision
	switch typ := token.Type(e.token.text("typ")); {
	case typ == token.Refresh && revision > 0:
		return pass("type", "a refresh token (%s), revision %d: for the token endpoint only", typ, revision)
	case typ == token.Access && e.token.claims.ServiceAccount == "":
		return pass("type", "an access token (%s): for the API %s", typ, e.token.claims.Audience)
	case typ == token.Refresh || typ == token.Access:
		return reject("type", "typ is %s, but the claims are those of the other type", typ)
	default:
		return reject("type", "typ is neither %s nor %s", token.Refresh, token.Access)
	}
}

func (e *evidence) iss() check {
	url := e.token.claims.Issuer
	switch {
	case e.issuerErr != nil:
		return unsure("issuer", e.issuerErr)
	case e.issuer == nil:
		return reject("issuer", "no JWTIssuer has the url %s", url)
	default:
		return pass("issuer", "JWTIssuer %s has the url %s", e.issuer.Name, url)
	}
}

// ring returns the ring of signing keys for the token's type.
func (e *evidence) ring() v1alpha1.KeyUse {
	if e.refresh() {
		return v1alpha1.KeyUse(keyring.Refresh)
	}
	return v1alpha1.KeyUse(keyring.Access)
}

func (e *evidence) kid() check {
	kid, alg := e.token.text("kid"), e.token.text("alg")
	if e.issuer == nil {
		return unsure("signing key", errOr(e.issuerErr, "without an issuer, there are no signing keys"))
	}
	for _, key := range e.issuer.Status.Keys {
		if key.KID != kid || key.Use != e.ring() {
			continue
		}
		if string(key.Algorithm) != alg {
			return reject("signing key", "signing key %s signs with %s, but the token's alg is %s", kid, key.Algorithm, alg)
		}
		return pass("signing key", "%s is %s in the %s ring, and signs with %s", kid, key.State, key.Use, alg)
	}
	return reject("signing key", "%s is not in the %s ring of issuer %s: withdrawn, retired, or never a key of this issuer", truncate(kid, 64), e.ring(), e.issuer.Name)
}

func errOr(err error, otherwise string) error {
	if err != nil {
		return err
	}
	return errors.New(otherwise)
}

// signature verifies an access token with the published keys. The keys of the refresh ring are not published: for a
// refresh token, it compares the hash on record.
func (e *evidence) signature() check {
	if e.refresh() {
		return e.recorded()
	}
	if e.jwks == nil {
		return unsure("signature", errOr(e.jwksErr, "the published keys are unknown"))
	}
	keys := e.jwks.Key(e.token.text("kid"))
	if len(keys) != 1 {
		return reject("signature", "the published keys do not include the one that the token names")
	}
	signed, err := jose.ParseSignedCompact(e.token.compact, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(keys[0].Algorithm)})
	if err == nil {
		_, err = signed.Verify(keys[0].Key)
	}
	if err != nil {
		return reject("signature", "the signature is not by the signing key that the token names: the token was changed or forged")
	}
	return pass("signature", "by the signing key that the token names, which is published")
}

func (e *evidence) recorded() check {
	if e.key == nil {
		return unsure("signature", errOr(e.keyErr, "the keys that sign refresh tokens are not published, and no token is on record"))
	}
	known := map[string]string{e.key.Status.JTI: e.key.Status.TokenHash}
	for _, superseded := range e.key.Status.Previous {
		known[superseded.JTI] = superseded.TokenHash
	}
	switch hash, ok := known[e.token.claims.JTI]; {
	case !ok:
		return unsure("signature", errors.New("the keys that sign refresh tokens are not published, and this token is no longer on record"))
	case hash != token.Hash(e.token.compact):
		return reject("signature", "the text is not the one on record for this jti: the token was changed or forged")
	default:
		return pass("signature", "the text is the one that was issued (its hash is on record)")
	}
}

// time allows for clock skew at the token's start, as verifiers do. It allows none at the token's end, as the token
// endpoint does not.
func (e *evidence) time() check {
	claims := e.token.claims
	switch {
	case e.now.Before(claims.IssuedAt.Add(-2 * token.Skew)):
		return reject("time", "not valid before %s", stamp(claims.IssuedAt.Add(-token.Skew), e.now))
	case !e.now.Before(claims.ExpiresAt):
		return reject("time", "expired %s", stamp(claims.ExpiresAt, e.now))
	default:
		return pass("time", "issued %s, expires %s", stamp(claims.IssuedAt, e.now), stamp(claims.ExpiresAt, e.now))
	}
}

func (e *evidence) object() check {
	object := e.token.claims.Object
	name := object.Namespace + "/" + object.Name
	switch {
	case e.keyErr != nil:
		return unsure("key", e.keyErr)
	case e.key == nil:
		return reject("key", "there is no JWTRefreshKey %s: it was deleted, and its tokens ended with it", name)
	case string(e.key.UID) != object.UID:
		return reject("key", "JWTRefreshKey %s was deleted and created again: the token belongs to the earlier one", name)
	default:
		return pass("key", "JWTRefreshKey %s, with the uid in the token", name)
	}
}

// alive checks that the key is neither revoked, deleted nor expired. For an access token, the reason adds that an API
// that verifies tokens locally does not observe this.
func (e *evidence) alive() check {
	caveat := ""
	if !e.refresh() {
		caveat = "; an API that does not introspect accepts the token until it expires"
	}
	key := e.key
	switch {
	case key == nil:
		return unsure("alive", errOr(e.keyErr, "the refresh key is unknown"))
	case key.DeletionTimestamp != nil:
		return reject("alive", "the key is being deleted%s", caveat)
	case key.Status.RevokedAt != nil:
		return reject("alive", "the key was revoked %s: %s%s", stamp(key.Status.RevokedAt.Time, e.now), key.Status.RevocationReason, caveat)
	case key.Spec.Revoked:
		return reject("alive", "the key is revoked by its spec%s", caveat)
	case key.Spec.ExpiresAt != nil && !e.now.Before(key.Spec.ExpiresAt.Time):
		return reject("alive", "the key ended %s%s", stamp(key.Spec.ExpiresAt.Time, e.now), caveat)
	default:
		return pass("alive", "neither revoked nor expired")
	}
}

func (e *evidence) standing() check {
	if e.key == nil {
		return unsure("standing", errOr(e.keyErr, "the refresh key is unknown"))
	}
	claims := e.token.claims
	current := e.key.Status.Revision
	switch lifecycle.StandingOf(e.key, lifecycle.Presented{UID: claims.Object.UID, JTI: claims.JTI, Revision: claims.Object.Revision}, e.now) {
	case lifecycle.StandingCurrent:
		return pass("standing", "the current token, revision %d", current)
	case lifecycle.StandingUnrecorded:
		return pass("standing", "the key's first token, about to be recorded")
	case lifecycle.StandingSuperseded:
		return pass("standing", "revision %d was superseded by %d, and is accepted in the overlap", claims.Object.Revision, current)
	}
	if lifecycle.BelowFirst(e.key, claims.Object.Revision) {
		return reject("standing", "revision %d was ended by a revocation, a logout, a reuse or rotate-now; the first accepted revision is %d", claims.Object.Revision, e.key.Status.FirstRevision)
	}
	if claims.Object.Revision < current && lifecycle.OneTime(e.key) {
		return reject("standing", "revision %d was used; the current one is %d. Using it again revokes the key", claims.Object.Revision, current)
	}
	if e.alive().Verdict == failed || e.object().Verdict == failed {
		return reject("standing", "the key is revoked or expired")
	}
	return reject("standing", "revision %d retired; the current one is %d", claims.Object.Revision, current)
}

// issuedFrom checks that the refresh token from which an access token was issued is accepted, or was superseded
// in the ordinary way.
func (e *evidence) issuedFrom() check {
	const caveat = "; an API that does not introspect accepts the token until it expires"
	if e.key == nil {
		return unsure("standing", errOr(e.keyErr, "the refresh key is unknown"))
	}
	object, status := &e.token.claims.Object, &e.key.Status
	switch {
	case lifecycle.Honours(e.key, object.UID, object.Revision, e.now) && object.Revision == 0:
		return pass("standing", "issued by an earlier release, which did not record the revision")
	case lifecycle.Honours(e.key, object.UID, object.Revision, e.now):
		return pass("standing", "issued from revision %d; the current one is %d", object.Revision, status.Revision)
	case lifecycle.BelowFirst(e.key, object.Revision):
		return reject("standing", "issued from a revision that was ended by a revocation, a logout, a reuse or rotate-now; the first accepted revision is %d%s", status.FirstRevision, caveat)
	case e.alive().Verdict == failed || e.object().Verdict == failed:
		return reject("standing", "the key is revoked or expired%s", caveat)
	default:
		return reject("standing", "issued from revision %d, which is not on record; the current one is %d%s", object.Revision, status.Revision, caveat)
	}
}

// policy checks that the issuer's policy allows the key. The token service evaluates it at each exchange, so a denied
// key can be allowed again.
func (e *evidence) policy() check {
	switch {
	case e.key == nil:
		return unsure("policy", errOr(e.keyErr, "the refresh key is unknown"))
	case readyReason(e.key) == v1alpha1.ReasonPolicyDenied:
		return reject("policy", "the issuer's policy does not allow what the key requests; the token is accepted again once it does")
	default:
		return pass("policy", "the issuer's policy allows what the key requests")
	}
}

// binding reports what a client must present with the token. It cannot check that proof, which is not available here.
func (e *evidence) binding() []check {
	claims := e.token.claims
	var needs []string
	if claims.ServiceAccount != "" {
		needs = append(needs, "a token of ServiceAccount "+claims.ServiceAccount+" as client assertion")
	}
	if claims.JWKThumbprint != "" {
		needs = append(needs, "a DPoP proof with the key "+claims.JWKThumbprint)
	}
	if e.refresh() && e.key != nil && e.key.Spec.Binding != nil && len(needs) == 0 {
		return []check{reject("binding", "the key was bound after this token was issued, and this token is not bound")}
	}
	if len(needs) == 0 {
		return []check{pass("binding", "none: any holder of the token may present it")}
	}
	return []check{pass("binding", "accepted only with %s", strings.Join(needs, " and "))}
}

// document is the result of all checks, for scripts.
type document struct {
	Accepted string          `json:"accepted"`
	Header   map[string]any  `json:"header,omitempty"`
	Claims   json.RawMessage `json:"claims,omitempty"`
	Checks   []check         `json:"checks"`
	// Token is the token's text, if --show-token is set.
	Token string `json:"token,omitempty"`
}
