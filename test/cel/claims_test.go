package cel

import (
	"encoding/json"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// TestClaimsInCodeAndInPolicy checks that the admission policy and the Go code agree on
// spec.claims, including the messages. It sends the literals unchanged, because a client
// would normalise them.
func TestClaimsInCodeAndInPolicy(t *testing.T) {
	o := newOffer(t, newKey("offered", map[string]any{"claims": map[string]any{}}), "spec")
	for _, literal := range claimLiterals() {
		t.Run(abridged(literal), func(t *testing.T) {
			var claims map[string]apiextensionsv1.JSON
			if err := json.Unmarshal([]byte(literal), &claims); err != nil {
				t.Fatal(err)
			}
			inCode := v1alpha1.ValidateClaims(claims)
			answer, inPolicy := o.send(t, fieldPath{"spec", "claims"}, literal)
			if (inCode == nil) != (inPolicy == nil) {
				t.Fatalf("code and policy disagree:\n  code:   %v\n  policy: %v", inCode, inPolicy)
			}
			if inCode != nil {
				// The size is exact in code only.
				words, _, _ := strings.Cut("spec."+inCode.Error(), ", and have")
				if !strings.Contains(inPolicy.Error(), words) {
					t.Errorf("code and policy refuse in other words:\n  code:   %v\n  policy: %v", inCode, inPolicy)
				}
				return
			}
			var stored v1alpha1.JWTRefreshKey
			if err := json.Unmarshal(answer, &stored); err != nil {
				t.Fatal(err)
			}
			if err := v1alpha1.ValidateClaims(stored.Spec.Claims); err != nil {
				t.Errorf("accepted, but the stored form is not: %v", err)
			}
		})
	}
}

func claimLiterals() []string {
	values := []string{
		`"x"`, `""`, `"\u0000"`, `"\ud83d\ude00"`, `"ÄÖÜ"`, `true`, `false`, `[]`, `[""]`, `["a","b"]`,
		`{}`, `{"a":"b"}`, `[null]`, `[1]`, `[true]`, `[[]]`, `["a",["b"]]`, `["a",{}]`,
		`0`, `-0`, `0.0`, `-0.0`, `0e5`, `1`, `-1`, `1.0`, `1.10`, `1e3`, `1E+3`, `0.000001`, `1e-6`, `0.00000099`, `1e-7`, `-1e-7`, `5e-324`, `1e-400`,
		`9007199254740991`, `-9007199254740991`, `9007199254740991.0`, `9007199254740991.4`, `9007199254740992`, `-9007199254740992`, `9007199254740993`,
		`9223372036854775807`, `9223372036854775808`, `-9223372036854775809`, `1e15`, `1e16`, `1e21`, `1e308`, `123456789012345678901234567890`,
	}
	var all []string
	for _, value := range values {
		all = append(all, `{"tier":`+value+`}`)
	}
	names := []string{
		"", " ", "a b", "a\n", "ä", "ſub", "naıve", "a\u0000", "a\"b", "a'b", "a=b", "a@b", "a*", "a,b", "a~b", "\u212Aey", "aud\u200b",
		strings.Repeat("n", 64), strings.Repeat("n", 65), strings.Repeat("ü", 65), strings.Repeat("long ", 200),
		"email", "https://example.com/tier", "a.b", "a/b", "a:b", "a-b", "a_b", "0", "-", ".",
		"Iss", "SUB", "eXp", "client_ID", "Auth_Time", "S_HASH", "iss ", "isss", "is", "xiss", "iss/x", "x:iss",
		"refreshkeys.dev", "REFRESHKEYS.DEV", "refreshkeys.dev/", "refreshkeys.dev/a", "refreshkeys.dev:a", "refreshkeys.dev.a", "jwt.refreshkeys.dev",
		"jwt.refreshkeys.dev/a", "https://refreshkeys.dev", "https://RefreshKeys.dev/a", "urn:refreshkeys.dev:a", "a/refreshkeys.dev",
		"refreshkeys.devel", "myrefreshkeys.dev", "my-refreshkeys.dev", "refreshkeys-dev", "refreshkeys_dev", "refreshkeys.dev-x", "refreshkeysxdev",
	}
	for _, name := range names {
		literal, err := json.Marshal(map[string]string{name: "x"})
		if err != nil {
			panic(err)
		}
		all = append(all, string(literal))
	}
	return append(all,
		`{}`,
		`{"email":"a","EMAIL":"b"}`,
		`{"a":1,"b":2,"B":3}`,
		`{"note":"`+strings.Repeat("x", 4085)+`"}`,
		`{"note":"`+strings.Repeat("x", 4086)+`"}`,
		`{"note":`+strings.Repeat(" ", 5000)+`"x"}`,
		`{"list":[`+strings.Repeat(`"",`, 1361)+`""]}`,
		`{"list":[`+strings.Repeat(`"",`, 1362)+`""]}`,
	)
}

func abridged(literal string) string {
	if len(literal) > 60 {
		return literal[:60] + "…"
	}
	return literal
}

// TestSizeOfClaimsIsExactInCode checks that the Go code refuses claims that are too long in
// bytes: the policy counts characters.
func TestSizeOfClaimsIsExactInCode(t *testing.T) {
	o := newOffer(t, newKey("offered", map[string]any{"claims": map[string]any{}}), "spec")
	for name, text := range map[string]string{
		"letters of two bytes":           strings.Repeat("ü", 4085),
		"characters escaped in the JSON": strings.Repeat("<", 4085),
	} {
		t.Run(name, func(t *testing.T) {
			literal := `{"note":"` + text + `"}`
			if _, err := o.send(t, fieldPath{"spec", "claims"}, literal); err != nil {
				t.Errorf("the policy refuses: %v", err)
			}
			claims := map[string]apiextensionsv1.JSON{"note": {Raw: []byte(`"` + text + `"`)}}
			if v1alpha1.ValidateClaims(claims) == nil {
				t.Error("code accepts more than 4096 bytes")
			}
		})
	}
}
