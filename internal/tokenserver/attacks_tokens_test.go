package tokenserver_test

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/test/framework/forge"
)

// presented is a row: a token, and the result of its exchange.
type presented struct {
	name    string
	compact string
	want    string
	// own means that the token may revoke the key, so that the row skips the revocation.
	own bool
}

// refused is a row with a token that no endpoint accepts.
func refused(name, compact string) presented {
	return presented{name: name, compact: compact, want: "400 invalid_grant"}
}

// presentAll presents each token at every endpoint. A forged token is refused when exchanged, has no effect when
// revoked (RFC 7009 §2.2), and is inactive, without further members, when introspected (RFC 7662 §2.2).
func (s *attackHarness) presentAll(t *testing.T, rows []presented) {
	for _, row := range rows {
		s.rows++
		s.secret(row.compact)
		t.Run(row.name, func(t *testing.T) {
			if row.compact == s.good {
				t.Fatal("this is the good token")
			}
			if got := s.send(t, s.exchange(row.compact)); got.outcome() != row.want {
				t.Errorf("its exchange gives %s, and should give %s", got.outcome(), row.want)
			}
			if row.want != "400 invalid_grant" {
				return
			}
			if !row.own {
				if got := s.send(t, s.form("/revoke", "token", row.compact)); got.outcome() != "200" || got.raw != "" {
					t.Errorf("its revocation gives %s", got.outcome())
				}
			}
			for _, hint := range []string{"", "refresh_token", "access_token"} {
				if got := s.send(t, s.ask(row.compact, "token_type_hint", hint)); got.outcome() != "200" || got.raw != `{"active":false}` {
					t.Errorf("introspected with the hint %q, it is %s, and the answer is not only active=false", hint, got.outcome())
				}
			}
		})
	}
}

func (s *attackHarness) forgedTokens() []presented {
	return slices.Concat(s.forgedAlgorithms(), s.forgedKeys(), s.forgedHeaders(), s.forgedNames(), s.forgedTimes(), s.forgedIdentities(),
		s.forgedGrants(), s.damagedTexts(), s.damagedSignatures())
}

// forgedAlgorithms checks that the algorithm is that of the signing key, and never taken from the token (RFC 8725
// §3.1).
func (s *attackHarness) forgedAlgorithms() []presented {
	var rows []presented
	for _, none := range []string{"none", "None", "NONE", "nOnE", ""} {
		rows = append(rows, refused(fmt.Sprintf("alg %q and no signature", none), s.unsigned(`"`+none+`"`)))
	}
	text, der, jwk := publicForms(s.t, s.signer)
	return append(rows,
		refused("alg none and the good signature", s.unsigned(`"none"`)+s.good[strings.LastIndex(s.good, ".")+1:]),
		refused("alg none, correctly signed", s.headerInstead(`"ES256"`, `"none"`)),
		refused("alg null", s.unsigned("null")),
		refused("alg a list", s.headerInstead(`"ES256"`, `["ES256"]`)),
		refused("alg missing", s.headerInstead(`"alg":"ES256",`, "")),
		refused("alg in small letters", s.headerInstead("ES256", "es256")),
		refused("alg ES384, which another key might have", s.headerInstead("ES256", "ES384")),
		refused("alg ES256K, of another curve", s.headerInstead("ES256", "ES256K")),
		refused("alg RS256", s.headerInstead("ES256", "RS256")),
		refused("alg PS256", s.headerInstead("ES256", "PS256")),
		refused("alg EdDSA", s.headerInstead("ES256", "EdDSA")),
		refused("HS256 by the public key in PEM", s.hmacSigned(text)),
		refused("HS256 by the public key in DER", s.hmacSigned(der)),
		refused("HS256 by the public key as JWK", s.hmacSigned(jwk)),
		refused("HS256 by the kid", s.hmacSigned([]byte(s.signer.ID))),
		refused("HS256 by nothing", s.hmacSigned(nil)),
	)
}

