package tokenserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/authorize"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// TestADecisionIsRepeated checks that a person whose answer was lost sees the result of a decision again, also after the device has its tokens, and
// that another person does not.
func TestADecisionIsRepeated(t *testing.T) {
	r := withDevices(t)
	device, ada, bob := startDevice(t, r), open(t, r), open(t, r)
	question := ada.enters(device.shown)
	login := bob.send(http.MethodGet, "/tenant/device", nil)
	ofBob := bob.submit(bob.submit(login, "username", "bob", "password", "battery staple"), "user_code", device.shown)
	shows(t, ada.submit(question, "answer", "allow"), 200, "Your device is being signed in")
	for _, when := range []string{"before the claim", "after the claim"} {
		shows(t, ada.submit(question, "answer", "allow"), 200, "Your device is being signed in")
		shows(t, ada.decides(device.shown, "allow"), 200, "Your device is being signed in")
		shows(t, ada.submit(question, "answer", "deny"), 422, "This code was used already")
		shows(t, bob.submit(ofBob, "answer", "allow"), 422, "This code was used already")
		if when == "before the claim" {
			if got := device.poll(r); got.outcome() != "200" {
				t.Fatal(got.raw)
			}
		}
	}
	if session := onlySession(t, r); session.Status.Revision != 1 || session.Status.RevokedAt != nil {
		t.Errorf("the session is %+v", session.Status)
	}
}

// TestWhatRepeatsADecision checks that only a recorded approval of the same person, with the same answer, about the same access, counts as the same
// decision, and that an object with its name proves nothing by itself.
func TestWhatRepeatsADecision(t *testing.T) {
	r := withDevices(t)
	device, b := startDevice(t, r), open(t, r)
	question := b.enters(device.shown)
	shows(t, b.submit(question, "answer", "allow"), 200, "Your device is being signed in")
	binding := authorize.ApprovalBinding(replica.Name, device.name().Name)
	for _, c := range []struct {
		name, binding string
		life          time.Duration
		change        func(*authorize.Approval)
		want          int
	}{
		{"the same", binding, time.Minute, func(*authorize.Approval) {}, 200},
		{"another subject", binding, time.Minute, func(a *authorize.Approval) { a.SignedIn.Subject = "bob" }, 422},
		{"another method", binding, time.Minute, func(a *authorize.Approval) { a.SignedIn.Method = v1alpha1.LoginOIDC }, 422},
		{"a provider", binding, time.Minute, func(a *authorize.Approval) { a.SignedIn.Provider = "https://accounts.example.com" }, 422},
		{"a denial", binding, time.Minute, func(a *authorize.Approval) { a.Denied = true }, 422},
		{"another client", binding, time.Minute, func(a *authorize.Approval) { a.Client = "bank" }, 422},
		{"another audience", binding, time.Minute, func(a *authorize.Approval) { a.Audience = "https://bank.example.com" }, 422},
		{"fewer scopes", binding, time.Minute, func(a *authorize.Approval) { a.Scopes = a.Scopes[:1] }, 422},
		{"of another object", authorize.ApprovalBinding(replica.Name, "other"), time.Minute, func(*authorize.Approval) {}, 422},
		{"expired", binding, -time.Minute, func(*authorize.Approval) {}, 422},
	} {
		recorded := &authorize.Approval{
			Client: "tv", Audience: audience, Scopes: []string{"openid", "orders.read"},
			SignedIn: authorize.SignedIn{Subject: "ada", Method: v1alpha1.LoginPassword},
		}
		c.change(recorded)
		sealed, err := r.Found().Box(authorize.SealedApproval, c.binding).Seal(recorded, r.Clock.Now().Add(c.life))
		if err != nil {
			t.Fatal(err)
		}
		r.Edit(device.name(), func(key *v1alpha1.JWTRefreshKey) { key.Annotations[v1alpha1.AnnotationDeviceApproval] = sealed })
		if got := b.submit(question, "answer", "allow"); got.Code != c.want {
			t.Errorf("%s: %d %s", c.name, got.Code, got.Body)
		}
	}
	r.Edit(device.name(), func(key *v1alpha1.JWTRefreshKey) { key.Annotations = nil })
	shows(t, b.submit(question, "answer", "allow"), 422, "This code was used already")
}
