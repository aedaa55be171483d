package tokenserver_test

import (
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/authorize"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// withDevices returns a replica whose issuer has two clients that are devices, and one that is none.
func withDevices(t testing.TB, change ...func(*v1alpha1.JWTIssuer)) *replica.Replica {
	t.Helper()
	device := func(prefix string) *v1alpha1.DeviceClient { return &v1alpha1.DeviceClient{CodePrefix: prefix} }
	r := replica.New(t, append([]func(*v1alpha1.JWTIssuer){func(issuer *v1alpha1.JWTIssuer) {
		issuer.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Audiences: []string{audience}, Scopes: []string{"orders.*"}}}}
		issuer.Spec.Login = &v1alpha1.LoginSpec{
			SessionNamespace: replica.Name, Passwords: &v1alpha1.PasswordLogin{SecretRef: v1alpha1.LocalSecretReference{Name: "people"}},
			Clients: []v1alpha1.LoginClient{
				{ID: "tv", Name: `The <b>"TV"</b>`, Audiences: []string{audience}, Scopes: []string{"openid", "orders.read"}, Device: device("TV")},
				{ID: "bank", Audiences: []string{"https://bank.example.com"}, Device: device("BANK")},
				{ID: "shop", RedirectURIs: []string{shopURI}, Audiences: []string{audience}},
			},
		}
	}}, change...)...)
	r.PutPasswords("", "ada", "correct horse", "bob", "battery staple")
	return r
}

// tv is a device that signs in.
type tv struct {
	r    *replica.Replica
	code string
	// shown is what the person types, and link what a phone reads.
	shown, link string
}

func startDevice(t testing.TB, r *replica.Replica, change ...string) *tv {
	t.Helper()
	got := deviceAuthorization(r, change...)
	if got.outcome() != "200" {
		t.Fatal(got.raw)
	}
	return &tv{r: r, code: got.text("device_code"), shown: got.text("user_code"), link: got.text("verification_uri_complete")}
}

func deviceAuthorization(r *replica.Replica, change ...string) *answer {
	form := url.Values{"client_id": {"tv"}}
	changed(form, change)
	return ask(r, http.MethodPost, "/tenant/device_authorization", form)
}

func changed(form url.Values, changes []string) {
	for i := 0; i < len(changes); i += 2 {
		if form.Set(changes[i], changes[i+1]); changes[i+1] == "" {
			form.Del(changes[i])
		}
	}
}

// poll polls at the replica, after the interval.
func (d *tv) poll(r *replica.Replica, change ...string) *answer {
	forward(r, authorize.PollInterval)
	return d.pollNow(r, nil, change...)
}

func (d *tv) pollNow(r *replica.Replica, header []string, change ...string) *answer {
	form := url.Values{"grant_type": {oauth.GrantDeviceCode}, "device_code": {d.code}, "client_id": {"tv"}}
	changed(form, change)
	return ask(r, http.MethodPost, "/tenant/token", form, header...)
}

func forward(r *replica.Replica, by time.Duration) { r.Clock.SetTime(r.Clock.Now().Add(by)) }

// name is that of the object with the decision.
func (d *tv) name() types.NamespacedName {
	code, _ := authorize.ParseUserCode(d.shown)
	return replica.NameOf(code.SessionName(string(d.r.Issuer.UID)))
}

// enters signs Ada in, and enters a code.
func (b *browser) enters(typed string) *httptest.ResponseRecorder {
	b.t.Helper()
	return b.submit(b.password(b.send(http.MethodGet, "/tenant/device", nil)), "user_code", typed)
}

// decides signs Ada in, enters a code, and answers.
func (b *browser) decides(typed, answer string) *httptest.ResponseRecorder {
	b.t.Helper()
	return b.submit(b.enters(typed), "answer", answer)
}

func shows(t *testing.T, page *httptest.ResponseRecorder, status int, texts ...string) {
	t.Helper()
	body := html.UnescapeString(page.Body.String())
	for _, text := range texts {
		if page.Code != status || !strings.Contains(body, text) {
			t.Errorf("the page is not %d with %q: %d %s", status, text, page.Code, body)
		}
	}
}