// forgedKeys checks that a kid only chooses among the known signing keys, and that keys in a token are ignored
// (RFC 8725 §3.10).
func (s *attackHarness) forgedKeys() []presented {
	kid, foreign := s.signer.ID, newForeignSigner(s.t)
	text := `"kid":"` + kid + `"`
	instead := func(value string) string { return s.headerInstead(`"`+kid+`"`, value) }
	brought := func(member string) string {
		return foreign.sign(strings.TrimSuffix(s.header, "}")+","+member+"}", s.payload)
	}
	return []presented{
		refused("kid a path", instead(`"../../../../dev/null"`)),
		refused("kid a path to itself", instead(`"./`+kid+`"`)),
		refused("kid a URL", instead(`"`+s.trapURL+`/key"`)),
		refused("kid with a NUL after it", instead(`"`+kid+`\u0000"`)),
		refused("kid with a bare NUL", instead("\"\x00\"")),
		refused("kid for a shell", instead(`"$(id)|id;id"`)),
		refused("kid for a database", instead(`"' UNION SELECT 'x"`)),
		refused("kid of 10 kB", instead(`"`+strings.Repeat("k", 10_000)+`"`)),
		refused("kid of 4 kB", instead(`"`+strings.Repeat("k", 4_000)+`"`)),
		refused("kid missing", s.headerInstead(text+",", "")),
		refused("kid empty", instead(`""`)),
		refused("kid a number", instead("7")),
		refused("kid null", instead("null")),
		refused("kid an object", instead(`{"`+kid+`":1}`)),
		refused("kid in small letters", instead(`"`+strings.ToLower(kid)+`"`)),
		refused("kid of the access key", instead(`"`+s.keyOf(keyring.Access).ID+`"`)),
		refused("kid of a key that signs later", instead(`"`+s.pendingKey()+`"`)),
		refused("another's key under our kid", foreign.sign(s.header, s.payload)),
		refused("jwk embedded", brought(`"jwk":`+foreign.jwk())),
		refused("jwk embedded, instead of a kid", foreign.sign(strings.Replace(s.header, text, `"jwk":`+foreign.jwk(), 1), s.payload)),
		refused("jwk embedded, and our signature", s.withMember(`"jwk":`+foreign.jwk())),
		refused("jku", brought(`"jku":"`+s.trapURL+`/jwks.json"`)),
		refused("jku, and our signature", s.withMember(`"jku":"`+s.trapURL+`/jwks.json"`)),
		refused("x5u", brought(`"x5u":"`+s.trapURL+`/chain.pem"`)),
		refused("x5c", brought(`"x5c":["`+foreign.certificate()+`"]`)),
		refused("x5t", brought(`"x5t":"dGh1bWJwcmludA"`)),
	}
}

// pendingKey returns the kid of a signing key that is published and not yet active.
func (s *attackHarness) pendingKey() string {
	for _, key := range s.rings.Keys() {
		if key.Use == keyring.Refresh && key.State == keyring.Pending {
			return key.ID
		}
	}
	s.Fatal("the ring has no key that is pending")
	return ""
}

// forgedHeaders are signed with the refresh signing key: only their headers are invalid.
func (s *attackHarness) forgedHeaders() []presented {
	return []presented{
		refused("crit of an unknown member", s.withMember(`"crit":["`+marker+`"],"`+marker+`":1`)),
		refused("crit empty", s.withMember(`"crit":[]`)), // RFC 7515 §4.1.11 forbids it
		refused("crit of a registered name", s.withMember(`"crit":["alg"]`)),
		refused("crit no list", s.withMember(`"crit":"exp"`)),
		refused("b64 false, with its crit", s.withMember(`"b64":false,"crit":["b64"]`)), // RFC 7797 §3
		refused("b64 false, without", s.withMember(`"b64":false`)),
		refused("zip", s.withMember(`"zip":"DEF"`)),
		refused("cty of a nested token", s.withMember(`"cty":"JWT"`)),
		refused("alg twice", s.withMember(`"alg":"none"`)),
		refused("kid twice", s.withMember(`"kid":"`+marker+`"`)),
		refused("ALG beside alg", s.withMember(`"ALG":"none"`)),
		refused("typ JWT", s.headerInstead("rt+jwt", "JWT")),
		refused("typ at+jwt, by the refresh key", s.headerInstead("rt+jwt", "at+jwt")),
		refused("typ in capitals", s.headerInstead("rt+jwt", "RT+JWT")),
		refused("typ with application/ before it", s.headerInstead("rt+jwt", "application/rt+jwt")),
		refused("typ missing", s.headerInstead(`,"typ":"rt+jwt"`, "")),
		refused("typ rt+jwt, by the access key", s.byAccessKey(s.keyOf(keyring.Access).ID)),
		refused("typ rt+jwt, by the access key under the refresh key's kid", s.byAccessKey(s.signer.ID)),
		refused("header a list", s.withHeader(`["ES256","`+s.signer.ID+`","rt+jwt"]`)),
		refused("header null", s.withHeader("null")),
		refused("header empty", s.withHeader("")),
		refused("header of two objects", s.withHeader(s.header+s.header)),
		refused("header of 4,000 levels", s.withHeader(strings.Repeat("[", 4_000)+strings.Repeat("]", 2_000))),
		refused("header with bad UTF-8", s.withMember("\"x\":\"\xff\"")),
		refused("header in UTF-16", s.withHeader(strings.Join(strings.Split(s.header, ""), "\x00"))),
	}
}

