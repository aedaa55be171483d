package v1alpha1

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// test/cel compares this code with the admission policy on a real API server, case by case.

func TestValidateClaims(t *testing.T) {
	long := strings.Repeat("x", 4085) // {"note":"…"} has 11 bytes more
	cases := []struct {
		name   string
		claims string
		want   string // part of the error; none when empty
	}{
		{"none", `{}`, ""},
		{"every type", `{"s":"x","n":1.5,"i":3,"b":true,"l":["x",""],"e":[]}`, ""},
		{"name of 64", `{"` + strings.Repeat("n", 64) + `":1}`, ""},
		{"name of 65", `{"` + strings.Repeat("n", 65) + `":1}`, "a name must be 1 to 64"},
		{"name empty", `{"":1}`, "a name must be 1 to 64"},
		{"name with control characters", `{"a\n":1}`, "rename it"},
		{"name with a space", `{"a b":1}`, "rename 'a b'"},
		{"registered", `{"exp":1}`, "the name 'exp' is registered"},
		{"registered, other case", `{"EXP":1}`, "the name 'EXP' is registered"},
		{"own", `{"refreshkeys.dev":1}`, "the name 'refreshkeys.dev' is registered"},
		{"case only", `{"tier":1,"Tier":2}`, "'Tier' and 'tier' differ only in case"},
		{"object", `{"a":{}}`, "the value of 'a' must be a string"},
		{"null", `{"a":null}`, "the value of 'a' must be a string"},
		{"list of numbers", `{"a":["x",1]}`, "the value of 'a' must be a string"},
		{"largest number", `{"a":9007199254740991,"b":-9007199254740991}`, ""},
		{"too large", `{"a":9007199254740992}`, "the number 'a' must be 0, or between"},
		{"too large and negative", `{"a":-9007199254740992}`, "the number 'a' must be 0, or between"},
		{"huge exponent", `{"a":1e300}`, "the number 'a' must be 0, or between"},
		{"smallest number", `{"a":0.000001,"b":-0.000001,"c":0,"d":0.0}`, ""},
		{"too small", `{"a":0.0000009}`, "the number 'a' must be 0, or between"},
		{"negative zero", `{"a":-0.0}`, "the number 'a' must be 0, or between"},
		{"4096 bytes", `{"note":"` + long + `"}`, ""},
		{"4097 bytes", `{"note":"` + long + `x"}`, "must not exceed 4096 bytes as JSON, and have 4097"},
		{"4096 bytes and white space", `{"note": "` + long + `" }`, ""},
		{"two bytes a letter", `{"note":"` + strings.Repeat("ü", 2043) + `"}`, "have 4097"},
		{"six bytes a character", `{"note":"` + strings.Repeat("<", 700) + `"}`, "have 4211"},
		{"32 names", manyNames(32), ""},
		{"33 names", manyNames(33), "at most 32 names, not 33"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var claims map[string]apiextensionsv1.JSON
			if err := json.Unmarshal([]byte(c.claims), &claims); err != nil {
				t.Fatal(err)
			}
			err := ValidateClaims(claims)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && err == nil:
				t.Errorf("accepted, but must be refused with %q", c.want)
			case c.want != "" && !strings.Contains(err.Error(), c.want):
				t.Errorf("refused with %q instead of %q", err, c.want)
			}
		})
	}
}

func manyNames(number int) string {
	var members []string
	for i := range number {
		members = append(members, fmt.Sprintf(`"n%d":1`, i))
	}
	return "{" + strings.Join(members, ",") + "}"
}

// TestValidateClaimsOfForgedObjects checks that ValidateClaims refuses values that no API server accepts.
func TestValidateClaimsOfForgedObjects(t *testing.T) {
	for name, raw := range map[string]string{
		"nothing":         ``,
		"no JSON":         `{`,
		"two values":      `1 2`,
		"invalid UTF-8":   "\"\xff\"",
		"number too long": `1e999`,
	} {
		t.Run(name, func(t *testing.T) {
			if ValidateClaims(map[string]apiextensionsv1.JSON{"a": {Raw: []byte(raw)}}) == nil {
				t.Errorf("%q was accepted", raw)
			}
		})
	}
}

func TestRegisteredClaim(t *testing.T) {
	registered := append([]string{
		"ISS", "Sub", "client_ID", "ſub", "refreshkeys.dev", "RefreshKeys.Dev", "refreshKeys.dev", "refreshkeys.dev/a", "a.refreshkeys.dev",
		"https://refreshkeys.dev/a", "urn:refreshkeys.dev",
	}, registeredClaims...)
	for _, name := range registered {
		if !RegisteredClaim(name) {
			t.Errorf("%q is not registered", name)
		}
	}
	for _, name := range []string{"", "email", "issuer", "is", "xiss", "iss_", "refreshkeys", "refreshkeys.devel", "my-refreshkeys.dev", "refreshkeysxdev"} {
		if RegisteredClaim(name) {
			t.Errorf("%q is registered", name)
		}
	}
}

// TestRegisteredClaimsAreThoseOfThePolicy checks that the Go code and the CEL policy contain the same list.
func TestRegisteredClaimsAreThoseOfThePolicy(t *testing.T) {
	content, err := os.ReadFile("../../config/crd/admission/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var policy admissionregistrationv1.ValidatingAdmissionPolicy
	if err := yaml.Unmarshal(content, &policy); err != nil {
		t.Fatal(err)
	}
	var inPolicy []string
	for _, variable := range policy.Spec.Variables {
		if variable.Name == "registered" {
			for _, literal := range regexp.MustCompile(`'([^']*)'`).FindAllStringSubmatch(variable.Expression, -1) {
				inPolicy = append(inPolicy, literal[1])
			}
		}
	}
	inCode := slices.Clone(registeredClaims)
	slices.Sort(inCode)
	slices.Sort(inPolicy)
	if !slices.Equal(inCode, inPolicy) {
		t.Errorf("the lists differ:\n  code:   %q\n  policy: %q", inCode, inPolicy)
	}
}
