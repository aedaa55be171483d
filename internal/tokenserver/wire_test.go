package tokenserver_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// ask sends a form to a replica in memory; header are names and values in turn, and a name may occur twice.
func ask(r *replica.Replica, method, path string, form url.Values, header ...string) *answer {
	if form != nil {
		header = append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)
	}
	return sendTo(r, method, path, form.Encode(), header...)
}

// sendTo sends a body to a replica in memory; header are as for ask.
func sendTo(r *replica.Replica, method, path, body string, header ...string) *answer {
	request := httptest.NewRequest(method, "https://tokens.example.com"+path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	r.Server.ServeHTTP(recorder, request)
	got := &answer{status: recorder.Code, header: recorder.Header(), raw: recorder.Body.String()}
	_ = json.Unmarshal([]byte(got.raw), &got.body)
	return got
}

// TestChallenges checks that a request without a bearer token gets only the scheme (RFC 6750 §3.1), and that one
// with a bad token also gets the error.
func TestChallenges(t *testing.T) {
	r := replica.New(t)
	const plain = `Bearer realm="refreshkeys"`
	for _, c := range []struct{ name, authorization, challenge, raw string }{
		{"nothing", "", plain, ""},
		{"another scheme", "Basic eDo=", plain, ""},
		{"no blank before the token", "Bearerx", plain, ""},
		{"no token", "Bearer", plain + `, error="invalid_token"`, "invalid_token"},
		{"two blanks", "Bearer  x", plain + `, error="invalid_token"`, "invalid_token"},
		{"a token that is not known", "Bearer x", plain + `, error="invalid_token"`, "invalid_token"},
	} {
		var header []string
		if c.authorization != "" {
			header = []string{"Authorization", c.authorization}
		}
		got := ask(r, http.MethodPost, "/"+replica.Name+"/introspect", url.Values{"token": {"x"}}, header...)
		if got.status != http.StatusUnauthorized || !slices.Equal(got.header.Values("WWW-Authenticate"), []string{c.challenge}) || got.text("error") != c.raw {
			t.Errorf("%s: %d, %q, %s", c.name, got.status, got.header.Values("WWW-Authenticate"), got.raw)
		}
		if c.raw == "" && got.raw != "" {
			t.Errorf("%s: the body is %s", c.name, got.raw)
		}
	}
}

// TestLoginsOverHTTP checks how the two login grants are read from a form, and what their answers contain.
func TestLoginsOverHTTP(t *testing.T) {
	r := replica.New(t, func(i *v1alpha1.JWTIssuer) {
		i.Spec.Login = &v1alpha1.LoginSpec{SessionNamespace: replica.Name, Passwords: &v1alpha1.PasswordLogin{SecretRef: v1alpha1.LocalSecretReference{Name: "people"}}}
	})
	r.PutPasswords("", "jane", "correct horse")
	exchange := url.Values{
		"grant_type": {oauth.GrantTokenExchange}, "subject_token": {r.Account("till", replica.URL)}, "subject_token_type": {oauth.TypeJWT},
		"audience": {audience}, "resource": {audience}, "device_id": {"till-17"},
	}
	password := url.Values{"grant_type": {oauth.GrantPassword}, "username": {"jane"}, "password": {"correct horse"}, "audience": {audience}}
	for name, c := range map[string]struct {
		form   url.Values
		issued string
	}{"a token": {exchange, oauth.TypeAccessToken}, "a password": {password, ""}} {
		got := ask(r, http.MethodPost, "/"+replica.Name+"/token", c.form)
		if got.outcome() != "200" || got.text("issued_token_type") != c.issued || got.text("refresh_token") == "" || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s", name, got.raw)
		}
	}
	devices := map[string]bool{}
	for _, session := range r.All(replica.Name) {
		devices[session.Status.DeviceInfo.ID] = true
	}
	if !devices["till-17"] || len(devices) != 2 {
		t.Errorf("the devices are %v", devices)
	}
}