// byAccessKey returns a refresh token that is signed with a key of the access ring.
func (s *attackHarness) byAccessKey(kid string) string {
	return s.signedBy(s.keyOf(keyring.Access), forge.Replace(s.t, s.header, s.signer.ID, kid), s.payload)
}

// forgedNames are correctly signed payloads that two readers may interpret differently (RFC 7519 §4, RFC 8725
// §2.6).
func (s *attackHarness) forgedNames() []presented {
	return []presented{
		refused("sub twice", s.withAlso(`"sub":"system:admin"`)),
		refused("the same sub twice", s.withAlso(`"sub":`+s.member("sub"))),
		refused("sub twice, once escaped", s.withAlso(`"s\u0075b":"system:admin"`)),
		refused("SUB beside sub", s.withAlso(`"SUB":"system:admin"`)),
		refused("SUB instead of sub", s.with("sub", "", "SUB", s.member("sub"))),
		refused("sub with a long s beside sub", s.withAlso(`"ſub":"system:admin"`)),
		refused("Exp beside exp", s.withAlso(`"Exp":253402300799`)),
		refused("ISS beside iss", s.withAlso(`"ISS":"https://evil.example.com"`)),
		refused("RefreshKeys.dev beside it", s.withAlso(`"RefreshKeys.dev":{}`)),
		refused("two added claims that fold into one", s.withAlso(`"tier":1,"Tier":2`)),
		refused("bad UTF-8", s.withAlso("\"tier\":\"\xff\xfe\"")),
		refused("bad UTF-8 in a name", s.withAlso("\"\xc3\x28\":1")),
		refused("a byte order mark", s.withPayload("\ufeff"+s.payload)),
		refused("6,000 levels", s.withPayload(strings.Repeat("[", 6_000))),
		refused("an added claim of 1,000 levels, without end", s.withAlso(`"tier":`+strings.Repeat(`{"a":`, 1_000))),
		refused("a comment", s.withPayload(s.payload+"/**/")),
		refused("something after the end", s.withPayload(s.payload+"{}")),
		refused("no end", s.withPayload(strings.TrimSuffix(s.payload, "}"))),
		refused("payload null", s.withPayload("null")),
		refused("payload a list", s.withPayload("["+s.payload+"]")),
		refused("payload empty", s.withPayload("")),
		refused("no claims", s.withPayload("{}")),
	}
}

