package commands

import (
	"testing"

	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// TestJudge checks that only 400 invalid_grant of /token and active false of /introspect count as a final refusal.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name       string
		status     int
		body       string
		introspect bool
		refuses    bool
	}{
		{"refused", 400, `{"error":"invalid_grant"}`, false, true},
		{"accepted, and requested for another resource", 400, `{"error":"invalid_target"}`, false, false},
		{"accepted, and requested with another scope", 400, `{"error":"invalid_scope"}`, false, false},
		{"accepted, and bound", 401, `{"error":"invalid_client"}`, false, false},
		{"accepted, and not granted", 400, `{"error":"unauthorized_client"}`, false, false},
		{"temporarily unavailable", 503, `{"error":"temporarily_unavailable"}`, false, false},
		{"too often", 429, `{"error":"slow_down"}`, false, false},
		{"an error of its own", 500, `{"error":"invalid_grant"}`, false, false},
		{"exchanged", 200, `{"access_token":"x"}`, false, false},
		{"no such issuer", 404, `{"error":"invalid_request"}`, false, false},
		{"the API server refuses the proxy request", 403, `{"kind":"Status","status":"Failure"}`, false, false},
		{"not the token service", 400, `<html>`, false, false},
		{"not active", 200, `{"active":false}`, true, true},
		{"active", 200, `{"active":true}`, true, false},
		{"nothing about active", 200, `{}`, true, false},
		{"invalid_grant of /introspect", 400, `{"error":"invalid_grant"}`, true, false},
		{"active false of /token", 200, `{"active":false}`, false, false},
	} {
		refuses, why := judge(c.status, []byte(c.body), c.introspect)
		if refuses != c.refuses || (!refuses && why == "") {
			t.Errorf("%s: %v, %q; want %v", c.name, refuses, why, c.refuses)
		}
	}
}

func TestClaimsOfTheCommandLine(t *testing.T) {
	claims, err := parseClaims([]string{"tier=gold", "level:=3", "roles:=[\"a\",\"b\"]", "empty=", "formula=a=b", "quoted=\"x\""})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"tier": `"gold"`, "level": `3`, "roles": `["a","b"]`, "empty": `""`, "formula": `"a=b"`, "quoted": `"\"x\""`} {
		if got := string(claims[name].Raw); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for _, wrong := range [][]string{{"tier"}, {"=gold"}, {":=3"}, {"level:=gold"}, {"tier=gold", "tier=silver"}} {
		if _, err := parseClaims(wrong); cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("%v: %v", wrong, err)
		}
	}
}
