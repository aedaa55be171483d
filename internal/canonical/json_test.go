package canonical

import (
	"encoding/json"
	"testing"

	kjson "sigs.k8s.io/json"
)

func TestJSON(t *testing.T) {
	tests := []struct {
		name, in, want string
	}{
		{"names are sorted", `{"b":1,"a":{"d":2,"c":3}}`, `{"a":{"c":3,"d":2},"b":1}`},
		{"space goes", "{ \"a\" : [ 1 ,\n 2 ] }", `{"a":[1,2]}`},
		{"a whole number written as a fraction", `1.0`, `1`},
		{"a whole number beyond float64", `9007199254740993`, `9007199254740993`},
		{"a number beyond int64", `12345678901234567890`, `12345678901234567000`},
		{"an exponent", `1e3`, `1000`},
		{"a negative zero, which would be read as another number", `[-0.0,-0e00,-0,0.0]`, `[0,0,0,0]`},
		{"escapes of what needs none", `"\u0041\/"`, `"A/"`},
		{"what HTML would misread", `"<&>"`, `"\u003c\u0026\u003e"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := JSON([]byte(tt.in))
			if err != nil || string(got) != tt.want {
				t.Errorf("JSON(%s) = %s, %v; want %s", tt.in, got, err, tt.want)
			}
		})
	}
}

func TestJSONRefuses(t *testing.T) {
	for _, in := range []string{``, `{`, `{"a":1,"a":2}`, `{"a":{"b":1,"b":1}}`, `"` + "\xff" + `"`, `1 2`, `1e999`, `NaN`} {
		if got, err := JSON([]byte(in)); err == nil {
			t.Errorf("JSON(%q) = %s, want an error", in, got)
		}
	}
}

// FuzzJSON checks that the API server does not change the canonical form: it decodes
// numbers to int64 or float64 and encodes with encoding/json.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{"a":1.5,"b":[1e21,-0,0.1e-7]}`, `"é<"`, `[null,true]`, `18446744073709551616`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		once, err := JSON(in)
		if err != nil {
			t.Skip()
		}
		var stored any
		if err := kjson.UnmarshalCaseSensitivePreserveInts(once, &stored); err != nil {
			t.Fatalf("the canonical form %s of %s cannot be read: %v", once, in, err)
		}
		sent, err := json.Marshal(stored)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := JSON(sent); err != nil || string(twice) != string(once) {
			t.Fatalf("%s became %s and then %s (%v)", in, once, twice, err)
		}
	})
}