// TestSignInADevice checks the whole way: the codes, the pages, the poll, the tokens, the refresh. It costs two writes.
func TestSignInADevice(t *testing.T) {
	r := withDevices(t)
	got := deviceAuthorization(r)
	if got.text("verification_uri") != replica.URL+"/device" || got.body["expires_in"] != 600.0 || got.body["interval"] != 5.0 ||
		!strings.HasPrefix(got.text("user_code"), "TV-") || got.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s", got.raw)
	}
	device := startDevice(t, r)
	before := r.Counts().Writes
	b := open(t, r)
	if pending := device.poll(r); pending.outcome() != "400 authorization_pending" {
		t.Fatalf("before: %s", pending.raw)
	}
	login := b.send(http.MethodGet, device.link, nil)
	shows(t, login, 200, "to continue to", "your device")
	entry := b.password(login)
	shows(t, entry, 200, "Enter the code", `value="`+device.shown+`"`)
	question := b.submit(entry, "user_code", device.shown)
	shows(t, question, 200, `The <b>"TV"</b>`, device.shown, audience, "orders.read", "openid", "ada", "192.0.2.1", "Allow this only if you began it yourself")
	shows(t, b.submit(question, "answer", "allow"), 200, "Your device is being signed in")
	tokens := device.poll(r)
	if tokens.outcome() != "200" || tokens.text("scope") != "openid orders.read" || tokens.text("id_token") == "" || tokens.text("token_type") != "Bearer" {
		t.Fatalf("the claim: %s", tokens.raw)
	}
	if writes := r.Counts().Writes - before; writes != 2 {
		t.Errorf("%d writes", writes)
	}
	session := onlySession(t, r).Status.Session
	if session.Client != "tv" || session.Method != v1alpha1.LoginPassword || session.Subject != "ada" {
		t.Errorf("the session is %+v", session)
	}
	refresh := url.Values{"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {tokens.text("refresh_token")}, "client_id": {"tv"}}
	if again := ask(r, http.MethodPost, "/tenant/token", refresh); again.outcome() != "200" {
		t.Errorf("the refresh: %s", again.raw)
	}
}

// TestADeviceAtTwoReplicas checks that each step goes to any replica.
func TestADeviceAtTwoReplicas(t *testing.T) {
	r := withDevices(t)
	other := r.Other()
	device := startDevice(t, other)
	b := open(t, r, other)
	shows(t, b.decides(device.shown, "allow"), 200, "being signed in")
	if got := device.poll(r); got.outcome() != "200" {
		t.Errorf("%s", got.raw)
	}
	if again := device.poll(other); again.outcome() != "200" {
		t.Errorf("the same tokens at the other replica: %s", again.raw)
	}
}

// TestDeviceAuthorizationRefusals checks who can begin, and how often.
func TestDeviceAuthorizationRefusals(t *testing.T) {
	r := withDevices(t)
	for _, c := range []struct {
		name   string
		change []string
		want   string
	}{
		{"its scopes", []string{"scope", "openid orders.read offline_access"}, "200"},
		{"no client", []string{"client_id", ""}, "400 invalid_request"},
		{"an unknown client", []string{"client_id", "radio"}, "401 invalid_client"},
		{"a client that is no device", []string{"client_id", "shop"}, "400 unauthorized_client"},
		{"another scope", []string{"scope", "admin"}, "400 invalid_scope"},
		{"a client secret", []string{"client_secret", "x"}, "401 invalid_client"},
	} {
		if got := deviceAuthorization(r, c.change...); got.outcome() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got.raw, c.want)
		}
	}
	var got *answer
	for range 600 {
		got = deviceAuthorization(r)
	}
	if got.outcome() != "429 slow_down" || got.header.Get("Retry-After") == "" {
		t.Errorf("too many: %s", got.raw)
	}
	for name, other := range map[string]*replica.Replica{"no clients": replica.New(t), "no devices": withClients(t)} {
		if got := deviceAuthorization(other); got.status != http.StatusNotFound {
			t.Errorf("%s: %s", name, got.raw)
		}
		if got := (&tv{r: other, code: "x"}).pollNow(other, nil); got.outcome() != "400 unsupported_grant_type" {
			t.Errorf("%s: %s", name, got.raw)
		}
		if page := open(t, other).send(http.MethodGet, "/tenant/device", nil); page.Code != http.StatusNotFound {
			t.Errorf("%s: %d", name, page.Code)
		}
	}
}

