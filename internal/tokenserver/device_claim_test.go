package tokenserver_test

import (
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/authorize"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// TestAClaimIsRepeated checks that a device that lost the answer gets the same tokens again, for a short time and until they are used.
func TestAClaimIsRepeated(t *testing.T) {
	refresh := func(r *replica.Replica, tokens *answer) *answer {
		return ask(r, http.MethodPost, "/tenant/token", url.Values{"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {tokens.text("refresh_token")}})
	}
	for _, c := range []struct {
		name  string
		after time.Duration
		used  bool
		want  string
	}{
		{"at once", 0, false, "200"},
		{"in the last second", authorize.ClaimAgain - authorize.PollInterval - time.Second, false, "200"},
		{"too late", authorize.ClaimAgain - authorize.PollInterval, false, "400 invalid_grant"},
		{"after a use", 0, true, "400 invalid_grant"},
	} {
		r := withDevices(t)
		device := startDevice(t, r)
		open(t, r).decides(device.shown, "allow")
		first := device.poll(r)
		if c.used {
			if got := refresh(r, first); got.outcome() != "200" {
				t.Fatal(got.raw)
			}
		}
		forward(r, c.after)
		again := device.poll(r)
		if again.outcome() != c.want || (c.want == "200" && again.text("refresh_token") != first.text("refresh_token")) || (c.want == "200" && again.text("id_token") == "") {
			t.Errorf("%s: %s, want %s", c.name, again.raw, c.want)
		}
		session := onlySession(t, r)
		if ended := session.Status.RevokedAt != nil; ended != (c.want != "200") {
			t.Errorf("%s: the session is %+v", c.name, session.Status)
		}
		if got := refresh(r, first); (got.outcome() == "200") != (c.want == "200") {
			t.Errorf("%s, the first token: %s", c.name, got.raw)
		}
		if third := device.poll(r); c.want != "200" && third.outcome() != "400 invalid_grant" {
			t.Errorf("%s, once more: %s", c.name, third.raw)
		}
	}
}

// TestNoLimitCountsForALaterClaim checks that a device which lost the answer gets its tokens again, and that a code which is used twice ends the
// session, while the issuer has all its sessions.
func TestNoLimitCountsForALaterClaim(t *testing.T) {
	for _, bound := range []bool{false, true} {
		r := withDevices(t, func(issuer *v1alpha1.JWTIssuer) { issuer.Spec.Login.MaxSessions = 1 })
		device, other, key := startDevice(t, r), startDevice(t, r), newDevice(t, r)
		b := open(t, r)
		b.decides(device.shown, "allow")
		b.decides(other.shown, "allow")
		claim := func() *answer {
			if !bound {
				return device.poll(r)
			}
			forward(r, authorize.PollInterval)
			key.nonce = ""
			key.nonce = device.pollNow(r, proofs(key)).header.Get("DPoP-Nonce")
			return device.pollNow(r, proofs(key))
		}
		first := claim()
		if again := claim(); again.outcome() != "200" || again.text("refresh_token") != first.text("refresh_token") || first.text("refresh_token") == "" {
			t.Errorf("bound %t: the same tokens: %s, at first %s", bound, again.raw, first.raw)
		}
		if got := other.poll(r); got.outcome() != "503 temporarily_unavailable" {
			t.Errorf("bound %t: another device: %s", bound, got.raw)
		}
		forward(r, authorize.ClaimAgain-2*authorize.PollInterval)
		if late := claim(); late.outcome() != "400 invalid_grant" || onlySession(t, r).Status.RevokedAt == nil {
			t.Errorf("bound %t: a later claim: %s, %+v", bound, late.raw, onlySession(t, r).Status)
		}
	}
}

// TestAClaimThatDiedIsContinued checks a replica that dies while it records the first token.
func TestAClaimThatDiedIsContinued(t *testing.T) {
	r := withDevices(t)
	device := startDevice(t, r)
	open(t, r).decides(device.shown, "allow")
	r.BeginsFail(1)
	if got := device.poll(r); got.outcome() != "503 temporarily_unavailable" {
		t.Fatalf("while status cannot be written: %s", got.raw)
	}
	if got := device.poll(r); got.outcome() != "200" {
		t.Errorf("the next poll: %s", got.raw)
	}
}

// TestDevicesAndAWithdrawnSealKey checks that a withdrawn key is no verdict on a device code or on a decision: the device can poll again, and
// the log has no internal error that a guess could cause.
func TestDevicesAndAWithdrawnSealKey(t *testing.T) {
	r := withDevices(t)
	device := startDevice(t, r)
	open(t, r).decides(device.shown, "allow")
	key, err := r.Rings.Signer(keyring.Seal)
	if err != nil {
		t.Fatal(err)
	}
	r.PutIssuer(r.Issuer, r.WithdrawnRings(r.Rings, key.ID))
	if got := device.poll(r); got.outcome() != "503 temporarily_unavailable" {
		t.Errorf("a device code of a withdrawn key: %s", got.raw)
	}
	r.PutIssuer(r.Issuer, r.Rings)
	if got := device.poll(r); got.outcome() != "200" {
		t.Errorf("a device code of a key that came back: %s", got.raw)
	}
}

// TestForgedDecisions checks that an object that another user created under the name of a decision is never claimed.
func TestForgedDecisions(t *testing.T) {
	r := withDevices(t)
	elsewhere := startDevice(t, r)
	open(t, r).decides(elsewhere.shown, "allow")
	copied := r.Stored(elsewhere.name())
	for _, c := range []struct {
		name string
		// own is whether the person approved this device, and the object was changed afterwards.
		own    bool
		change func(*v1alpha1.JWTRefreshKey)
	}{
		{"no approval", false, func(key *v1alpha1.JWTRefreshKey) { key.Annotations = nil }},
		{"text for an approval", false, func(key *v1alpha1.JWTRefreshKey) {
			key.Annotations[v1alpha1.AnnotationDeviceApproval] = `{"client":"tv","person":{"subject":"ada"}}`
		}},
		{"the approval of another code", false, func(*v1alpha1.JWTRefreshKey) {}},
		{"another subject", true, func(key *v1alpha1.JWTRefreshKey) { key.Spec.Subject = "bob" }},
		{"another audience", true, func(key *v1alpha1.JWTRefreshKey) { key.Spec.Audience = "https://bank.example.com" }},
		{"another scope", true, func(key *v1alpha1.JWTRefreshKey) { key.Spec.Scopes = append(key.Spec.Scopes, "orders.write") }},
		{"a later end", true, func(key *v1alpha1.JWTRefreshKey) { key.Spec.ExpiresAt.Time = key.Spec.ExpiresAt.Add(time.Hour) }},
		{"no end", true, func(key *v1alpha1.JWTRefreshKey) { key.Spec.ExpiresAt = nil }},
		{"more than one use", true, func(key *v1alpha1.JWTRefreshKey) { key.Spec.Rotation.Mode = v1alpha1.RotationScheduled }},
		{"a token in a Secret", true, func(key *v1alpha1.JWTRefreshKey) { key.Spec.Secret = nil }},
		{"revoked", true, func(key *v1alpha1.JWTRefreshKey) { key.Spec.Revoked = true }},
		{"without its labels", true, func(key *v1alpha1.JWTRefreshKey) { key.Labels = nil }},
		{"without its approval", true, func(key *v1alpha1.JWTRefreshKey) { key.Annotations = nil }},
	} {
		device := startDevice(t, r)
		if c.own {
			forward(r, time.Minute)
			open(t, r).decides(device.shown, "allow")
			r.Edit(device.name(), c.change)
		} else {
			forged := copied.DeepCopy()
			forged.Name, forged.UID = device.name().Name, ""
			c.change(forged)
			r.Put(forged)
		}
		before := r.Counts().Writes
		if got := device.poll(r); got.outcome() != "400 invalid_grant" {
			t.Errorf("%s: %s", c.name, got.raw)
		}
		if r.Counts().Writes != before || r.Stored(device.name()).Status.Revision != 0 {
			t.Errorf("%s: the poll wrote", c.name)
		}
	}
}

// TestDeclarationsOfDevicesThatChange checks that a claim is for what the person approved.
func TestDeclarationsOfDevicesThatChange(t *testing.T) {
	for name, change := range map[string]func(*v1alpha1.LoginClient){
		"no device any more": func(client *v1alpha1.LoginClient) { client.Device = nil },
		"more scopes":        func(client *v1alpha1.LoginClient) { client.Scopes = append(client.Scopes, "orders.write") },
		"another audience":   func(client *v1alpha1.LoginClient) { client.Audiences = []string{"https://bank.example.com"} },
		"another client":     func(client *v1alpha1.LoginClient) { client.ID = "radio" },
	} {
		r := withDevices(t)
		device, undecided := startDevice(t, r), startDevice(t, r)
		b := open(t, r)
		b.decides(device.shown, "allow")
		question := b.enters(undecided.shown)
		change(&r.Issuer.Spec.Login.Clients[0])
		r.PutIssuer(r.Issuer, r.Rings)
		if got := device.poll(r); got.outcome() != "400 unauthorized_client" {
			t.Errorf("%s: %s", name, got.raw)
		}
		shows(t, b.submit(question, "answer", "allow"), 400, "This page has expired")
	}
}

func proofs(key *device) []string { return []string{"DPoP", key.proof(0)} }

// TestADeviceWithAKey checks that the key of the device is required at the claim, and that its session is bound to it.
func TestADeviceWithAKey(t *testing.T) {
	for _, c := range []struct {
		name string
		// early is whether the device proves its key when it begins.
		early bool
	}{{"from the beginning", true}, {"at the claim", false}} {
		r := withDevices(t)
		key, other := newDevice(t, r), newDevice(t, r)
		authorization := map[string]any{"htm": http.MethodPost, "htu": replica.URL + "/device_authorization"}
		form := url.Values{"client_id": {"tv"}}
		first := ask(r, http.MethodPost, "/tenant/device_authorization", form, "DPoP", key.proofFor(authorization))
		if key.nonce = first.header.Get("DPoP-Nonce"); first.outcome() != "400 use_dpop_nonce" {
			t.Fatal(first.raw)
		}
		other.nonce = key.nonce
		var header []string
		if c.early {
			header = []string{"DPoP", key.proofFor(authorization)}
		}
		got := ask(r, http.MethodPost, "/tenant/device_authorization", form, header...)
		if got.outcome() != "200" {
			t.Fatal(got.raw)
		}
		device := &tv{r: r, code: got.text("device_code"), shown: got.text("user_code")}
		open(t, r).decides(device.shown, "allow")
		if c.early {
			for name, header := range map[string][]string{"no proof": nil, "another key": proofs(other)} {
				forward(r, authorize.PollInterval)
				if got := device.pollNow(r, header); got.outcome() != "400 invalid_dpop_proof" {
					t.Errorf("%s, %s: %s", c.name, name, got.raw)
				}
			}
		}
		nonce := key.nonce
		key.nonce = ""
		if got := device.pollNow(r, proofs(key)); got.outcome() != "400 use_dpop_nonce" {
			t.Errorf("%s, without the nonce: %s", c.name, got.raw)
		}
		key.nonce = nonce
		forward(r, authorize.PollInterval)
		tokens := device.pollNow(r, proofs(key))
		if tokens.outcome() != "200" || tokens.text("token_type") != "DPoP" {
			t.Fatalf("%s: %s", c.name, tokens.raw)
		}
		if session := onlySession(t, r); session.Spec.Binding == nil || session.Spec.Binding.JWKThumbprint == "" {
			t.Errorf("%s: the session is not bound: %+v", c.name, session.Spec)
		}
		forward(r, authorize.PollInterval)
		if again := device.pollNow(r, proofs(key)); again.outcome() != "200" || again.text("refresh_token") != tokens.text("refresh_token") {
			t.Errorf("%s, again: %s", c.name, again.raw)
		}
		refresh := url.Values{"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {tokens.text("refresh_token")}}
		if got := ask(r, http.MethodPost, "/tenant/token", refresh); got.outcome() != "400 invalid_dpop_proof" {
			t.Errorf("%s, a refresh without the key: %s", c.name, got.raw)
		}
		if c.early {
			continue
		}
		// A client without the key uses the code a second time.
		if stolen := device.poll(r); stolen.outcome() != "400 invalid_grant" || onlySession(t, r).Status.RevokedAt == nil {
			t.Errorf("%s, without the key: %s", c.name, stolen.raw)
		}
	}
}

// TestAKeyAfterAClaim checks that a claim with a key after one without is a second use of the code.
func TestAKeyAfterAClaim(t *testing.T) {
	r := withDevices(t)
	device := startDevice(t, r)
	open(t, r).decides(device.shown, "allow")
	if got := device.poll(r); got.outcome() != "200" {
		t.Fatal(got.raw)
	}
	key := newDevice(t, r)
	key.nonce = device.pollNow(r, []string{"DPoP", key.proof(0)}).header.Get("DPoP-Nonce")
	forward(r, authorize.PollInterval)
	if got := device.pollNow(r, []string{"DPoP", key.proof(0)}); got.outcome() != "400 invalid_grant" {
		t.Errorf("%s", got.raw)
	}
	if onlySession(t, r).Status.RevokedAt == nil {
		t.Error("the session goes on")
	}
}

// TestSessionsOfDevicesAreKept checks that a session is not deleted while its code can be presented.
func TestSessionsOfDevicesAreKept(t *testing.T) {
	r := withDevices(t, func(issuer *v1alpha1.JWTIssuer) { issuer.Spec.Login.SessionsPerSubject = 1 })
	first, second, third := startDevice(t, r), startDevice(t, r), startDevice(t, r)
	b := open(t, r)
	for _, device := range []*tv{first, second} {
		b.decides(device.shown, "allow")
		if got := device.poll(r); got.outcome() != "200" {
			t.Fatal(got.raw)
		}
	}
	if r.Stored(first.name()) == nil {
		t.Fatal("the session was deleted, so that its code could be approved again")
	}
	forward(r, 9*time.Minute)
	b.decides(third.shown, "allow")
	forward(r, 4*time.Minute)
	fourth := startDevice(t, r)
	open(t, r).decides(fourth.shown, "allow")
	if got := fourth.poll(r); got.outcome() != "200" {
		t.Fatal(got.raw)
	}
	if r.Stored(first.name()) != nil || r.Stored(second.name()) != nil {
		t.Error("after 13 minutes the first sessions are not evicted")
	}
	if r.Stored(third.name()) == nil {
		t.Error("an approval is deleted before its code ends")
	}
}

// TestRotatedKeysOfDevices checks that the codes survive a rotation of the seal ring.
func TestRotatedKeysOfDevices(t *testing.T) {
	r := withDevices(t)
	device := startDevice(t, r)
	r.Rings = r.NextRings(r.Rings, replica.Start.Add(240*time.Hour))
	r.PutIssuer(r.Issuer, r.Rings)
	shows(t, open(t, r).decides(device.shown, "allow"), 200, "being signed in")
	if got := device.poll(r); got.outcome() != "200" {
		t.Errorf("%s", got.raw)
	}
}

// TestClaimsAtOnce checks that of claims at several replicas one begins the session, and that all get its refresh token.
func TestClaimsAtOnce(t *testing.T) {
	for _, bound := range []bool{false, true} {
		r := withDevices(t)
		device, key := startDevice(t, r), newDevice(t, r)
		open(t, r).decides(device.shown, "allow")
		if bound {
			key.nonce = device.pollNow(r, proofs(key)).header.Get("DPoP-Nonce")
		}
		const replicas = 8
		got := make([]*answer, replicas)
		var all sync.WaitGroup
		for i := range replicas {
			other := r.Other()
			var header []string
			if bound {
				header = proofs(key)
			}
			all.Go(func() { got[i] = device.pollNow(other, header) })
		}
		all.Wait()
		for _, one := range got {
			if one.outcome() != "200" || one.text("refresh_token") != got[0].text("refresh_token") {
				t.Errorf("bound %t: %s", bound, one.raw)
			}
		}
		if session := onlySession(t, r); session.Status.Revision != 1 || session.Status.RevokedAt != nil {
			t.Errorf("bound %t: the session is %+v", bound, session.Status)
		}
	}
}