// damagedTexts are other encodings of the good token. RFC 7515 §2 allows only base64url without padding, line
// breaks or other characters.
func (s *attackHarness) damagedTexts() []presented {
	parts := strings.Split(s.good, ".")
	rows := []presented{
		refused("cut in half", s.good[:len(s.good)/2]),
		refused("cut by one letter", s.good[:len(s.good)-1]),
		refused("without its signature", parts[0]+"."+parts[1]+"."),
		refused("of two parts", parts[0]+"."+parts[1]),
		refused("of one part", parts[0]),
		refused("of four parts", s.good+".AA"),
		refused("with a dot after it", s.good+"."),
		refused("a JWE of five parts", forge.B64(`{"alg":"dir","enc":"A256GCM","kid":"`+s.signer.ID+`","typ":"rt+jwt"}`)+".."+forge.B64("initialvector")+"."+parts[1]+"."+forge.B64("tag")),
		refused("JSON, flattened (RFC 7515 §7.2.2)", fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1], parts[2])),
		refused("JSON, general (RFC 7515 §7.2.1)", fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, parts[1], parts[0], parts[2])),
		{"a million dots", strings.Repeat(".", 1_000_000), "413 invalid_request", false},
		refused("60,000 dots", strings.Repeat(".", 60_000)),
		refused("10 kB, correctly signed", s.withAlso(`"tier":"`+strings.Repeat("x", 10_000)+`"`)),
		refused("Bearer before it", "Bearer "+s.good),
		refused("a blank before it", " "+s.good),
		refused("a line break after it", s.good+"\n"),
		refused("a NUL after it", s.good+"\x00"),
		refused("a letter of another alphabet", strings.Replace(s.good, "e", "е", 1)),
		refused("not there but for blanks", "   "),
	}
	for i, name := range []string{"header", "payload", "signature"} {
		rows = append(rows,
			refused("padding after the "+name, forge.Part(s.good, i, func(p string) string { return p + "=" })),
			refused("two of padding after the "+name, forge.Part(s.good, i, func(p string) string { return p + "==" })),
			refused("a line break in the "+name, forge.Part(s.good, i, func(p string) string { return p[:8] + "\r\n" + p[8:] })),
			refused("the other base64 in the "+name, forge.Part(s.good, i, func(p string) string { return p[:8] + "+/" + p[10:] })),
		)
	}
	return append(rows,
		refused("trailing bits of the header", forge.Part(s.withHeader(unevenly(s.header)), 0, forge.TrailingBits)),
		refused("trailing bits of the payload", forge.Part(s.withPayload(unevenly(s.payload)), 1, forge.TrailingBits)),
		refused("trailing bits of the signature", forge.Part(s.good, 2, forge.TrailingBits)),
	)
}

// damagedSignatures are invalid ES256 signatures. A valid one has two halves of 32 bytes, each from 1 to the order
// of the curve minus one (RFC 7518 §3.4, FIPS 186-5 §6.4.2).
func (s *attackHarness) damagedSignatures() []presented {
	zero := new(big.Int)
	alone := func(change func(r, v, n *big.Int) (*big.Int, *big.Int)) string {
		return s.signature(func(r, v, n *big.Int) []byte { return joined(change(r, v, n)) })
	}
	return []presented{
		refused("of another token", s.good[:strings.LastIndex(s.good, ".")]+s.otherGood[strings.LastIndex(s.otherGood, "."):]),
		refused("payload of another token", forge.Part(s.good, 1, func(string) string { return strings.Split(s.otherGood, ".")[1] })),
		refused("in DER", s.signature(inASN1)),
		refused("r zero", alone(func(_, v, _ *big.Int) (*big.Int, *big.Int) { return zero, v })),
		refused("s zero", alone(func(r, _, _ *big.Int) (*big.Int, *big.Int) { return r, zero })),
		refused("both zero (CVE-2022-21449)", alone(func(_, _, _ *big.Int) (*big.Int, *big.Int) { return zero, zero })),
		refused("r the order", alone(func(_, v, n *big.Int) (*big.Int, *big.Int) { return n, v })),
		refused("s the order", alone(func(r, _, n *big.Int) (*big.Int, *big.Int) { return r, n })),
		refused("halves exchanged", alone(func(r, v, _ *big.Int) (*big.Int, *big.Int) { return v, r })),
		refused("a bit flipped", alone(func(r, v, _ *big.Int) (*big.Int, *big.Int) { return r, new(big.Int).Xor(v, big.NewInt(1)) })),
		refused("a byte too many", s.signature(func(r, v, _ *big.Int) []byte { return append(joined(r, v), 0) })),
		refused("a byte too few", s.signature(func(r, v, _ *big.Int) []byte { return joined(r, v)[:63] })),
		// Anyone with an ECDSA signature can make a second valid one of the same message. It is not a second
		// token: tokens are identified by their jti, and never by their text.
		{"the order less s", alone(func(r, v, n *big.Int) (*big.Int, *big.Int) { return r, new(big.Int).Sub(n, v) }), "200", true},
	}
}
