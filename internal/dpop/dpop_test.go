package dpop

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/signing"
)

const inside = "https://tokens.refreshkeys-system.svc:8443/inside"

var endpoints = []string{issuer + "/token", inside + "/token"}

// client makes proofs for a replica.
type client struct {
	*prover
	clock *clocktesting.FakePassiveClock
	nonce string
	made  int
}

// proof returns a good proof with changed claims: names and JSON texts in turn; an empty text removes the claim.
func (c *client) proof(changed ...string) string {
	c.made++
	claims := map[string]string{
		"jti": fmt.Sprintf(`"proof-%d"`, c.made), "htm": `"POST"`, "htu": `"` + endpoints[0] + `"`, "iat": fmt.Sprint(c.clock.Now().Unix()), "nonce": `"` + c.nonce + `"`,
	}
	for i := 0; i+1 < len(changed); i += 2 {
		claims[changed[i]] = changed[i+1]
	}
	var members []string
	for name, value := range claims {
		if value != "" {
			members = append(members, fmt.Sprintf("%q:%s", name, value))
		}
	}
	return c.sign(c.header, "{"+strings.Join(members, ",")+"}")
}

// outcome returns "ok" or the code of a refusal.
func outcome(err error) string {
	var refusal *oauth.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &refusal):
		return string(refusal.Code)
	default:
		return err.Error()
	}
}

// TestProve checks which proofs a replica accepts for a request, and that a refusal for the nonce brings the next one.
func TestProve(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(t0)
	proofs, err := New(clock)
	if err != nil {
		t.Fatal(err)
	}
	rings := signing.Next(t, nil, t0)
	device, thief := &client{prover: newProver(t, "ES256"), clock: clock}, &client{prover: newProver(t, "EdDSA"), clock: clock}
	learn := func() {
		t.Helper()
		_, err := proofs.Prove(endpoints, rings, []string{device.proof("nonce", "")})
		var refusal *oauth.Error
		if !errors.As(err, &refusal) || refusal.Code != oauth.UseDPoPNonce || refusal.DPoPNonce == "" {
			t.Fatalf("a proof without a nonce: %v", err)
		}
		device.nonce, thief.nonce = refusal.DPoPNonce, refusal.DPoPNonce
	}
	learn()
	const good, bad, nonce = "ok", string(oauth.InvalidDPoPProof), string(oauth.UseDPoPNonce)
	at := func(d time.Duration) string { return fmt.Sprint(clock.Now().Add(d).Unix()) }
	for _, c := range []struct {
		name   string
		header []string
		want   string
	}{
		{"none", nil, good},
		{"an empty header", []string{""}, bad},
		{"nonsense", []string{"nonsense"}, bad},
		{"longer than 8 KiB", []string{strings.Repeat("a", 9_000)}, bad},
		{"good", []string{device.proof()}, good},
		{"another key's", []string{thief.proof()}, good},
		{"two", []string{device.proof(), device.proof()}, bad},
		{"two in one header", []string{device.proof() + ", " + device.proof()}, bad},
		{"for GET", []string{device.proof("htm", `"GET"`)}, bad},
		{"for the issuer's URL", []string{device.proof("htu", `"`+issuer+`"`)}, bad},
		{"for another endpoint", []string{device.proof("htu", `"`+issuer+`/revoke"`)}, bad},
		{"for another host", []string{device.proof("htu", `"https://127.0.0.1:8443/token"`)}, bad},
		{"for the second URL of the issuer", []string{device.proof("htu", `"`+inside+`/token"`)}, good},
		{"for the URL in other letters, and with a port", []string{device.proof("htu", `"HTTPS://Tokens.Example.com:443/token"`)}, good},
		{"made an hour ago", []string{device.proof("iat", at(-time.Hour))}, bad},
		{"made in an hour", []string{device.proof("iat", at(time.Hour))}, bad},
		{"made by a clock that is a minute behind", []string{device.proof("iat", at(-time.Minute))}, good},
		{"without a jti", []string{device.proof("jti", "")}, bad},
		{"with a nonce of its own", []string{device.proof("nonce", `"mine"`)}, nonce},
		{"with a nonce changed", []string{device.proof("nonce", `"`+device.nonce[:len(device.nonce)-1]+`"`)}, nonce},
	} {
		proven, err := proofs.Prove(endpoints, rings, c.header)
		if got := outcome(err); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if proves := err == nil && c.header != nil; proves != (proven.Thumbprint != "") {
			t.Errorf("%s: it proves %q", c.name, proven.Thumbprint)
		}
		var refusal *oauth.Error
		if errors.As(err, &refusal) && (refusal.DPoPNonce != "") != (c.want == nonce) {
			t.Errorf("%s: the refusal has the nonce %q", c.name, refusal.DPoPNonce)
		}
	}
	prove := func(compact string) string {
		_, err := proofs.Prove(endpoints, rings, []string{compact})
		return outcome(err)
	}
	learn()
	clock.SetTime(clock.Now().Add(nonceFor - time.Second))
	if got := prove(device.proof()); got != good {
		t.Errorf("29 seconds after the nonce: %s", got)
	}
	clock.SetTime(clock.Now().Add(time.Second))
	if got := prove(device.proof()); got != nonce {
		t.Errorf("30 seconds after the nonce: %s", got)
	}
	if _, err := proofs.Prove(endpoints, keyring.GivenUp(), []string{device.proof()}); err == nil || outcome(err) == nonce {
		t.Errorf("without a signing key to derive a nonce from: %v", err)
	}
}