// TestRefusedLoginsOverHTTP checks that each parameter of the login grants is read from the form: a change of one of
// them in a good login is refused, and no session begins.
func TestRefusedLoginsOverHTTP(t *testing.T) {
	r := replica.New(t, func(i *v1alpha1.JWTIssuer) {
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Audiences: []string{audience}, Scopes: []string{"orders:*"}}}}
	})
	good := r.Account("till", replica.URL)
	held := r.Issue("orders")
	for _, c := range []struct {
		name string
		more []string
		want string
	}{
		{"nonsense", []string{"subject_token", "nonsense"}, "400 invalid_request"},
		{"the service's own refresh token", []string{"subject_token", held}, "400 invalid_request"},
		{"no token", []string{"subject_token", ""}, "400 invalid_request"},
		{"20 kB of a token", []string{"subject_token", strings.Repeat("a", 20_000)}, "400 invalid_request"},
		{"no type", []string{"subject_token_type", ""}, "400 invalid_request"},
		{"an unknown type", []string{"subject_token_type", "urn:ietf:params:oauth:token-type:saml2"}, "400 invalid_request"},
		{"an actor", []string{"actor_token", good, "actor_token_type", oauth.TypeJWT}, "400 invalid_request"},
		{"an actor without a type", []string{"actor_token", good}, "400 invalid_request"},
		{"a type of an actor without an actor", []string{"actor_token_type", oauth.TypeJWT}, "400 invalid_request"},
		{"a refresh token is asked for", []string{"requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"}, "400 invalid_request"},
		{"no audience", []string{"audience", ""}, "400 invalid_request"},
		{"an audience that is not granted", []string{"audience", "https://billing.example.com"}, "400 invalid_target"},
		{"an invalid audience", []string{"audience", "two words"}, "400 invalid_target"},
		{"another resource beside the audience", []string{"resource", "https://billing.example.com"}, "400 invalid_target"},
		{"a scope that is not granted", []string{"scope", "orders:read billing:read"}, "400 invalid_scope"},
		{"a malformed scope", []string{"scope", `orders:"`}, "400 invalid_scope"},
		{"two spaces in a scope", []string{"scope", "orders:read  orders:write"}, "400 invalid_scope"},
		{"passwords are off", []string{"grant_type", oauth.GrantPassword, "username", "jane", "password", "x"}, "400 unsupported_grant_type"},
	} {
		form := url.Values{
			"grant_type": {oauth.GrantTokenExchange}, "subject_token": {good}, "subject_token_type": {oauth.TypeJWT}, "audience": {audience}, "scope": {"orders:read"},
		}
		for i := 0; i+1 < len(c.more); i += 2 {
			form.Set(c.more[i], c.more[i+1])
		}
		if got := ask(r, http.MethodPost, "/"+replica.Name+"/token", form); got.outcome() != c.want {
			t.Errorf("%s: %s, want %s: %s", c.name, got.outcome(), c.want, got.raw)
		}
	}
	if all := r.All(replica.Name); len(all) != 1 {
		t.Errorf("%d refresh keys, want only that of the tenant: a refused login has begun a session", len(all))
	}
}

// TestTooManyLoginsOverHTTP checks that a client that tries too many passwords learns when to try again.
func TestTooManyLoginsOverHTTP(t *testing.T) {
	r := replica.New(t, func(i *v1alpha1.JWTIssuer) {
		i.Spec.Login = &v1alpha1.LoginSpec{SessionNamespace: replica.Name, Passwords: &v1alpha1.PasswordLogin{SecretRef: v1alpha1.LocalSecretReference{Name: "people"}}}
	})
	r.PutPasswords("", "jane", "correct horse")
	form := url.Values{"grant_type": {oauth.GrantPassword}, "username": {"jane"}, "password": {"wrong"}, "audience": {audience}}
	for try, want := range []string{"400 invalid_grant", "400 invalid_grant", "400 invalid_grant", "400 invalid_grant", "400 invalid_grant", "429 slow_down"} {
		got := ask(r, http.MethodPost, "/"+replica.Name+"/token", form)
		if got.outcome() != want || (got.header.Get("Retry-After") != "") != (got.status == http.StatusTooManyRequests) {
			t.Errorf("try %d: %s, want %s; Retry-After is %q", try+1, got.outcome(), want, got.header.Get("Retry-After"))
		}
	}
}

