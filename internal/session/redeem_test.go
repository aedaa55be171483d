package session_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/authorize"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/session"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// people returns a replica at which Ada signs in with a password, to an application and to a device.
func people(t *testing.T) *replica.Replica {
	t.Helper()
	r := replica.New(t, func(issuer *v1alpha1.JWTIssuer) {
		issuer.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Claims: []string{"address"}}}}
		issuer.Spec.Login = &v1alpha1.LoginSpec{
			SessionNamespace: replica.Name, Passwords: &v1alpha1.PasswordLogin{SecretRef: v1alpha1.LocalSecretReference{Name: "people"}},
			Clients: []v1alpha1.LoginClient{
				{ID: "shop", RedirectURIs: []string{"https://shop.example.com/callback"}, Audiences: []string{replica.Audience}},
				{ID: "tv", Audiences: []string{replica.Audience}, Device: &v1alpha1.DeviceClient{CodePrefix: "TV"}},
			},
		}
	})
	r.PutPasswords("", "ada", "correct horse")
	return r
}

func ada(r *replica.Replica) authorize.SignedIn {
	return authorize.SignedIn{
		Subject: "ada", Method: v1alpha1.LoginPassword, At: r.Clock.Now(),
		Claims: map[string]apiextensionsv1.JSON{"address": {Raw: []byte(`["a<b", "c"]`)}},
	}
}

func codeOf(r *replica.Replica, id string) *authorize.Code {
	return &authorize.Code{Request: authorize.Request{Client: "shop", Audience: replica.Audience}, SignedIn: ada(r), ID: id, Namespace: replica.Name}
}

func redeem(t *testing.T, r *replica.Replica, code *authorize.Code) (*session.Result, error) {
	t.Helper()
	return redeemRefused(t, r, code, nil)
}

// redeemRefused redeems a code for which the caller has found a refusal.
func redeemRefused(t *testing.T, r *replica.Replica, code *authorize.Code, refused error) (*session.Result, error) {
	t.Helper()
	return r.Grants.Logins().Redeem(t.Context(), r.Registry, r.Found(), code, &session.Terms{}, refused)
}

// is reports whether an error is a refusal with a code; an empty code stands for none.
func is(err error, code oauth.Code) bool {
	var refused *oauth.Error
	if !errors.As(err, &refused) {
		return err == nil && code == ""
	}
	return refused.Code == code
}

// TestRedeem checks the session of a code: what it says, that it begins once, and what a second redemption does.
func TestRedeem(t *testing.T) {
	r := people(t)
	code := codeOf(r, "a")
	begun, err := redeem(t, r, code)
	if err != nil {
		t.Fatal(err)
	}
	if got := begun.Key.Status.Session; got.Subject != "ada" || got.Client != "shop" || begun.Claims.Audience != replica.Audience || begun.Key.Name != code.SessionName(r.Found().UID) {
		t.Errorf("the session is %+v, %+v", got, begun.Claims)
	}
	other, err := redeem(t, r, codeOf(r, "b"))
	if err != nil || other.Key.Name == begun.Key.Name {
		t.Errorf("another code: %v", err)
	}
	if _, err := redeem(t, r, code); !is(err, oauth.InvalidGrant) {
		t.Errorf("the second redemption: %v", err)
	}
	name := types.NamespacedName{Namespace: replica.Name, Name: begun.Key.Name}
	if status := r.Stored(name).Status; status.RevocationReason != v1alpha1.RevokedReuseDetected {
		t.Errorf("the session goes on: %+v", status)
	}
}

// TestRedeemRefuses checks what ends a redemption before it writes.
func TestRedeemRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*replica.Replica, *authorize.Code)
		want   oauth.Code
	}{
		{"another namespace of sessions", func(_ *replica.Replica, c *authorize.Code) { c.Namespace = "other" }, oauth.InvalidGrant},
		{"a user who was removed", func(_ *replica.Replica, c *authorize.Code) { c.SignedIn.Subject = "bob" }, oauth.UnauthorizedClient},
		{"a provider that was removed", func(_ *replica.Replica, c *authorize.Code) {
			c.SignedIn.Method, c.SignedIn.Provider = v1alpha1.LoginOIDC, "https://idp.example.com"
		}, oauth.UnauthorizedClient},
		{"a subject of the cluster", func(_ *replica.Replica, c *authorize.Code) { c.SignedIn.Subject = "system:admin" }, oauth.InvalidRequest},
		{"a scope that is not granted", func(_ *replica.Replica, c *authorize.Code) { c.Request.Scopes = []string{"orders.read"} }, oauth.InvalidScope},
		{"a key that is not proven", func(_ *replica.Replica, c *authorize.Code) { c.Request.JWKThumbprint = "x" }, oauth.InvalidDPoPProof},
	} {
		r := people(t)
		code := codeOf(r, "a")
		c.change(r, code)
		before := r.Counts().Writes
		if _, err := redeem(t, r, code); !is(err, c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		if writes := r.Counts().Writes - before; writes != 0 {
			t.Errorf("%s: %d writes", c.name, writes)
		}
	}
}

