package token

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refreshkeys/refreshkeys/internal/canonical"
	"github.com/refreshkeys/refreshkeys/test/framework/forge"
)

func TestPayloadIsCanonical(t *testing.T) {
	want := `{"aud":"https://orders.example.com","beta":true,"client_id":"refreshkey:shop:orders",` +
		`"cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I","refreshkeys.dev/service-account":"orders"},` +
		`"email":"ops@example.com","exp":1780228800,"groups":["a","b"],"iat":1777636800,"iss":"https://tokens.example.com",` +
		`"jti":"0197e9c2-7c3a-7000-8000-000000000001","nbf":1777636740,` +
		`"refreshkeys.dev":{"name":"orders","namespace":"shop","revision":4,"uid":"5b0e2c1a-0000-4000-8000-000000000001"},` +
		`"scope":"orders:read orders:write","sub":"refreshkey:shop:orders","tier":3}`
	if diff := cmp.Diff(want, payloadOf(t, claims())); diff != "" {
		t.Errorf("payload (- wanted, + made):\n%s", diff)
	}
}

func TestPayloadLeavesOutWhatIsNotThere(t *testing.T) {
	c := earlierAccessClaims()
	c.Scope, c.JWKThumbprint, c.Extra = "", "", nil
	payload := payloadOf(t, c)
	for _, name := range []string{"scope", "cnf", "revision", "null", "email"} {
		if strings.Contains(payload, name) {
			t.Errorf("%s in %s", name, payload)
		}
	}
}

// TestPayloadRoundTrip: what a payload says is what was put in, and the API server's form of it is its own.
func TestPayloadRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	all := []*Claims{claims(), accessClaims(), earlierAccessClaims()}
	for range 500 {
		all = append(all, randomClaims(random))
	}
	for _, c := range all {
		payload := payloadOf(t, c)
		read, err := ParsePayload([]byte(payload))
		if err != nil {
			t.Fatalf("%v\n%s", err, payload)
		}
		if diff := cmp.Diff(c, read); diff != "" {
			t.Fatalf("claims (- put in, + read):\n%s\n%s", diff, payload)
		}
		if again := payloadOf(t, read); again != payload {
			t.Fatalf("made again it is\n%s\nand was\n%s", again, payload)
		}
		stored, err := canonical.JSON([]byte(payload))
		if err != nil || string(stored) != payload {
			t.Fatalf("canonical it is\n%s (%v)\nand was\n%s", stored, err, payload)
		}
	}
}

func randomClaims(random *rand.Rand) *Claims {
	text := func() string {
		letters := []rune(`abcXYZ019-_.:/ <>&"\'{}[]äß€😀` + "\t\u2028")
		runes := make([]rune, 1+random.IntN(20))
		for i := range runes {
			runes[i] = letters[random.IntN(len(letters))]
		}
		return string(runes)
	}
	maybe := func() string {
		if random.IntN(2) == 0 {
			return ""
		}
		return text()
	}
	issuedAt := time.Unix(1+random.Int64N(4e9)+60, 0).UTC()
	c := &Claims{
		Issuer: text(), Subject: text(), Audience: text(), IssuedAt: issuedAt, ExpiresAt: issuedAt.Add(time.Duration(random.Int64N(1e9)) * time.Second),
		JTI: text(), ClientID: text(), Scope: maybe(), JWKThumbprint: maybe(), ServiceAccount: maybe(),
		Object: Object{Namespace: text(), Name: text(), UID: text(), Revision: random.Int64N(3) * random.Int64N(1<<52)},
	}
	for i := range random.IntN(4) {
		quoted, err := json.Marshal(text())
		if err != nil {
			panic(err)
		}
		values := []string{string(quoted), "0", "-7", "1.5", "9007199254740991", "true", "[]", "[" + string(quoted) + "]"}
		if c.Extra == nil {
			c.Extra = map[string]string{}
		}
		c.Extra[fmt.Sprintf("claim-%d", i)] = values[random.IntN(len(values))]
	}
	return c
}

