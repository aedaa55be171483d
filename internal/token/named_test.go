package token

import (
	"encoding/base64"
	"strings"
	"testing"
)

func TestWhoseATokenSaysItIs(t *testing.T) {
	encode := base64.RawURLEncoding.EncodeToString
	payload := `{"aud":"a","client_id":"refreshkey:shop:orders","exp":1790000000,"iat":1780000000,"iss":"https://tokens.example.com","jti":"j","nbf":1779999940,` +
		`"refreshkeys.dev":{"name":"orders","namespace":"shop","revision":1,"uid":"u1"},"sub":"s"}`
	for name, test := range map[string]struct {
		compact string
		want    string
	}{
		"whole":                {"e30." + encode([]byte(payload)) + ".c2ln", "shop/orders/u1"},
		"with a bad signature": {"e30." + encode([]byte(payload)) + ".", "shop/orders/u1"},
		"two parts":            {"e30." + encode([]byte(payload)), ""},
		"padded":               {"e30." + base64.URLEncoding.EncodeToString([]byte(payload+"  ")) + "=.c2ln", ""},
		"no JSON":              {"e30.bm90.c2ln", ""},
		"of another service":   {"e30." + encode([]byte(`{"iss":"x"}`)) + ".c2ln", ""},
		"too long":             {"e30." + encode([]byte(payload)) + "." + strings.Repeat("A", MaxLength), ""},
		"text":                 {"not a token", ""},
		"empty":                {"", ""},
	} {
		object, named := Named(test.compact)
		got := ""
		if named {
			got = object.Namespace + "/" + object.Name + "/" + object.UID
		}
		if got != test.want {
			t.Errorf("%s: it names %q, want %q", name, got, test.want)
		}
	}
}