// TestPolls checks every answer of a poll before and after a decision.
func TestPolls(t *testing.T) {
	r := withDevices(t)
	otherIssuer := withDevices(t)
	otherIssuer.Rings = r.Rings
	otherIssuer.Issuer.UID = "another"
	otherIssuer.PutIssuer(otherIssuer.Issuer, otherIssuer.Rings)
	foreign := startDevice(t, otherIssuer)
	b := open(t, r)
	step, _ := stepOf(t, b.send(http.MethodGet, "/tenant/device", nil))
	device := startDevice(t, r)
	for _, c := range []struct {
		name   string
		change []string
		want   string
	}{
		{"nothing decided", nil, "400 authorization_pending"},
		{"another client", []string{"client_id", "bank"}, "400 invalid_grant"},
		{"no client", []string{"client_id", ""}, "400 invalid_request"},
		{"no device code", []string{"device_code", ""}, "400 invalid_request"},
		{"the code of another issuer", []string{"device_code", foreign.code}, "400 invalid_grant"},
		{"a code that is cut", []string{"device_code", device.code[:len(device.code)-4]}, "400 invalid_grant"},
		{"a long code", []string{"device_code", device.code + strings.Repeat("A", 4<<10)}, "400 invalid_grant"},
		{"a step as the code", []string{"device_code", step}, "400 invalid_grant"},
		{"the user code as the code", []string{"device_code", device.shown}, "400 invalid_grant"},
		{"a client secret", []string{"client_secret", "x"}, "401 invalid_client"},
	} {
		if got := device.poll(r, c.change...); got.outcome() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got.raw, c.want)
		}
	}
	device.poll(r)
	if slow := device.pollNow(r, nil); slow.outcome() != "400 slow_down" || slow.header.Get("Retry-After") != "5" {
		t.Errorf("at once again: %s", slow.raw)
	}
	// x/oauth2 and others send each poll in both ways until one succeeds.
	basic := []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("tv:"))}
	for _, want := range []string{"400 authorization_pending", "400 slow_down"} {
		if got := device.pollNow(r, basic); got.outcome() != want {
			t.Errorf("with the Authorization header: %s, want %s", got.raw, want)
		}
	}
	forward(r, authorize.DeviceLife)
	if late := device.pollNow(r, nil); late.outcome() != "400 expired_token" {
		t.Errorf("after its end: %s", late.raw)
	}
	denied := startDevice(t, r)
	shows(t, b.decides(denied.shown, "deny"), 200, "You denied the access")
	for range 2 {
		if got := denied.poll(r); got.outcome() != "400 access_denied" {
			t.Errorf("denied: %s", got.raw)
		}
	}
	if object := r.Stored(denied.name()); object.Status.Session != nil || object.Status.Revision != 0 {
		t.Errorf("the denial began a session: %+v", object.Status)
	}
	target := startDevice(t, r)
	b.decides(target.shown, "allow")
	if got := target.poll(r, "resource", "https://bank.example.com"); got.outcome() != "400 invalid_target" {
		t.Errorf("another resource: %s", got.raw)
	}
	if got := target.poll(r, "resource", audience); got.outcome() != "200" {
		t.Errorf("its resource: %s", got.raw)
	}
}

// TestUserCodes checks which codes a person can enter. A wrong one costs no request to the API server.
func TestUserCodes(t *testing.T) {
	r := withDevices(t)
	other := withDevices(t)
	other.Rings = r.Rings
	other.Issuer.UID = "another"
	other.PutIssuer(other.Issuer, other.Rings)
	device, bank, foreign := startDevice(t, r), startDevice(t, r, "client_id", "bank"), startDevice(t, other)
	at := strings.IndexByte(device.shown, '-')
	plain := strings.ReplaceAll(device.shown[at:], "-", "")
	const wrong = "The code is wrong"
	for _, c := range []struct{ name, typed, want string }{
		{"as shown", device.shown, "The <b>"},
		{"without dashes", "TV" + plain, "The <b>"},
		{"in lower case with spaces", " tv " + strings.ToLower(plain[:5]) + " " + plain[5:] + "  ", "The <b>"},
		{"with long dashes", strings.ReplaceAll(device.shown, "-", "–"), "The <b>"},
		{"nothing", "", wrong},
		{"no prefix", device.shown[at+1:], wrong},
		{"the prefix of another client", "BANK" + device.shown[at:], wrong},
		{"an unknown prefix", "XX" + device.shown[at:], wrong},
		{"another MAC", device.shown[:len(device.shown)-1] + otherLetter(device.shown[len(device.shown)-1]), wrong},
		{"another random part", device.shown[:at+1] + otherLetter(device.shown[at+1]) + device.shown[at+2:], wrong},
		{"the code of another issuer", foreign.shown, wrong},
		{"a vowel", device.shown[:len(device.shown)-1] + "A", wrong},
		{"a letter too many", device.shown + "B", wrong},
		{"long text", strings.Repeat("B", 10_000), wrong},
		{"a client that the policy does not grant", bank.shown, "You cannot use this application"},
	} {
		before := r.Counts()
		b := open(t, r)
		forward(r, 12*time.Second)
		page := b.enters(c.typed)
		status := http.StatusOK
		if c.want != "The <b>" {
			status = http.StatusUnprocessableEntity
		}
		shows(t, page, status, c.want)
		if after := r.Counts(); after != before {
			t.Errorf("%s: %+v requests to the API server, before %+v", c.name, after, before)
		}
	}
	for _, c := range []struct {
		after time.Duration
		want  string
	}{{10 * time.Minute, "The <b>"}, {15 * time.Minute, wrong}} {
		r := withDevices(t)
		device := startDevice(t, r)
		forward(r, c.after)
		if page := open(t, r).enters(device.shown); !strings.Contains(html.UnescapeString(page.Body.String()), c.want) {
			t.Errorf("after %s: %s", c.after, page.Body)
		}
	}
}

