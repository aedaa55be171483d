package view

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// meanings are those of the claims that the operator writes, in the order in which the page shows them.
var meanings = []struct {
	name, meaning string
	time          bool
}{
	{"iss", "the issuer that signed the token", false},
	{"sub", "the subject: the identity that the token is for", false},
	{"aud", "the audience: the API that the token is for", false},
	{"scope", "what the token allows at the API", false},
	{"iat", "when the token was issued", true},
	{"nbf", "the token is accepted from then on: a minute before it was issued, since clocks differ", true},
	{"exp", "when the token expires", true},
	{"jti", "the identifier of the token", false},
	{"client_id", "the client of the token: its refresh key", false},
	{"cnf", "what its holder must prove to use the token", false},
	{"refreshkeys.dev", "the refresh key that the token belongs to, and its revision", false},
}

// Claims returns the claims of a token with their meaning: first those that every token has, then those of spec.claims by name.
func Claims(content []byte) []wire.Claim {
	var values map[string]json.RawMessage
	if json.Unmarshal(content, &values) != nil {
		return nil
	}
	var claims []wire.Claim
	for _, known := range meanings {
		value, has := values[known.name]
		if !has {
			continue
		}
		claim := wire.Claim{Name: known.name, Value: value, Meaning: known.meaning}
		var seconds int64
		if known.time && json.Unmarshal(value, &seconds) == nil {
			claim.Time = Stamp(time.Unix(seconds, 0))
		}
		claims = append(claims, claim)
		delete(values, known.name)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		claims = append(claims, wire.Claim{Name: name, Value: values[name]})
	}
	return claims
}