// TestNoLimitKeepsASessionOfACodeThatIsUsedTwice checks that a second redemption ends the session where a new one would be refused: by a limit, by the
// policy, because the person is gone, or by the caller. It does so also while the view does not have the session yet, and after a redemption that was
// refused before the session began.
func TestNoLimitKeepsASessionOfACodeThatIsUsedTwice(t *testing.T) {
	full := func(r *replica.Replica) { r.Issuer.Spec.Login.MaxSessions = 1 }
	same := func(*replica.Replica) {}
	unavailable := func(err error) bool { return errors.Is(err, upstream.ErrUnavailable) }
	undeclared, elsewhere := oauth.Refuse(oauth.UnauthorizedClient, "undeclared"), oauth.Refuse(oauth.InvalidTarget, "elsewhere")
	for _, c := range []struct {
		name   string
		change func(*replica.Replica)
		// others are the codes that are redeemed meanwhile.
		others int
		unseen bool
		// refused is what the caller refuses the code for; nil for nothing.
		refused error
		// fresh is what a code that was not used gets.
		fresh func(error) bool
	}{
		{"all sessions of the issuer", full, 0, false, nil, unavailable},
		{"all sessions of the issuer, and an old view", full, 1, true, nil, unavailable},
		{"too many sign-ins", same, 60, false, nil, func(err error) bool { return is(err, oauth.SlowDown) }},
		{"no grant any more", func(r *replica.Replica) { r.Issuer.Spec.Policy.Rules[0].Claims = nil }, 0, false, nil,
			func(err error) bool { return is(err, oauth.UnauthorizedClient) }},
		{"no passwords any more", func(r *replica.Replica) { r.Issuer.Spec.Login.Passwords = nil }, 0, true, nil,
			func(err error) bool { return is(err, oauth.UnauthorizedClient) }},
		{"no declaration any more", same, 0, false, undeclared, func(err error) bool { return errors.Is(err, undeclared) }},
		{"another resource, and an old view", same, 0, true, elsewhere, func(err error) bool { return errors.Is(err, elsewhere) }},
	} {
		r := people(t)
		code := codeOf(r, "a")
		if _, err := redeemRefused(t, r, code, elsewhere); !errors.Is(err, elsewhere) {
			t.Errorf("%s: a redemption that is refused at first: %v", c.name, err)
		}
		begun, err := redeem(t, r, code)
		if err != nil {
			t.Fatal(err)
		}
		for n := range c.others {
			_, _ = redeem(t, r, codeOf(r, fmt.Sprint("other-", n)))
		}
		c.change(r)
		r.PutIssuer(r.Issuer, r.Rings)
		name := types.NamespacedName{Namespace: replica.Name, Name: begun.Key.Name}
		if c.unseen {
			unsee(r, name)
		}
		if _, err := redeemRefused(t, r, codeOf(r, "b"), c.refused); !c.fresh(err) {
			t.Errorf("%s: a fresh code: %v", c.name, err)
		}
		if _, err := redeemRefused(t, r, code, c.refused); !is(err, oauth.InvalidGrant) {
			t.Errorf("%s: the second redemption: %v", c.name, err)
		}
		if status := r.Stored(name).Status; status.RevocationReason != v1alpha1.RevokedReuseDetected {
			t.Errorf("%s: the session goes on: %+v", c.name, status)
		}
		before := r.Counts()
		if _, err := redeemRefused(t, r, code, c.refused); !is(err, oauth.InvalidGrant) || r.Counts() != before {
			t.Errorf("%s: the third redemption: %v, %+v requests, before %+v", c.name, err, r.Counts(), before)
		}
	}
}

// unsee takes a session out of the view, which stays behind the API server.
func unsee(r *replica.Replica, name types.NamespacedName) {
	stored := r.Stored(name)
	r.Delete(name)
	r.Hold(true)
	r.Put(stored)
}

// TestARefusalNeedsTheAPIServer checks that no refusal hides a second redemption which the service cannot see: while the API server does not answer,
// the client gets 503, and its next try ends the session.
func TestARefusalNeedsTheAPIServer(t *testing.T) {
	r := people(t)
	code := codeOf(r, "a")
	begun, err := redeem(t, r, code)
	if err != nil {
		t.Fatal(err)
	}
	r.Issuer.Spec.Policy.Rules[0].Claims = nil
	r.PutIssuer(r.Issuer, r.Rings)
	name := types.NamespacedName{Namespace: replica.Name, Name: begun.Key.Name}
	unsee(r, name)
	r.Away(true)
	if _, err := redeem(t, r, code); !errors.Is(err, upstream.ErrUnavailable) {
		t.Errorf("without the API server: %v", err)
	}
	r.Away(false)
	if _, err := redeem(t, r, code); !is(err, oauth.InvalidGrant) || r.Stored(name).Status.RevocationReason != v1alpha1.RevokedReuseDetected {
		t.Errorf("the next try: %v, and the session is %+v", err, r.Stored(name).Status)
	}
}

