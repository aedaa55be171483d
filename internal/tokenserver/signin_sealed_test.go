package tokenserver_test

import (
	"crypto/sha256"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// sealedPlace is a place of a sign-in that takes a sealed value.
type sealedPlace struct {
	name string
	// life is how long a value is good.
	life time.Duration
	// bound is whether a value is for one browser.
	bound bool
	// seal returns a fresh value of the place.
	seal func(s *sealing) string
	// takes reports whether the place accepts a value.
	takes func(s *sealing, value string) bool
	// foreign returns a value of s in which only the issuer or the ring is wrong for another one; nil if a fresh value is such a one.
	foreign func(s, other *sealing) string
}

// sealing is a browser at a replica, with what values need besides.
type sealing struct {
	*browser
	r *replica.Replica
	p *upstreamProvider
	// device is the one that signs in.
	device *tv
	// answer is what the browser last brought back from the provider.
	answer url.Values
}

func newSealing(t *testing.T) *sealing {
	t.Helper()
	r, p := withEverything(t)
	return &sealing{browser: open(t, r), r: r, p: p, device: startDevice(t, r)}
}

// renew makes a new device, and waits until a person may enter a code again.
func (s *sealing) renew() {
	forward(s.r, time.Minute)
	s.device = startDevice(s.t, s.r)
	s.answer = s.away(s.p)
}

func (s *sealing) step(path, value string, fields ...string) string {
	form := url.Values{"step": {value}}
	changed(form, fields)
	got := s.send(http.MethodPost, "/tenant"+path, form)
	return html.UnescapeString(got.Body.String()) + got.Header().Get("Location")
}

// entry and question are the steps of the pages of a device.
func (s *sealing) entry() string {
	step, _ := stepOf(s.t, s.password(s.send(http.MethodGet, "/tenant/device", nil)))
	return step
}

func (s *sealing) question() string {
	step, _ := stepOf(s.t, s.enters(s.device.shown))
	return step
}

func (s *sealing) consent() string {
	step, _ := stepOf(s.t, s.password(s.begin()))
	return step
}

func (s *sealing) login() string {
	step, _ := stepOf(s.t, s.begin())
	return step
}

// addressFor returns an address that the issuer sealed for the device of another one. A code of a device is good at one issuer only.
func (s *sealing) addressFor(other *sealing) string {
	sealed, err := s.r.Found().Box("device address", other.device.shown).Seal("192.0.2.1", s.r.Clock.Now().Add(time.Minute))
	if err != nil {
		s.t.Fatal(err)
	}
	return sealed
}

// questionFor returns a question that another issuer asks the browser, sealed by the own one.
func (s *sealing) questionFor(other *sealing) string {
	step := other.question()
	for _, browser := range s.cookies {
		bound := sha256.Sum256([]byte(browser))
		var asked json.RawMessage
		if err := other.r.Found().Box("device decision", string(bound[:])).Open(step, &asked, s.r.Clock.Now()); err != nil {
			s.t.Fatal(err)
		}
		sealed, err := s.r.Found().Box("device decision", string(bound[:])).Seal(asked, s.r.Clock.Now().Add(time.Minute))
		if err != nil {
			s.t.Fatal(err)
		}
		return sealed
	}
	s.t.Fatal("the browser has no key")
	return ""
}

// sealedPlaces are all places that take a sealed value.
var sealedPlaces = []sealedPlace{
	{"a request", 10 * time.Minute, true, (*sealing).login, func(s *sealing, value string) bool {
		return strings.Contains(s.step("/authorize/password", value, "username", "ada", "password", "correct horse"), "wants to use your account")
	}, nil},
	{"a consent", 10 * time.Minute, true, (*sealing).consent, func(s *sealing, value string) bool {
		return strings.Contains(s.step("/authorize/consent", value, "answer", "allow"), "code=")
	}, nil},
	{"a code", time.Minute, false, func(s *sealing) string { return s.code() }, func(s *sealing, value string) bool {
		return redeem(s.r, value).status == http.StatusOK
	}, nil},
	{"a pushed request", 90 * time.Second, false, func(s *sealing) string {
		return strings.TrimPrefix(push(s.r).text("request_uri"), oauth.RequestURIPrefix)
	}, func(s *sealing, value string) bool {
		query := url.Values{"client_id": {"shop"}, "request_uri": {oauth.RequestURIPrefix + value}}
		return s.send(http.MethodGet, "/tenant/authorize?"+query.Encode(), nil).Code == http.StatusOK
	}, nil},
	{"the state of a provider", 10 * time.Minute, true, func(s *sealing) string { return s.answer.Get("state") }, func(s *sealing, value string) bool {
		return s.back(s.p, with(s.answer, "state", value)).Code == http.StatusOK
	}, nil},
	{"the entry of a code", 10 * time.Minute, true, (*sealing).entry, func(s *sealing, value string) bool {
		return strings.Contains(s.step("/device/code", value, "user_code", s.device.shown), "wants to use your account on a device")
	}, nil},
	{"a question about a device", 10 * time.Minute, true, (*sealing).question, func(s *sealing, value string) bool {
		return strings.Contains(s.step("/device/decision", value, "answer", "allow"), "is being signed in")
	}, (*sealing).questionFor},
	{"a device code", 10 * time.Minute, false, func(s *sealing) string { return s.device.code }, func(s *sealing, value string) bool {
		return s.device.poll(s.r, "device_code", value).outcome() == "400 authorization_pending"
	}, nil},
	{"the address of a device", 15 * time.Minute, false, func(s *sealing) string {
		at, err := url.Parse(s.device.link)
		if err != nil {
			s.t.Fatal(err)
		}
		return at.Query().Get("from")
	}, func(s *sealing, value string) bool {
		login := s.send(http.MethodGet, "/tenant/device?from="+url.QueryEscape(value), nil)
		return strings.Contains(s.submit(s.password(login), "user_code", s.device.shown).Body.String(), "<dd>192.0.2.1</dd>")
	}, (*sealing).addressFor},
}

// TestSealedValuesElsewhere checks that each place takes its own sealed values, and none of another purpose, browser, issuer, ring or age.
func TestSealedValuesElsewhere(t *testing.T) {
	s := newSealing(t)
	for _, place := range sealedPlaces {
		for _, of := range sealedPlaces {
			s.renew()
			if taken, own := place.takes(s, of.seal(s)), of.name == place.name; taken != own {
				t.Errorf("the place of %s takes %s: %t, want %t", place.name, of.name, taken, own)
			}
		}
		for name, change := range map[string]func(other *sealing){
			"another issuer with the same ring": func(other *sealing) { other.r.Rings, other.r.Issuer.UID = s.r.Rings, "another" },
			"another ring":                      func(other *sealing) { other.r.Issuer.UID = s.r.Issuer.UID },
		} {
			other := newSealing(t)
			other.p, other.r.Issuer.Spec.Login = s.p, s.r.Issuer.Spec.Login.DeepCopy()
			change(other)
			other.r.PutIssuer(other.r.Issuer, other.r.Rings)
			other.r.Clock.SetTime(s.r.Clock.Now())
			other.renew()
			s.renew()
			// The browser and the answer of the provider are the same, so that nothing else refuses the value.
			other.cookies, other.answer = s.cookies, s.answer
			value := ""
			if place.foreign != nil {
				value = place.foreign(s, other)
			} else {
				value = place.seal(s)
			}
			if place.takes(other, value) {
				t.Errorf("the place of %s takes a value of %s", place.name, name)
			}
		}
		s.renew()
		value := place.seal(s)
		forward(s.r, place.life)
		if place.takes(s, value) {
			t.Errorf("the place of %s takes a value after %s", place.name, place.life)
		}
	}
}

// TestSealedValuesOfAnotherBrowser checks that what one browser began is not continued by another one: the attacker's sign-in in the browser of
// the victim, and the other way round.
func TestSealedValuesOfAnotherBrowser(t *testing.T) {
	s := newSealing(t)
	for _, place := range sealedPlaces {
		if !place.bound {
			continue
		}
		s.renew()
		value, own, other := place.seal(s), s.cookies, open(t, s.r)
		other.begin()
		for name, cookies := range map[string]map[string]string{"another browser": other.cookies, "a browser without a key": {}} {
			if s.cookies = cookies; place.takes(s, value) {
				t.Errorf("%s takes %s", name, place.name)
			}
		}
		if s.cookies = own; !place.takes(s, value) {
			t.Errorf("the own browser does not take %s", place.name)
		}
	}
}

// TestTheProviderOfAnotherIssuer checks that the answer of a provider counts only at the issuer at which the sign-in began.
func TestTheProviderOfAnotherIssuer(t *testing.T) {
	r, p := withEverything(t)
	other := &v1alpha1.JWTIssuer{Spec: *r.Issuer.Spec.DeepCopy()}
	other.Name, other.Spec.URL = "other", "https://tokens.example.com/other"
	r.PutIssuer(other, r.Rings)
	b := open(t, r)
	answer := b.away(p)
	b.send(http.MethodGet, "/other/authorize?"+wanted().Encode(), nil)
	got := b.send(http.MethodGet, endpoint.CallbackURL("/other", endpoint.ProviderID(p.URL))+"?"+answer.Encode(), nil)
	if got.Code != http.StatusBadRequest || len(p.requests()) > 0 {
		t.Errorf("the other issuer: %d %s", got.Code, said(got))
	}
	if got := b.back(p, answer); got.Code != http.StatusOK {
		t.Errorf("its own issuer: %d %s", got.Code, said(got))
	}
}