func TestPayloadRefusesReservedClaims(t *testing.T) {
	names := []string{
		"Iss", "iSS", "SUB", "Aud", "EXP", "eXp", "Nbf", "IAT", "Jti", "CLIENT_ID", "Scope", "CNF", "REFRESHKEYS.DEV", "RefreshKeys.dev",
		// Readers that fold as Unicode does, such as encoding/json, take a long s for an s.
		"\u017fub", "i\u017fs", "refre\u017fhkeys.dev", "refresh\u212aeys.dev",
	}
	for _, name := range append(names, registered...) {
		c := claims()
		c.Extra[name] = `"x"`
		if payload, err := c.Payload(); err == nil {
			t.Errorf("claim %q was set: %s", name, payload)
		}
		if _, ok := claims().Extra[name]; ok {
			t.Errorf("the claims of the tests have %q already", name)
		}
	}
}

func TestPayloadRefusesWhatIsNotJSON(t *testing.T) {
	for _, value := range []string{"", "{", "nul", `"`, `1 2`} {
		c := claims()
		c.Extra["email"] = value
		if payload, err := c.Payload(); err == nil {
			t.Errorf("value %q was set: %s", value, payload)
		}
	}
}

// badPayloads are changes of a good payload, by what is wrong with it.
var badPayloads = []struct{ name, old, new string }{
	{"sub twice", `"sub":"refreshkey:shop:orders"`, `"sub":"refreshkey:shop:orders","sub":"admin"`},
	{"the same sub twice", `"sub":"refreshkey:shop:orders"`, `"sub":"refreshkey:shop:orders","sub":"refreshkey:shop:orders"`},
	{"sub twice, once escaped", `"sub":"refreshkey:shop:orders"`, `"sub":"refreshkey:shop:orders","s\u0075b":"admin"`},
	{"SUB beside sub", `"sub":"refreshkey:shop:orders"`, `"sub":"refreshkey:shop:orders","SUB":"admin"`},
	{"SUB instead of sub", `"sub":"refreshkey:shop:orders"`, `"SUB":"refreshkey:shop:orders"`},
	{"sub with a long s beside sub", `"sub":"refreshkey:shop:orders"`, `"sub":"refreshkey:shop:orders","ſub":"admin"`},
	{"Exp beside exp", `"exp":1780228800`, `"exp":1780228800,"Exp":9999999999`},
	{"ISS beside iss", `"iss":"https://tokens.example.com"`, `"iss":"https://tokens.example.com","ISS":"https://evil.example.com"`},
	{"Refreshkeys.dev beside it", `"refreshkeys.dev":{`, `"Refreshkeys.dev":{},"refreshkeys.dev":{`},
	{"two added claims that fold into one", `"tier":3`, `"tier":3,"Tier":4`},
	{"uid twice", `"revision":4`, `"revision":4,"uid":"x"`},
	{"exp missing", `"exp":1780228800,`, ``},
	{"exp 0", `"exp":1780228800`, `"exp":0`},
	{"exp negative", `"exp":1780228800`, `"exp":-1`},
	{"exp with a fraction", `"exp":1780228800`, `"exp":1780228800.5`},
	{"exp with a fraction of nothing", `"exp":1780228800`, `"exp":1780228800.0`},
	{"exp with an exponent", `"exp":1780228800`, `"exp":1780228800e0`},
	{"exp as text", `"exp":1780228800`, `"exp":"1780228800"`},
	{"exp after the year 9999", `"exp":1780228800`, `"exp":253402300800`},
	{"exp beyond 63 bits", `"exp":1780228800`, `"exp":9223372036854775808`},
	{"exp beyond all floats", `"exp":1780228800`, `"exp":1e400`},
	{"exp huge", `"exp":1780228800`, `"exp":1e300`},
	{"exp null", `"exp":1780228800`, `"exp":null`},
	{"exp true", `"exp":1780228800`, `"exp":true`},
	{"exp in a list", `"exp":1780228800`, `"exp":[1780228800]`},
	{"iat missing", `"iat":1777636800,`, ``},
	{"iat as text", `"iat":1777636800`, `"iat":"1777636800"`},
	{"nbf missing", `"nbf":1777636740,`, ``},
	{"nbf that is not iat less the skew", `"nbf":1777636740`, `"nbf":1777636741`},
	{"iss missing", `"iss":"https://tokens.example.com",`, ``},
	{"iss empty", `"iss":"https://tokens.example.com"`, `"iss":""`},
	{"iss a list", `"iss":"https://tokens.example.com"`, `"iss":["https://tokens.example.com"]`},
	{"iss null", `"iss":"https://tokens.example.com"`, `"iss":null`},
	{"sub missing", `,"sub":"refreshkey:shop:orders"`, ``},
	{"sub a number", `"sub":"refreshkey:shop:orders"`, `"sub":1`},
	{"aud missing", `"aud":"https://orders.example.com",`, ``},
	{"aud a list", `"aud":"https://orders.example.com"`, `"aud":["https://orders.example.com"]`},
	{"jti missing", `"jti":"0197e9c2-7c3a-7000-8000-000000000001",`, ``},
	{"jti empty", `"jti":"0197e9c2-7c3a-7000-8000-000000000001"`, `"jti":""`},
	{"client_id missing", `"client_id":"refreshkey:shop:orders",`, ``},
	{"scope empty", `"scope":"orders:read orders:write"`, `"scope":""`},
	{"scope a list", `"scope":"orders:read orders:write"`, `"scope":["orders:read"]`},
	{"cnf not an object", `"cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I","refreshkeys.dev/service-account":"orders"}`, `"cnf":"x"`},
	{"cnf null", `"cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I","refreshkeys.dev/service-account":"orders"}`, `"cnf":null`},
	{"cnf with a member that is not understood", `"cnf":{`, `"cnf":{"x5t#S256":"x",`},
	{"cnf with an empty jkt", `"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"`, `"jkt":""`},
	{"cnf with a jkt that is no text", `"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"`, `"jkt":7`},
	{"object null", `"refreshkeys.dev":{"name":"orders","namespace":"shop","revision":4,"uid":"5b0e2c1a-0000-4000-8000-000000000001"}`, `"refreshkeys.dev":null`},
	{"object without uid", `,"uid":"5b0e2c1a-0000-4000-8000-000000000001"`, ``},
	{"object with an empty namespace", `"namespace":"shop"`, `"namespace":""`},
	{"revision 0", `"revision":4`, `"revision":0`},
	{"revision negative", `"revision":4`, `"revision":-4`},
	{"revision with a fraction", `"revision":4`, `"revision":4.5`},
	{"revision as text", `"revision":4`, `"revision":"4"`},
	{"revision null", `"revision":4`, `"revision":null`},
	{"bad UTF-8", `"email":"ops@example.com"`, "\"email\":\"\xff\xfe\""},
	{"bad UTF-8 in a name", `"email":`, "\"\xff\":"},
	{"something after the end", `"tier":3}`, `"tier":3}{}`},
	{"no end", `"tier":3}`, `"tier":3`},
	{"a comment", `"tier":3}`, `"tier":3/**/}`},
	{"a byte order mark", `{"aud"`, "\ufeff{\"aud\""},
}

