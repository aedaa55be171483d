// Package token signs and parses the two kinds of token: refresh tokens (typ rt+jwt) and
// access tokens (typ at+jwt, RFC 9068). It also signs id_tokens. A token is a pure function of its claims and its
// signing key, so a lost token can be recreated, byte for byte, from its payload.
//
// Only this package imports golang-jwt. Verify tokens only with Parse, which checks them
// strictly.
package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/canonical"
)

// Type is the typ of a token's header. Refresh and access tokens exclude each other by it
// (RFC 8725 §3.11), and by the ring that signs them.
type Type string

// The types of token.
const (
	Refresh Type = "rt+jwt"
	Access  Type = "at+jwt"
)

// Skew is the accepted difference between clocks: nbf is earlier by it, and
// verification allows it at both ends.
const Skew = 60 * time.Second

// objectClaim is the private claim (RFC 7519 §4.3) that names the JWTRefreshKey of a token.
const objectClaim = "refreshkeys.dev"

// serviceAccountMember is a private confirmation member (RFC 7800 §3.1) that only the
// token service reads: access tokens do not contain it.
const serviceAccountMember = "refreshkeys.dev/service-account"

// Object is the JWTRefreshKey that a token belongs to.
type Object struct {
	Namespace string
	Name      string
	UID       string
	// Revision is that of the refresh token, and in an access token that of the refresh token it was issued
	// from. It is 0 in access tokens of earlier releases.
	Revision int64
}

// Claims are the claims of a token. Times are whole seconds.
type Claims struct {
	Issuer    string
	Subject   string
	Audience  string
	IssuedAt  time.Time
	ExpiresAt time.Time
	JTI       string
	ClientID  string
	// Scope lists the granted scopes, separated by spaces (RFC 6749 §3.3); empty for none.
	Scope string
	// JWKThumbprint is cnf.jkt (RFC 9449 §6.1); empty for none.
	JWKThumbprint string
	// ServiceAccount is the ServiceAccount that a refresh token is bound to; empty for none.
	ServiceAccount string
	// Extra are the added claims by name, each as canonical JSON.
	Extra  map[string]string
	Object Object
	// KeyID is the kid of the signing key, from the header: Parse sets it, and Payload
	// ignores it.
	KeyID string
}

// registered are the claims with a field in Claims.
var registered = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "cnf", objectClaim}

const (
	// payloadMembers and payloadLength are sufficient for most payloads.
	payloadMembers = 11
	payloadLength  = 512
)

// Payload is the canonical payload: names sorted, no insignificant space, no nulls.
func (c *Claims) Payload() ([]byte, error) {
	object := &canonical.Object{}
	object.Text("namespace", c.Object.Namespace)
	object.Text("name", c.Object.Name)
	object.Text("uid", c.Object.UID)
	if c.Object.Revision != 0 {
		object.Number("revision", c.Object.Revision)
	}
	payload := canonical.NewObject(payloadMembers+len(c.Extra), payloadLength)
	payload.Text("iss", c.Issuer)
	payload.Text("sub", c.Subject)
	payload.Text("aud", c.Audience)
	payload.Number("iat", c.IssuedAt.Unix())
	payload.Number("nbf", c.IssuedAt.Add(-Skew).Unix())
	payload.Number("exp", c.ExpiresAt.Unix())
	payload.Text("jti", c.JTI)
	payload.Text("client_id", c.ClientID)
	payload.Object(objectClaim, object)
	if c.Scope != "" {
		payload.Text("scope", c.Scope)
	}
	if cnf := c.confirmation(); cnf != nil {
		payload.Object("cnf", cnf)
	}
	for name, value := range c.Extra {
		if reserved(name) {
			return nil, fmt.Errorf("claim %q is registered and cannot be set", name)
		}
		if err := payload.Raw(name, value); err != nil {
			return nil, fmt.Errorf("claim %q: %w", name, err)
		}
	}
	return payload.JSON(), nil
}

// confirmation returns the value of cnf; nil for an unbound token.
func (c *Claims) confirmation() *canonical.Object {
	if c.JWKThumbprint == "" && c.ServiceAccount == "" {
		return nil
	}
	cnf := &canonical.Object{}
	if c.JWKThumbprint != "" {
		cnf.Text("jkt", c.JWKThumbprint)
	}
	if c.ServiceAccount != "" {
		cnf.Text(serviceAccountMember, c.ServiceAccount)
	}
	return cnf
}