// TestRedeemGoesOn checks a redemption after one that died between its writes, also if the API server has written a claim with other escapes;
// and that an object that another user changed is not used.
func TestRedeemGoesOn(t *testing.T) {
	r := people(t)
	code := codeOf(r, "a")
	name := types.NamespacedName{Namespace: replica.Name, Name: code.SessionName(r.Found().UID)}
	r.BeginsFail(1)
	if _, err := redeem(t, r, code); !errors.Is(err, upstream.ErrUnavailable) {
		t.Fatalf("the first one: %v", err)
	}
	r.Edit(name, func(key *v1alpha1.JWTRefreshKey) {
		key.Spec.Claims = map[string]apiextensionsv1.JSON{"address": {Raw: []byte(`["a\u003cb","c"]`)}}
	})
	if begun, err := redeem(t, r, code); err != nil || begun.Key.Name != name.Name {
		t.Errorf("the next one: %v", err)
	}
	code = codeOf(r, "b")
	name.Name = code.SessionName(r.Found().UID)
	r.BeginsFail(1)
	if _, err := redeem(t, r, code); !errors.Is(err, upstream.ErrUnavailable) {
		t.Fatal(err)
	}
	r.Edit(name, func(key *v1alpha1.JWTRefreshKey) { key.Spec.Audience = "https://bank.example.com" })
	if _, err := redeem(t, r, code); !is(err, oauth.InvalidGrant) {
		t.Errorf("an object that was changed: %v", err)
	}
}

// TestManySignIns checks that a subject has at most ten young sessions besides a new one.
func TestManySignIns(t *testing.T) {
	r := people(t)
	var err error
	for n := 0; n < 12 && err == nil; n++ {
		_, err = redeem(t, r, codeOf(r, string(rune('a'+n))))
	}
	if !is(err, oauth.SlowDown) {
		t.Errorf("the twelfth sign-in: %v", err)
	}
	r.Clock.SetTime(r.Clock.Now().Add(3 * time.Minute))
	if _, err := redeem(t, r, codeOf(r, "later")); err != nil {
		t.Errorf("three minutes later: %v", err)
	}
}

// TestDecisionsAndClaims checks the session of a device: the decision of a person, the claim, its repetition, and a later claim.
func TestDecisionsAndClaims(t *testing.T) {
	r := people(t)
	logins, issuer := r.Grants.Logins(), r.Found()
	approval := &authorize.Approval{Client: "tv", Audience: replica.Audience, SignedIn: ada(r)}
	user := authorize.UserCode{Prefix: "TV", Random: "WDJBMJHT", MAC: "XQRK"}
	code := &authorize.DeviceCode{Client: "tv", Namespace: replica.Name, UserCode: user}
	if err := logins.Grants(r.Registry, issuer, approval.Code(replica.Name)); err != nil {
		t.Fatal(err)
	}
	if err := logins.RecordDecision(t.Context(), r.Registry, issuer, user, approval, "sealed"); err != nil {
		t.Fatal(err)
	}
	if err := logins.RecordDecision(t.Context(), r.Registry, issuer, user, approval, "sealed"); !errors.Is(err, session.ErrDecided) {
		t.Errorf("the second decision: %v", err)
	}
	claim := func() (*session.Result, error) {
		decision, err := r.SessionNow(t.Context(), types.NamespacedName{Namespace: replica.Name, Name: user.SessionName(issuer.UID)})
		if err != nil || decision == nil {
			t.Fatalf("the decision: %v, %v", decision, err)
		}
		return logins.Claim(t.Context(), r.Registry, issuer, &session.Claim{Code: code, Approval: approval, Decision: decision}, &session.Terms{})
	}
	first, err := claim()
	if err != nil || first.Key.Status.Session.Client != "tv" {
		t.Fatalf("the claim: %v", err)
	}
	if again, err := claim(); err != nil || again.Token != first.Token {
		t.Errorf("the claim once more: %v", err)
	}
	r.Clock.SetTime(r.Clock.Now().Add(time.Minute))
	if _, err := claim(); !is(err, oauth.InvalidGrant) {
		t.Errorf("a later claim: %v", err)
	}
	name := types.NamespacedName{Namespace: replica.Name, Name: first.Key.Name}
	if status := r.Stored(name).Status; status.RevokedAt == nil {
		t.Errorf("the session goes on: %+v", status)
	}
	approval.Audience = "https://bank.example.com"
	if _, err := claim(); err == nil {
		t.Error("the tokens are for what the person did not approve")
	}
}
