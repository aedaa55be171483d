package identity

import (
	"encoding/base64"
	"slices"
	"testing"
)

func TestClaimedAudiences(t *testing.T) {
	for _, c := range []struct {
		payload string
		want    []string
	}{
		{`{"aud":"a"}`, []string{"a"}},
		{`{"aud":["a","b"]}`, []string{"a", "b"}},
		{`{"aud":[]}`, nil},
		{`{"aud":["a",7]}`, nil},
		{`{"aud":null}`, nil},
		{`{"aud":{}}`, nil},
		{`{}`, nil},
		{`[]`, nil},
		{``, nil},
	} {
		compact := "e30." + base64.RawURLEncoding.EncodeToString([]byte(c.payload)) + ".AAAA"
		if got := ClaimedAudiences(compact); !slices.Equal(got, c.want) {
			t.Errorf("the audiences of %s are %q, want %q", c.payload, got, c.want)
		}
	}
	for _, compact := range []string{"", "nonsense", "a.b", "a.b.c.d", "a.!.c"} {
		if got := ClaimedAudiences(compact); got != nil {
			t.Errorf("%q has the audiences %q", compact, got)
		}
	}
}
