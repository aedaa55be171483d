package tokenserver_test

import (
	"strings"
	"testing"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/test/framework/forge"
)

// forgedTimes are correctly signed tokens with invalid times: exp is required, and times are whole seconds in the
// range of a calendar (RFC 7519 §2).
func (s *attackHarness) forgedTimes() []presented {
	exp, iat, nbf := s.seconds("exp", 0), s.seconds("iat", 0), s.seconds("nbf", 0)
	// The good token was issued within this minute, so iat is the current time.
	ended := func(seconds int64) string { return s.with("exp", s.seconds("iat", -seconds)) }
	return []presented{
		refused("exp missing", s.with("exp", "")),
		refused("exp 0", s.with("exp", "0")),
		refused("exp -1", s.with("exp", "-1")),
		refused("exp a text", s.with("exp", `"`+exp+`"`)),
		refused("exp 1e309", s.with("exp", "1e309")),
		refused("exp 1e300", s.with("exp", "1e300")),
		refused("exp with a fraction", s.with("exp", exp+".5")),
		refused("exp with an exponent", s.with("exp", exp+"e0")),
		refused("exp not a number", s.with("exp", "NaN")),
		refused("exp null", s.with("exp", "null")),
		refused("exp a list", s.with("exp", "["+exp+"]")),
		refused("exp after the year 9999", s.with("exp", "253402300800")),
		refused("exp beyond 63 bits", s.with("exp", "9223372036854775808")),
		refused("exp an hour ago", ended(3600)),
		// A verifier allows for clock skew; a token endpoint does not.
		{"exp 20 s ago, within the skew", ended(20), "400 invalid_grant", true},
		refused("nbf ahead", s.with("nbf", s.seconds("nbf", 3600))),
		refused("nbf missing", s.with("nbf", "")),
		refused("nbf a text", s.with("nbf", `"`+nbf+`"`)),
		refused("iat and nbf ahead", s.with("iat", s.seconds("iat", 3600), "nbf", s.seconds("nbf", 3600))),
		refused("iat ahead", s.with("iat", s.seconds("iat", 3600))),
		refused("iat missing", s.with("iat", "")),
		refused("iat negative", s.with("iat", "-"+iat)),
	}
}

// forgedIdentities are correctly signed tokens with other identities, as only a stolen signing key could make.
func (s *attackHarness) forgedIdentities() []presented {
	url, other := s.url(), s.other
	return []presented{
		// The issuer is compared byte for byte (RFC 8414 §3.3).
		refused("iss with a slash after it", s.with("iss", `"`+url+`/"`)),
		refused("iss in capitals", s.with("iss", `"`+strings.Replace(url, "tokens", "TOKENS", 1)+`"`)),
		refused("iss with its port", s.with("iss", `"`+strings.Replace(url, ".com/", ".com:443/", 1)+`"`)),
		refused("iss by http", s.with("iss", `"`+strings.Replace(url, "https", "http", 1)+`"`)),
		refused("iss without its path", s.with("iss", `"https://tokens.example.com"`)),
		refused("iss empty", s.with("iss", `""`)),
		refused("iss a list", s.with("iss", `["`+url+`"]`)),
		refused("iss missing", s.with("iss", "")),
		refused("aud a list", s.with("aud", `["`+audience+`"]`)),
		refused("unknown jti", s.with("jti", `"of-nothing"`)),
		refused("jti of another key", s.with("jti", `"`+other.Status.JTI+`"`)),
		refused("jti missing", s.with("jti", "")),
		refused("jti a number", s.with("jti", "7")),
		refused("revision of the future", s.object("revision", "2")),
		refused("revision of the future, with a jti of its own", s.withPayload(edited(s.t, s.payload,
			"jti", `"of-nothing"`, "refreshkeys.dev", edited(s.t, s.member("refreshkeys.dev"), "revision", "2")))),
		refused("revision 0", s.object("revision", "0")),
		refused("revision negative", s.object("revision", "-1")),
		refused("revision a text", s.object("revision", `"1"`)),
		refused("revision with a fraction", s.object("revision", "1.0")),
		refused("revision missing", s.object("revision", "")),
		refused("uid of another key", s.object("uid", `"`+string(other.UID)+`"`)),
		refused("uid missing", s.object("uid", "")),
		refused("name of another key", s.object("name", `"stock"`)),
		refused("name and uid of another key", s.object("name", `"stock"`, "uid", `"`+string(other.UID)+`"`)),
		refused("name and uid of another key, with its jti", s.withPayload(edited(s.t, s.payload, "jti", `"`+other.Status.JTI+`"`,
			"refreshkeys.dev", edited(s.t, s.member("refreshkeys.dev"), "name", `"stock"`, "uid", `"`+string(other.UID)+`"`)))),
		refused("name of no key", s.object("name", `"nothing"`)),
		refused("name with a path", s.object("name", `"../stock"`)),
		refused("unknown namespace", s.object("namespace", `"nowhere"`)),
		refused("namespace with a path", s.object("namespace", `"../`+s.name+`"`)),
		refused("namespace of 4 kB", s.object("namespace", `"`+strings.Repeat("n", 4_000)+`"`)),
		refused("client_id and sub of another key", s.with("client_id", `"refreshkey:shop:till"`, "sub", `"refreshkey:shop:till"`)),
		refused("client_id and sub of the cluster's administrator", s.with("client_id", `"system:admin"`, "sub", `"system:admin"`)),
	}
}