func otherLetter(letter byte) string {
	at := strings.IndexByte(authorize.Alphabet, letter)
	return string(authorize.Alphabet[(at+1)%len(authorize.Alphabet)])
}

// TestACodeIsDecidedOnce checks that the first decision stays. The page of the same decision is shown again.
func TestACodeIsDecidedOnce(t *testing.T) {
	r := withDevices(t)
	const used = "This code was used already"
	for _, c := range []struct {
		first, second string
		status        int
		again, want   string
	}{
		{"allow", "deny", 422, used, "200"}, {"deny", "allow", 422, used, "400 access_denied"},
		{"allow", "allow", 200, "Your device is being signed in", "200"}, {"deny", "deny", 200, "You denied the access", "400 access_denied"},
	} {
		device := startDevice(t, r)
		b := open(t, r)
		forward(r, time.Minute)
		question := b.enters(device.shown)
		b.submit(question, "answer", c.first)
		shows(t, b.submit(question, "answer", c.second), c.status, c.again)
		shows(t, b.decides(device.shown, c.second), c.status, c.again)
		if got := device.poll(r); got.outcome() != c.want {
			t.Errorf("%s, then %s: %s, want %s", c.first, c.second, got.raw, c.want)
		}
	}
	device := startDevice(t, r)
	b := open(t, r)
	forward(r, 6*time.Minute)
	question := b.enters(device.shown)
	forward(r, 9*time.Minute)
	shows(t, b.submit(question, "answer", "allow"), 422, "This code has expired")
	if r.Stored(device.name()) != nil {
		t.Error("a decision that came too late is recorded")
	}
}

// TestPollsAndGuessesCostNothing checks that ten thousand of each make no request to the API server, and that a person can try few codes.
func TestPollsAndGuessesCostNothing(t *testing.T) {
	r := withDevices(t)
	b := open(t, r)
	entry := b.password(b.send(http.MethodGet, "/tenant/device", nil))
	var devices []*tv
	for range 100 {
		devices = append(devices, startDevice(t, r))
	}
	before := r.Counts()
	outcomes := map[string]int{}
	for range 100 {
		for i, device := range devices {
			outcomes[device.pollNow(r, nil).outcome()]++
			guess := b.submit(entry, "user_code", fmt.Sprintf("TV-BCDF-GHJK-%s", strings.Repeat(string(authorize.Alphabet[i%20]), 4)))
			outcomes[fmt.Sprint(guess.Code)]++
		}
		forward(r, authorize.PollInterval)
	}
	if after := r.Counts(); after != before {
		t.Errorf("%+v requests to the API server, before %+v", after, before)
	}
	if outcomes["400 authorization_pending"] != 10_000 || outcomes["429"] < 9_900 || outcomes["422"] < 5 {
		t.Errorf("the answers are %v", outcomes)
	}
}

// TestTriesOfCodes checks that the tries of a person are limited in all browsers together, and that others can go on.
func TestTriesOfCodes(t *testing.T) {
	r := withDevices(t)
	signedIn := func(user, password, address string) func() int {
		b := open(t, r)
		b.address = address
		entry := b.submit(b.send(http.MethodGet, "/tenant/device", nil), "username", user, "password", password)
		return func() int { return b.submit(entry, "user_code", "TV-BCDF-GHJK-LMNP").Code }
	}
	first, second := signedIn("ada", "correct horse", "192.0.2.7:1"), signedIn("ada", "correct horse", "192.0.2.8:1")
	other := signedIn("bob", "battery staple", "192.0.2.7:1")
	var got []int
	for _, try := range []func() int{first, second, first, second, first, second, first, other} {
		got = append(got, try())
	}
	forward(r, 12*time.Second)
	got = append(got, second())
	if want := []int{422, 422, 422, 422, 422, 429, 429, 422, 422}; !slices.Equal(got, want) {
		t.Errorf("the answers are %v, want %v", got, want)
	}
}