// TestIssuersThatShareAnEndpoint checks that the token chooses the issuer at a shared URL, and that a token of another
// issuer is never refused permanently.
func TestIssuersThatShareAnEndpoint(t *testing.T) {
	const shared = "https://tokens.example.com/shared"
	share := func(i *v1alpha1.JWTIssuer) { i.Spec.EndpointURL = shared }
	r := replica.New(t, share)
	other := &v1alpha1.JWTIssuer{Spec: v1alpha1.JWTIssuerSpec{URL: "https://tokens.example.com/other"}}
	other.Name = "other"
	share(other)
	r.PutIssuer(other, r.Rings)
	own, foreign := r.Issue("own"), r.IssueFrom(other, r.Rings, "foreign")
	form := func(compact string) url.Values {
		return url.Values{"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {compact}}
	}
	login := func(audiences ...string) url.Values {
		return url.Values{
			"grant_type": {oauth.GrantTokenExchange}, "subject_token": {r.Account("till", audiences...)}, "subject_token_type": {oauth.TypeJWT}, "audience": {audience},
		}
	}
	bearer := []string{"Authorization", "Bearer " + r.Auditor("auditor")}
	for _, c := range []struct {
		name, path string
		form       url.Values
		header     []string
		want       string
	}{
		{"its token", "/shared/token", form(own), nil, "200"},
		{"the other's token", "/shared/token", form(foreign), nil, "200"},
		{"a token of neither", "/shared/token", form("x.y.z"), nil, "400 invalid_grant"},
		{"the other's token at its own URL", "/" + replica.Name + "/token", form(foreign), nil, "400 invalid_request"},
		{"a login for it", "/shared/token", login(replica.URL), nil, "200"},
		{"a login for both", "/shared/token", login(replica.URL, other.Spec.URL), nil, "400 invalid_request"},
		{"a login for neither", "/shared/token", login("https://elsewhere.example.com"), nil, "400 invalid_request"},
		{"a login for both at its own URL", "/" + replica.Name + "/token", login(replica.URL, other.Spec.URL), nil, "200"},
		{"the metadata", "/shared/.well-known/openid-configuration", nil, nil, "404 invalid_request"},
		{"a question by its caller", "/shared/introspect", url.Values{"token": {own}}, bearer, "200"},
		{"a question about the other's token", "/shared/introspect", url.Values{"token": {foreign}}, bearer, "200"},
		{"a question about nonsense", "/shared/introspect", url.Values{"token": {"x"}}, bearer, "200"},
		{"a logout", "/shared/revoke", url.Values{"token": {foreign}}, nil, "200"},
	} {
		method := http.MethodPost
		if c.form == nil {
			method = http.MethodGet
		}
		if got := ask(r, method, c.path, c.form, c.header...); got.outcome() != c.want {
			t.Errorf("%s: %s, want %s: %s", c.name, got.outcome(), c.want, got.raw)
		}
	}
	r.DeleteIssuer("other")
	if got := ask(r, http.MethodPost, "/shared/token", form(foreign)); got.outcome() != "400 invalid_request" {
		t.Errorf("the token of an issuer that is away: %s", got.raw)
	}
	r.Hold(true)
	late := &v1alpha1.JWTIssuer{Spec: v1alpha1.JWTIssuerSpec{URL: "https://tokens.example.com/late", EndpointURL: shared}}
	late.Name = "late"
	rings := r.NextRings(r.NextRings(nil, replica.Start.Add(-2*time.Hour)), replica.Start.Add(-time.Hour))
	r.PutIssuer(late, rings)
	if got := ask(r, http.MethodPost, "/shared/token", form(r.IssueFrom(late, rings, "late"))); got.outcome() != "200" {
		t.Errorf("the token of an issuer that the view lacks: %s", got.raw)
	}
}
