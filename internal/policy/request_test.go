package policy

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestForToken(t *testing.T) {
	base := Request{Namespace: "shop", DefaultSubject: "refreshkey:shop:orders", Lifetime: time.Hour, Subject: "replaced", Scopes: []string{"replaced"}}
	for _, c := range []struct {
		name, scope    string
		claims         map[string]int
		scopes, wanted []string
	}{
		{"no scopes and no claims", "", nil, nil, nil},
		{"scopes", "orders:read orders:write", nil, []string{"orders:read", "orders:write"}, nil},
		{"claims, by name", "", map[string]int{"tier": 1, "level": 2}, nil, []string{"level", "tier"}},
	} {
		want := Request{
			Namespace: "shop", DefaultSubject: "refreshkey:shop:orders", Lifetime: time.Hour,
			Subject: "jane", Audience: "https://orders.example.com", Scopes: c.scopes, Claims: c.wanted,
		}
		if diff := cmp.Diff(want, ForToken(base, "jane", "https://orders.example.com", c.scope, c.claims), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}
