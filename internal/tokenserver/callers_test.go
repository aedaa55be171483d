package tokenserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/grant"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/test/observability/lines"
)

// oneIssuer is an Issuers with one issuer, and a Callers that refuses all callers and records their tokens.
type oneIssuer struct{ tried []string }

func (o *oneIssuer) At(string, string) registry.Place {
	issuer := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: "default"}, Spec: v1alpha1.JWTIssuerSpec{URL: "https://tokens.example.com"}}
	return registry.NewDirectory([]*v1alpha1.JWTIssuer{issuer}, "", nil).At("", "tokens.example.com")
}

// Fresh implements Issuers.
func (o *oneIssuer) Fresh() error { return nil }

func (o *oneIssuer) Authenticate(_ context.Context, _, bearer string) (Caller, error) {
	o.tried = append(o.tried, bearer)
	return nil, oauth.Refuse(oauth.InvalidToken, "The bearer token is not known.")
}

// TestCredentialsOfACaller checks that a request without a bearer token gets only the scheme (RFC 6750 §3.1), and
// that a malformed token is refused without a review.
func TestCredentialsOfACaller(t *testing.T) {
	const plain, invalid = `Bearer realm="refreshkeys"`, `Bearer realm="refreshkeys", error="invalid_token"`
	for _, c := range []struct {
		name, authorization, challenge string
		// tried is the token that is asked about; empty for none.
		tried string
	}{
		{"nothing", "", plain, ""},
		{"another scheme", "Basic eDo=", plain, ""},
		{"no blank", "Bearerx", plain, ""},
		{"no token", "Bearer", invalid, ""},
		{"two blanks", "Bearer  x", invalid, ""},
		{"a word after it", "Bearer x y", invalid, ""},
		{"a list", "Bearer x,y", invalid, ""},
		{"a token", "Bearer x", invalid, "x"},
	} {
		one, clock := &oneIssuer{}, clocktesting.NewFakePassiveClock(time.Unix(1e9, 0))
		grants, err := grant.New(grant.Options{Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		server, err := New(Options{Issuers: one, Callers: one, Grants: grants, Clock: clock, Log: logr.Discard()})
		if err != nil {
			t.Fatal(err)
		}
		request := httptest.NewRequest(http.MethodPost, "/introspect", strings.NewReader("token=x"))
		request.Header.Set("Content-Type", formType)
		if c.authorization != "" {
			request.Header.Set("Authorization", c.authorization)
		}
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, request)
		if got := answer.Header().Get("WWW-Authenticate"); answer.Code != http.StatusUnauthorized || got != c.challenge {
			t.Errorf("%s: %d, %q; want 401, %q", c.name, answer.Code, got, c.challenge)
		}
		if told := answer.Body.Len() > 0; told != (c.challenge == invalid) {
			t.Errorf("%s: the body is %q", c.name, answer.Body)
		}
		if got := strings.Join(one.tried, " "); got != c.tried {
			t.Errorf("%s: reviewed %q, want %q", c.name, got, c.tried)
		}
	}
}

// TestLogLines checks that log lines have unique field names, also without the core that would number duplicates,
// and that a withheld introspection is recorded in the log and the audit log.
func TestLogLines(t *testing.T) {
	named := grant.Outcome{JTI: "j", Subject: "s"}
	withheld := grant.Outcome{JTI: "j", Withheld: oauth.InsufficientScope}
	broken := errors.New("broken")
	for _, c := range []struct {
		name    string
		request Request
		want    []string
	}{
		{"granted", Request{Endpoint: "token", Status: 200, Outcome: named}, []string{`"jti":"j"`}},
		{"refused", Request{Endpoint: "token", Status: 400, Code: oauth.InvalidGrant}, []string{`"code":"invalid_grant"`}},
		{"failed", Request{Endpoint: "token", Status: 503, Code: oauth.TemporarilyUnavailable, internal: broken}, []string{`"code":"temporarily_unavailable"`, `"error":"broken"`}},
		{"failed within", Request{Endpoint: "token", Status: 500, Code: oauth.ServerError, internal: broken, Outcome: named}, []string{`"error":"broken"`}},
		{"withheld", Request{Endpoint: "introspect", Status: 200, Caller: "ann", Outcome: withheld}, []string{`"withheld":"insufficient_scope"`, `"caller_name":"ann"`}},
	} {
		var out, audited bytes.Buffer
		core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&out), zapcore.Level(-9))
		server, err := New(Options{Log: zapr.NewLogger(zap.New(core, zap.AddCaller()))})
		if err != nil {
			t.Fatal(err)
		}
		c.request.http = httptest.NewRequest(http.MethodPost, "/", http.NoBody)
		c.request.Issuer = "default"
		server.log(&c.request)
		if err := lines.Twice(out.Bytes()); err != nil {
			t.Errorf("%s: %v in %s", c.name, err, &out)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: %s is missing in %s", c.name, want, &out)
			}
		}
		NewAudit(&audited, clocktesting.NewFakePassiveClock(time.Unix(1e9, 0)), func(err error) { t.Error(err) }).Observe(&c.request)
		if err := lines.Twice(audited.Bytes()); err != nil {
			t.Errorf("%s: audit: %v in %s", c.name, err, &audited)
		}
		if c.request.Caller == "" {
			continue
		}
		var line map[string]any
		if err := json.Unmarshal(audited.Bytes(), &line); err != nil || line["event"] != "introspection" || line["result"] != "insufficient_scope" || line["caller"] != "ann" {
			t.Errorf("%s: audit: %v, %s", c.name, err, &audited)
		}
	}
}