// reserved reports whether name is, in upper or lower case, one of the registered claims:
// parsers that ignore case must not mistake an added claim for one.
func reserved(name string) bool { return isOneOf(registered, name) }

func isOneOf(claims []string, name string) bool {
	return slices.ContainsFunc(claims, func(claim string) bool { return strings.EqualFold(name, claim) })
}

// ParsePayload parses a payload that this package wrote. It returns an error for any other
// payload: a missing or mistyped claim, a repeated name, two names that differ only in case.
func ParsePayload(raw []byte) (*Claims, error) {
	value, err := canonical.Decode(raw)
	if err != nil {
		return nil, err
	}
	payload, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("not an object")
	}
	r := reader{payload: payload}
	c := &Claims{
		Issuer:    r.text("iss"),
		Subject:   r.text("sub"),
		Audience:  r.text("aud"),
		IssuedAt:  r.time("iat"),
		ExpiresAt: r.time("exp"),
		JTI:       r.text("jti"),
		ClientID:  r.text("client_id"),
	}
	if nbf := r.time("nbf"); r.err == nil && !nbf.Equal(c.IssuedAt.Add(-Skew)) {
		r.fail("nbf", "is not iat less the skew")
	}
	if _, ok := payload["scope"]; ok {
		c.Scope = r.text("scope")
	}
	c.Object = r.object()
	r.confirmation(c)
	if r.err == nil {
		c.Extra, r.err = extraClaims(payload)
	}
	if r.err != nil {
		return nil, r.err
	}
	return c, nil
}

func extraClaims(payload map[string]any) (map[string]string, error) {
	extra := map[string]any{}
	maps.Copy(extra, payload)
	for _, name := range registered {
		delete(extra, name)
	}
	if len(extra) == 0 {
		return nil, nil
	}
	claims := make(map[string]string, len(extra))
	folded := make(map[string]bool, len(extra))
	for name, value := range extra {
		if reserved(name) || folded[strings.ToLower(name)] {
			return nil, errors.New("two claim names differ only in the case of letters")
		}
		folded[strings.ToLower(name)] = true
		encoded, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		claims[name] = string(encoded)
	}
	return claims, nil
}

// reader removes claims from a payload and keeps the first error.
type reader struct {
	payload map[string]any
	err     error
}

func (r *reader) fail(name, what string) {
	if r.err == nil {
		r.err = fmt.Errorf("claim %s %s", name, what)
	}
}

func (r *reader) text(name string) string {
	text, ok := r.payload[name].(string)
	if !ok || text == "" {
		r.fail(name, "is not a text")
	}
	return text
}

// time reads a NumericDate (RFC 7519 §2) of whole seconds. A missing one is an error: without
// it, a token would never expire.
func (r *reader) time(name string) time.Time {
	seconds, ok := r.payload[name].(int64)
	if !ok || seconds <= 0 || seconds > MaxNumericDate {
		r.fail(name, "is not a time in whole seconds")
	}
	return time.Unix(seconds, 0).UTC()
}

// MaxNumericDate is the latest NumericDate (RFC 7519 §2) that is accepted, in seconds: the end of the year 9999, the last year
// of RFC 3339.
const MaxNumericDate = 253402300799

func (r *reader) object() Object {
	member, ok := r.payload[objectClaim].(map[string]any)
	if !ok {
		r.fail(objectClaim, "is not an object")
		return Object{}
	}
	inner := reader{payload: member}
	object := Object{Namespace: inner.text("namespace"), Name: inner.text("name"), UID: inner.text("uid")}
	if revision, present := member["revision"]; present {
		object.Revision, ok = revision.(int64)
		if !ok || object.Revision < 1 {
			inner.fail("revision", "is not a number from 1")
		}
	}
	if inner.err != nil {
		r.fail(objectClaim, inner.err.Error())
	}
	return object
}

func (r *reader) confirmation(c *Claims) {
	value, present := r.payload["cnf"]
	if !present {
		return
	}
	members, ok := value.(map[string]any)
	if !ok {
		r.fail("cnf", "is not an object")
	}
	inner := reader{payload: members}
	for name := range members {
		switch name {
		case "jkt":
			c.JWKThumbprint = inner.text(name)
		case serviceAccountMember:
			c.ServiceAccount = inner.text(name)
		default:
			inner.fail(name, "is unknown")
		}
	}
	if inner.err != nil {
		r.fail("cnf", "has a member that is not understood")
	}
}
