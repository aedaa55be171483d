package tokenserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// TestSignInWithABrowser checks the whole way: the page, the password, the consent, the code, the tokens.
func TestSignInWithABrowser(t *testing.T) {
	r := withClients(t)
	b := open(t, r)
	got := redeem(r, b.code())
	if got.outcome() != "200" || got.text("token_type") != "Bearer" || got.text("scope") != "openid orders.read" || got.text("refresh_token") == "" {
		t.Fatalf("the tokens: %s", got.raw)
	}
	keys := oidc.StaticKeySet{}
	for _, key := range r.Rings.PublicJWKS().Keys {
		keys.PublicKeys = append(keys.PublicKeys, key.Key)
	}
	verifier := oidc.NewVerifier(replica.URL, &keys, &oidc.Config{ClientID: "shop", SupportedSigningAlgs: []string{"ES256"}, Now: r.Clock.Now})
	identity, err := verifier.Verify(t.Context(), got.text("id_token"))
	if err != nil {
		t.Fatal(err)
	}
	if identity.Subject != "ada" || identity.Nonce != "n1" || identity.VerifyAccessToken(got.text("access_token")) != nil {
		t.Errorf("the id_token says %+v", identity)
	}
	session := onlySession(t, r)
	if session.Status.Session.Client != "shop" || session.Status.Session.Method != v1alpha1.LoginPassword || session.Spec.Audience != audience {
		t.Errorf("the session is %+v, %+v", session.Spec, session.Status.Session)
	}
	refresh := url.Values{"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {got.text("refresh_token")}, "client_id": {"shop"}}
	if again := ask(r, http.MethodPost, "/tenant/token", refresh); again.outcome() != "200" {
		t.Errorf("the refresh: %s", again.raw)
	}
}

func onlySession(t *testing.T, r *replica.Replica) *v1alpha1.JWTRefreshKey {
	t.Helper()
	sessions, err := r.SessionsKnown(replica.Name, replica.Name, "ada")
	if err != nil || len(sessions) != 1 {
		t.Fatalf("%d sessions, %v", len(sessions), err)
	}
	return sessions[0]
}

// TestACodeIsUsedOnce checks that a second redemption by the client ends the session, and that one without the verifier does nothing.
func TestACodeIsUsedOnce(t *testing.T) {
	r := withClients(t)
	b := open(t, r)
	code := b.code()
	for _, c := range []struct {
		name    string
		changes []string
		want    string
	}{
		{"another verifier", []string{"code_verifier", strings.Repeat("a", 43)}, "400 invalid_grant"},
		{"no verifier", []string{"code_verifier", ""}, "400 invalid_request"},
		{"another client", []string{"client_id", "office"}, "400 invalid_grant"},
		{"no client", []string{"client_id", ""}, "400 invalid_request"},
		{"another redirect URI", []string{"redirect_uri", "https://office.example.com/cb"}, "400 invalid_grant"},
		{"no redirect URI", []string{"redirect_uri", ""}, "400 invalid_grant"},
		{"another resource", []string{"resource", "https://bank.example.com"}, "400 invalid_target"},
		{"a client secret", []string{"client_secret", "x"}, "401 invalid_client"},
	} {
		if got := redeem(r, code, c.changes...); got.outcome() != c.want {
			t.Errorf("before, %s: %s, want %s", c.name, got.raw, c.want)
		}
	}
	got := redeem(r, code)
	if got.outcome() != "200" {
		t.Fatalf("the redemption: %s", got.raw)
	}
	if stolen := redeem(r, code, "code_verifier", strings.Repeat("a", 43)); stolen.outcome() != "400 invalid_grant" || onlySession(t, r).Status.RevokedAt != nil {
		t.Errorf("a thief without the verifier gets %s and ends the session", stolen.raw)
	}
	if again := redeem(r, code); again.outcome() != "400 invalid_grant" {
		t.Errorf("the second redemption: %s", again.raw)
	}
	if session := onlySession(t, r); session.Status.RevokedAt == nil || session.Status.RevocationReason != v1alpha1.RevokedReuseDetected {
		t.Errorf("after a second redemption the session goes on: %+v", session.Status)
	}
	refresh := url.Values{"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {got.text("refresh_token")}}
	if ended := ask(r, http.MethodPost, "/tenant/token", refresh); ended.outcome() != "400 invalid_grant" {
		t.Errorf("its refresh token: %s", ended.raw)
	}
	if again := redeem(r, code); again.outcome() != "400 invalid_grant" {
		t.Errorf("the third redemption: %s", again.raw)
	}
}

// TestACodeExpires checks the last moment of a code.
func TestACodeExpires(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		want  string
	}{{59 * time.Second, "200"}, {time.Minute, "400 invalid_grant"}} {
		r := withClients(t)
		code := open(t, r).code()
		r.Clock.SetTime(r.Clock.Now().Add(c.after))
		if got := redeem(r, code); got.outcome() != c.want {
			t.Errorf("after %s: %s, want %s", c.after, got.raw, c.want)
		}
	}
}

// TestARedemptionThatDiedIsContinued checks that a session without a first token, of a replica that died after it created the object, is
// continued and not ended.
func TestARedemptionThatDiedIsContinued(t *testing.T) {
	r := withClients(t)
	code := open(t, r).code()
	r.BeginsFail(1)
	if got := redeem(r, code); got.outcome() != "503 temporarily_unavailable" {
		t.Fatalf("while status cannot be written: %s", got.raw)
	}
	if got := redeem(r, code); got.outcome() != "200" {
		t.Errorf("the next try: %s", got.raw)
	}
	if onlySession(t, r).Status.RevokedAt != nil {
		t.Error("the session has ended")
	}
}

// TestAnyReplicaTakesEachStep checks a sign-in whose steps go to two replicas in turn.
func TestAnyReplicaTakesEachStep(t *testing.T) {
	r := withClients(t)
	b := open(t, r, r.Other())
	code := b.code()
	if got := redeem(r.Other(), code); got.outcome() != "200" {
		t.Errorf("the redemption: %s", got.raw)
	}
}

// TestRotatedSealKey checks that a step and a code survive a rotation of the seal ring, and that a withdrawal is no verdict on them.
func TestRotatedSealKey(t *testing.T) {
	r := withClients(t)
	b := open(t, r)
	page := b.begin()
	r.Rings = r.NextRings(r.Rings, replica.Start.Add(240*time.Hour))
	r.PutIssuer(r.Issuer, r.Rings)
	code := returned(t, b.submit(b.password(page), "answer", "allow")).Get("code")
	key, err := r.Rings.Signer(keyring.Seal)
	if err != nil {
		t.Fatal(err)
	}
	withdrawn := r.WithdrawnRings(r.Rings, key.ID)
	r.PutIssuer(r.Issuer, withdrawn)
	if got := redeem(r, code); got.outcome() != "503 temporarily_unavailable" {
		t.Errorf("a code of a withdrawn key: %s", got.raw)
	}
	r.PutIssuer(r.Issuer, r.Rings)
	if got := redeem(r, code); got.outcome() != "200" {
		t.Errorf("a code of a key that came back: %s", got.raw)
	}
}

// TestYoungSessionsAreNotEvicted checks that a session is not deleted while its code could be redeemed again.
func TestYoungSessionsAreNotEvicted(t *testing.T) {
	r := withClients(t)
	r.Issuer.Spec.Login.SessionsPerSubject = 1
	r.PutIssuer(r.Issuer, r.Rings)
	b := open(t, r)
	code := b.code()
	if got := redeem(r, code); got.outcome() != "200" {
		t.Fatal(got.raw)
	}
	first := onlySession(t, r)
	name := types.NamespacedName{Namespace: first.Namespace, Name: first.Name}
	if got := redeem(r, b.code()); got.outcome() != "200" {
		t.Fatal(got.raw)
	}
	if r.Key(name) == nil {
		t.Fatal("the session was deleted, so that its code could begin it again")
	}
	if got := redeem(r, code); got.outcome() != "400 invalid_grant" {
		t.Errorf("its code: %s", got.raw)
	}
	r.Clock.SetTime(r.Clock.Now().Add(3 * time.Minute))
	if got := redeem(r, b.code()); got.outcome() != "200" {
		t.Fatal(got.raw)
	}
	if r.Key(name) != nil {
		t.Error("after three minutes the session is not evicted")
	}
}