// forgedGrants are correctly signed tokens of the key with terms that the policy does not grant. A repaired policy
// lifts the refusal, so the client keeps its token.
func (s *attackHarness) forgedGrants() []presented {
	const denied = "400 unauthorized_client"
	return []presented{
		{"sub of another user", s.with("sub", `"alice"`), denied, true},
		{"sub of the cluster's administrator", s.with("sub", `"system:admin"`), denied, true},
		{"aud that is not granted", s.with("aud", `"https://orders.example.net"`), denied, true},
		{"scope that is not granted", s.with("scope", `"orders:read admin"`), denied, true},
		{"a claim that is not granted", s.withAlso(`"groups":["system:masters"]`), denied, true},
		{"a life of a hundred years", s.with("exp", s.seconds("exp", 100*365*24*3600)), denied, true},
		{"bound to a key", s.withAlso(`"cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}`), "400 invalid_dpop_proof", true},
		refused("bound in an unknown way", s.withAlso(`"cnf":{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}`)),
	}
}

// askAboutForgedAccessTokens checks that only a good access token is active, and that the answer for any other
// contains nothing else (RFC 7662 §2.2).
func (s *attackHarness) askAboutForgedAccessTokens(t *testing.T) {
	good := s.secret(s.send(t, s.exchange(s.good)).text("access_token"))
	f := &forger{TB: t, rings: s.rings, good: good, signer: s.keyOf(keyring.Access)}
	f.header, f.payload = string(f64(t, strings.Split(good, ".")[0])), string(f64(t, strings.Split(good, ".")[1]))
	text, der, jwk := publicForms(t, f.signer)
	if got := s.send(t, s.ask(good)); got.outcome() != "200" || got.body["active"] != true {
		t.Fatalf("asked about, the good access token is %s and not active", got.outcome())
	}
	const inactive = `{"active":false}`
	for _, row := range []struct{ name, compact, hint string }{
		{"alg none", f.unsigned(`"none"`), ""},
		{"HS256 by the published key in PEM", f.hmacSigned(text), ""},
		{"HS256 by the published key in DER", f.hmacSigned(der), ""},
		{"HS256 by the published key as JWK", f.hmacSigned(jwk), ""},
		{"by the refresh key", f.signedBy(s.signer, f.header, f.payload), ""},
		{"by the refresh key, under its kid", f.signedBy(s.signer, forge.Replace(t, f.header, f.signer.ID, s.signer.ID), f.payload), ""},
		{"typ rt+jwt", f.headerInstead("at+jwt", "rt+jwt"), ""},
		{"typ JWT", f.headerInstead("at+jwt", "JWT"), ""},
		{"of a revision that the key never had", f.object("revision", "7"), ""},
		{"expired", f.with("exp", f.seconds("iat", -3600)), ""},
		{"of another issuer", f.with("iss", `"https://tokens.example.com"`), ""},
		{"of a dead key", f.object("uid", `"dead"`), ""},
		{"of another key", f.object("name", `"stock"`), ""},
		{"an access token with the hint of a refresh token", good, "refresh_token"},
		{"a refresh token", s.good, ""},
		{"a refresh token with the hint of an access token", s.good, "access_token"},
		{"a refresh token with an unknown hint", s.good, marker},
		{"nonsense", marker, ""},
	} {
		s.rows++
		s.secret(row.compact)
		t.Run(row.name, func(t *testing.T) {
			if got := s.send(t, s.ask(row.compact, "token_type_hint", row.hint)); got.outcome() != "200" || got.raw != inactive {
				t.Errorf("it is %s, and the answer is not only active=false", got.outcome())
			}
			// It cannot be exchanged either, and its revocation does not affect the key.
			if row.compact != s.good {
				if got := s.send(t, s.exchange(row.compact)); got.outcome() != "400 invalid_grant" {
					t.Errorf("its exchange gives %s", got.outcome())
				}
			}
		})
	}
	if got := s.send(t, s.form("/revoke", "token", good)); got.outcome() != "400 unsupported_token_type" {
		t.Errorf("the revocation of an access token gives %s (RFC 7009 §2.2.1)", got.outcome())
	}
	if got := s.send(t, s.ask(s.good, "token_type_hint", "refresh_token")); got.body["active"] != true {
		t.Error("a refresh token under its own hint is not active")
	}
}