// TestConsume checks that a proof is used once, and that a client without one passes.
func TestConsume(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(t0)
	proofs, err := New(clock)
	if err != nil {
		t.Fatal(err)
	}
	rings := signing.Next(t, nil, t0)
	device := &client{prover: newProver(t, "ES256"), clock: clock}
	device.nonce = fresh(t, proofs.nonces, rings)
	proven, err := proofs.Prove(endpoints, rings, []string{device.proof()})
	if err != nil {
		t.Fatal(err)
	}
	if err := proofs.Consume(&proven); err != nil {
		t.Errorf("the first use: %v", err)
	}
	if got := outcome(proofs.Consume(&proven)); got != string(oauth.InvalidDPoPProof) {
		t.Errorf("the second use: %s", got)
	}
	for range 2 {
		if err := proofs.Consume(&Proven{}); err != nil {
			t.Errorf("no proof: %v", err)
		}
	}
	for _, c := range []struct {
		required []string
		want     string
	}{
		{nil, "ok"}, {[]string{"", ""}, "ok"}, {[]string{proven.Thumbprint, ""}, "ok"}, {[]string{"", "another"}, string(oauth.InvalidDPoPProof)},
	} {
		if got := outcome(proven.Satisfies(c.required...)); got != c.want {
			t.Errorf("%q: %s, want %s", c.required, got, c.want)
		}
	}
	var answer oauth.TokenAnswer
	if err := proofs.Constrain(&answer, &proven, rings); err != nil || answer.TokenType != oauth.TokenTypeDPoP || answer.DPoPNonce == "" {
		t.Errorf("the answer is %+v, %v", answer, err)
	}
	if err := proofs.Constrain(&answer, &proven, keyring.GivenUp()); err == nil {
		t.Error("a nonce was made without a signing key")
	}
}

// TestProveAt checks that a proof at a resource is for its method, its URL and the access token of the request (RFC 9449
// §4.3, 8, 9 and 11).
func TestProveAt(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(t0)
	proofs, err := New(clock)
	if err != nil {
		t.Fatal(err)
	}
	rings := signing.Next(t, nil, t0)
	device := &client{prover: newProver(t, "ES256"), clock: clock, nonce: fresh(t, proofs.nonces, rings)}
	resource := &Resource{Method: "GET", URLs: []string{issuer + "/sessions", inside + "/sessions"}, Token: "eyJ.eyJ.c2ln"}
	// The hash of the token, by another implementation.
	const ath = `"lgPxmyU-mVsOc8sHg1cqDzxutby4gro9WlEd4WpAEPE"`
	proof := func(changed ...string) string {
		return device.proof(append([]string{"htm", `"GET"`, "htu", `"` + issuer + `/sessions"`, "ath", ath}, changed...)...)
	}
	const good, bad = "ok", string(oauth.InvalidDPoPProof)
	for _, c := range []struct {
		name   string
		header []string
		want   string
	}{
		{"none", nil, good},
		{"good", []string{proof()}, good},
		{"for the second URL of the issuer", []string{proof("htu", `"`+inside+`/sessions"`)}, good},
		{"two", []string{proof(), proof()}, bad},
		{"for POST", []string{proof("htm", `"POST"`)}, bad},
		{"for the token endpoint", []string{proof("htu", `"`+issuer+`/token"`)}, bad},
		{"for no access token", []string{proof("ath", "")}, bad},
		{"for another access token", []string{proof("ath", strings.Replace(ath, "lgPx", "lgPy", 1))}, bad},
		{"for a list of access tokens", []string{proof("ath", "["+ath+"]")}, bad},
		{"with ATH for ath", []string{proof("ath", "", "ATH", ath)}, bad},
		{"with the hash in hexadecimal digits", []string{proof("ath", `"9603f19b253e995b0e73cb0783572a0f3c6eb5bcb882ba3d5a511de16a4010f1"`)}, bad},
		{"made an hour ago", []string{proof("iat", fmt.Sprint(clock.Now().Add(-time.Hour).Unix()))}, bad},
		{"without a nonce", []string{proof("nonce", "")}, string(oauth.UseDPoPNonce)},
	} {
		proven, err := proofs.ProveAt(resource, rings, c.header)
		if got := outcome(err); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if proves := err == nil && c.header != nil; proves != (proven.Thumbprint != "") {
			t.Errorf("%s: it proves %q", c.name, proven.Thumbprint)
		}
	}
}