// otherPayloads are not objects at all.
var otherPayloads = []string{``, ` `, `[]`, `{}`, `"x"`, `1`, `true`, `[{}]`, `{"a":}`, `nul`, "\x00"}

func TestParsePayloadRefuses(t *testing.T) {
	for _, bad := range badPayloads {
		t.Run(bad.name, func(t *testing.T) {
			payload := forge.Replace(t, payloadOf(t, claims()), bad.old, bad.new)
			if c, err := ParsePayload([]byte(payload)); err == nil {
				t.Errorf("read as %+v", c)
			}
		})
	}
	for _, payload := range append(otherPayloads, "null") {
		if c, err := ParsePayload([]byte(payload)); err == nil {
			t.Errorf("%q is read as %+v", payload, c)
		}
	}
}

func TestParsePayloadTellsNoValue(t *testing.T) {
	for _, bad := range badPayloads {
		payload := forge.Replace(t, payloadOf(t, claims()), bad.old, bad.new)
		_, err := ParsePayload([]byte(payload))
		for _, value := range []string{"admin", "evil", "ops@", "shop", "orders", "0197e9c2", "5b0e2c1a", "17802"} {
			if err != nil && strings.Contains(err.Error(), value) {
				t.Errorf("%s: the error tells a value: %v", bad.name, err)
			}
		}
	}
}
