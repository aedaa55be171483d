package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/tokenserver"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// auditBuffer is the writer of an audit log.
type auditBuffer struct {
	mu   sync.Mutex
	text strings.Builder
	// failing makes writes fail.
	failing bool
}

func (b *auditBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failing {
		return 0, errors.New("no space is left")
	}
	return b.text.Write(line)
}

// all returns what was written.
func (b *auditBuffer) all() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *auditBuffer) last() (line map[string]any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(b.text.String()), "\n")
	_ = json.Unmarshal([]byte(lines[len(lines)-1]), &line)
	return line
}

// observed attaches an audit log and metrics to a replica.
func (h *fixture) observed(r *operator.Replica) (*auditBuffer, *prometheus.Registry) {
	h.T.Helper()
	registry, log := prometheus.NewRegistry(), &auditBuffer{}
	metrics, err := tokenserver.NewMetrics(registry, tokenserver.Facts{
		Staleness: r.Staleness, Ready: r.Fresh, MaxStaleness: time.Minute, CertificateSpan: func() (start, end time.Time) { return time.Unix(1e9, 0), time.Unix(2e9, 0) },
		Verifications: r.Handler.Grants.Verifications,
	})
	h.Expect(err).NotTo(gomega.HaveOccurred())
	audit := tokenserver.NewAudit(log, h.Clock, func(error) { metrics.Lost() })
	r.Handler.Observe = func(request *tokenserver.Request) {
		metrics.Observe(request)
		audit.Observe(request)
	}
	return log, registry
}

// TestAuditAndMetrics checks that each exchange, login and revocation writes one audit line with its subject,
// refresh key, address and result, and is counted. Neither contains tokens, and metrics contain no names.
func TestAuditAndMetrics(t *testing.T) {
	const password = "correct-horse-battery"
	h := newFixture(t, clock.RealClock{})
	file := h.passwordFile(htpasswd(t, "jane", password))
	h.Issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Login = &v1alpha1.LoginSpec{SessionNamespace: h.Name, Passwords: &v1alpha1.PasswordLogin{SecretRef: v1alpha1.LocalSecretReference{Name: file}}}
	})
	h.Manage()
	r := h.Replica()
	log, metrics := h.observed(r)
	h.serves(r)
	key := h.Key("orders")
	held, shown := h.AwaitRevision(key, 1), h.workload("till")
	secrets := []string{password, held, shown}

	says := func(got *operator.Answer, want map[string]any) {
		t.Helper()
		secrets = append(secrets, got.Text("refresh_token"), got.Text("access_token"))
		line := log.last()
		want["issuer"], want["address"], want["status"] = h.Name, "127.0.0.1", float64(got.Status)
		for name, value := range want {
			h.Expect(line).To(gomega.HaveKeyWithValue(name, value), "%s %s", want["event"], want["result"])
		}
		_, err := time.Parse(time.RFC3339Nano, fmt.Sprint(line["time"]))
		h.Expect(err).NotTo(gomega.HaveOccurred())
	}
	ofKey := map[string]any{
		"event": "exchange", "grant": "refresh_token", "result": "ok", "namespace": h.Name, "name": "orders", "uid": string(key.UID),
		"revision": float64(1), "jti": key.Status.JTI, "subject": "refreshkey:" + h.Name + ":orders", "userAgent": "till/1 [removed]",
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {held}}
	exchanged := h.Post(r, "/token", form, "User-Agent", "till/1 "+held)
	says(exchanged, ofKey)
	h.Expect(log.last()["accessJTI"]).NotTo(gomega.BeEmpty())
	says(h.Refresh(r, held+"x"), map[string]any{"event": "exchange", "grant": "refresh_token", "result": "invalid_grant"})
	h.Expect(log.last()).NotTo(gomega.HaveKey("jti"), "unverified data is not recorded")
	says(h.Post(r, "/token", url.Values{"grant_type": {held}}), map[string]any{"event": "exchange", "result": "unsupported_grant_type"})

	account := "system:serviceaccount:" + h.Name + ":till"
	session := h.signIn(r, shown)
	says(session, map[string]any{"event": "login", "grant": tokenExchange, "result": "ok", "subject": account, "namespace": h.Name})
	says(h.signIn(r, shown, "audience", "two words"), map[string]any{"event": "login", "result": "invalid_target", "subject": account})
	byPassword := url.Values{"grant_type": {"password"}, "username": {"jane"}, "password": {password}, "audience": {harness.Audience}}
	says(h.Post(r, "/token", byPassword), map[string]any{"event": "login", "grant": "password", "result": "ok", "subject": "jane"})
	says(h.Revoke(r, session.Text("refresh_token")), map[string]any{"event": "revocation", "result": "ok", "subject": account})

	lines := strings.Count(log.text.String(), "\n")
	h.Introspect(r, shown, exchanged.Text("access_token"), "")
	h.Expect(log.last()).To(gomega.HaveKeyWithValue("event", "introspection"), "a caller without the right")
	h.Expect(log.last()).To(gomega.HaveKeyWithValue("result", "insufficient_scope"))
	h.serves(r)
	h.Expect(strings.Count(log.text.String(), "\n")).To(gomega.Equal(lines+1), "requests for metadata are not recorded")
	log.failing = true
	h.Expect(h.signIn(r, shown).Outcome()).To(gomega.Equal("200"), "a full disk does not delay requests")

	gathered, err := testutil.CollectAndFormat(metrics, expfmt.TypeTextPlain, "refreshkeys_requests_total", "refreshkeys_exchanges_total",
		"refreshkeys_verifications_total", "refreshkeys_audit_lines_lost_total", "refreshkeys_tokenserver_ready")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	for _, sample := range []string{
		`refreshkeys_exchanges_total{grant="refresh_token",issuer="` + h.Name + `",result="ok"} 1`,
		`refreshkeys_exchanges_total{grant="` + tokenExchange + `",issuer="` + h.Name + `",result="ok"} 2`,
		`refreshkeys_exchanges_total{grant="",issuer="` + h.Name + `",result="unsupported_grant_type"} 1`,
		`refreshkeys_verifications_total{cache="miss"} 3`, `refreshkeys_audit_lines_lost_total 1`, `refreshkeys_tokenserver_ready 1`,
	} {
		h.Expect(strings.Contains(string(gathered), sample+"\n")).To(gomega.BeTrue(), "no %s in:\n%s", sample, gathered)
	}
	for i, secret := range append(secrets, client.ObjectKeyFromObject(key).Name+"-token", "jane", key.Status.JTI) {
		for _, part := range strings.Split(secret, ".") {
			if len(part) > 8 && strings.Contains(log.text.String(), part) && part != key.Status.JTI {
				t.Errorf("secret %d is in the audit log", i)
			}
			if len(part) > 3 && strings.Contains(string(gathered), part) {
				t.Errorf("secret or name %d is in the metrics", i)
			}
		}
	}
}