// TestDevicePagesShowTextAsText checks markup in every parameter of the pages for devices.
func TestDevicePagesShowTextAsText(t *testing.T) {
	const markup = `"><script>alert(1)</script>`
	r := withDevices(t)
	b := open(t, r)
	device := startDevice(t, r)
	link := "/tenant/device?" + url.Values{"user_code": {markup}, "from": {markup}}.Encode()
	login := b.send(http.MethodGet, link, nil)
	entry := b.password(login)
	question := b.submit(entry, "user_code", device.shown, "from", markup)
	pages := map[string]*httptest.ResponseRecorder{
		"login": login, "again": b.submit(login, "username", markup, "password", "x"), "entry": entry, "wrong code": b.submit(entry, "user_code", markup),
		"question": question, "another decision": b.submit(question, "answer", markup), "no step": b.send(http.MethodPost, "/tenant/device/decision", url.Values{"step": {markup}}),
		"repeated": b.send(http.MethodGet, "/tenant/device?user_code=a&user_code="+url.QueryEscape(markup), nil),
	}
	for name, page := range pages {
		header, body := page.Header(), page.Body.String()
		if strings.Contains(body, "<script") || strings.Contains(body, `<b>"TV`) || strings.Contains(body, "ZgotmplZ") {
			t.Errorf("%s: %s", name, body)
		}
		if policy := header.Get("Content-Security-Policy"); !strings.HasSuffix(policy, "form-action 'self'") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: %s", name, policy)
		}
		if header.Get("Cache-Control") != "no-store" || header.Get("Location") != "" {
			t.Errorf("%s: %v", name, header)
		}
	}
	shows(t, pages["another decision"], 200, "You denied the access")
	german := b.send(http.MethodGet, "/tenant/device", nil, func(r *http.Request) { r.Header.Set("Accept-Language", "de") })
	shows(t, german, 200, "weiter zu", "Ihrem Gerät")
}

// TestDeviceSteps checks that a step is taken by the browser that began it, and only in its place.
func TestDeviceSteps(t *testing.T) {
	r := withDevices(t)
	b, other := open(t, r), open(t, r)
	other.send(http.MethodGet, "/tenant/device", nil)
	device := startDevice(t, r)
	login := b.send(http.MethodGet, "/tenant/device", nil)
	entry := b.password(login)
	question := b.submit(entry, "user_code", device.shown)
	loginStep, _ := stepOf(t, login)
	entryStep, _ := stepOf(t, entry)
	questionStep, _ := stepOf(t, question)
	for _, c := range []struct {
		name       string
		at         *browser
		path, step string
	}{
		{"the code in another browser", other, "/code", entryStep}, {"the decision in another browser", other, "/decision", questionStep},
		{"the code before the sign-in", b, "/code", loginStep}, {"the decision before the code", b, "/decision", entryStep}, {"the code again", b, "/code", questionStep},
	} {
		page := c.at.send(http.MethodPost, "/tenant/device"+c.path, url.Values{"step": {c.step}, "user_code": {device.shown}, "answer": {"allow"}})
		shows(t, page, 400, "This page has expired")
		_ = c.name
	}
	crossSite := func(r *http.Request) {
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Origin", "https://evil.example.com")
	}
	page := b.send(http.MethodPost, "/tenant/device/decision", url.Values{"step": {questionStep}, "answer": {"allow"}}, crossSite)
	shows(t, page, 403, "another site")
	if r.Stored(device.name()) != nil {
		t.Error("a decision is recorded")
	}
}

// TestTheAddressOfADevice checks that the page shows the address only if the link is that of the code.
func TestTheAddressOfADevice(t *testing.T) {
	r := withDevices(t)
	device, other := startDevice(t, r), startDevice(t, r)
	from := func(link string) string {
		at, err := url.Parse(link)
		if err != nil {
			t.Fatal(err)
		}
		return at.Query().Get("from")
	}
	for _, c := range []struct{ name, from, want string }{
		{"its own", from(device.link), "192.0.2.1"}, {"that of another code", from(other.link), "not known"}, {"none", "", "not known"}, {"text", "192.0.2.66", "not known"},
	} {
		b := open(t, r)
		page := b.submit(b.password(b.send(http.MethodGet, "/tenant/device?from="+url.QueryEscape(c.from), nil)), "user_code", device.shown)
		shows(t, page, 200, "<dd>"+c.want+"</dd>")
	}
}
