package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"
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
		{"may not introspect", 403, `{"error":"insufficient_scope"}`, true, false},
		{"invalid_grant of /introspect", 400, `{"error":"invalid_grant"}`, true, false},
		{"active false of /token", 200, `{"active":false}`, false, false},
	} {
		refuses, why := judge(c.status, []byte(c.body), c.introspect)
		if refuses != c.refuses || (!refuses && why == "") {
			t.Errorf("%s: %v, %q; want %v", c.name, refuses, why, c.refuses)
		}
	}
}

func TestExitCodes(t *testing.T) {
	missing := apierrors.NewNotFound(schema.GroupResource{Resource: "jwtrefreshkeys"}, "orders")
	for _, c := range []struct {
		name string
		err  error
		want int
	}{
		{"none", nil, exitDone},
		{"any", errors.New("any"), exitError},
		{"usage", usageError("wrong"), exitUsage},
		{"not found", missing, exitNotFound},
		{"not found, wrapped", fmt.Errorf("key: %w", missing), exitNotFound},
		{"the outer exit code counts", fail(exitUnverified, "revoked: %w", missing), exitUnverified},
		{"refused", &failure{code: exitRefused, err: &refusal{status: 400, code: "invalid_grant"}}, exitRefused},
		{"timed out", fmt.Errorf("asking: %w", context.DeadlineExceeded), exitTimedOut},
		{"without a message", exitOnly(exitRefused), exitRefused},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	if exitOnly(exitDone) != nil {
		t.Error("exitDone is an error")
	}
	for code := exitDone; code <= exitUnverified; code++ {
		if !strings.Contains(exitCodes, fmt.Sprintf("\n  %d  ", code)) {
			t.Errorf("exit code %d is not in the help", code)
		}
	}
}

// syncBuffer collects writes, and signals each one on more.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.text.Write(p)
	s.more <- struct{}{}
	return n, err
}

func TestProgress(t *testing.T) {
	for _, c := range []struct {
		name     string
		terminal bool
		want     string
	}{
		{"in a pipe: a line for each activity", false, "reading ...\nasking ...\n"},
		{"on a terminal: one line, which is removed at the end", true, "\r\033[Kreading (1s)\r\033[Kreading (2s)\r\033[Kasking (3s)\r\033[K"},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := clocktesting.NewFakeClock(noon)
			out := &syncBuffer{more: make(chan struct{}, 10)}
			p := &progress{out: out, terminal: c.terminal, clock: clock}
			done := p.during("reading")
			clock.Step(time.Second - time.Millisecond)
			if out.text.Len() > 0 {
				t.Fatal("progress is printed within the first second")
			}
			clock.Step(time.Millisecond)
			<-out.more
			if c.terminal {
				clock.Step(time.Second)
				<-out.more
			}
			p.update("asking")
			clock.Step(time.Second)
			<-out.more
			done()
			done()
			if got := out.text.String(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
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
		if _, err := parseClaims(wrong); exitCode(err) != exitUsage {
			t.Errorf("%v: %v", wrong, err)
		}
	}
}
