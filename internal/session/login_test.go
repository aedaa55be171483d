package session_test

import (
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/session"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

const (
	ok             = "ok"
	unavailable    = "unavailable"
	invalidRequest = string(oauth.InvalidRequest)
	invalidGrant   = string(oauth.InvalidGrant)
	unauthorized   = string(oauth.UnauthorizedClient)
	slowDown       = string(oauth.SlowDown)
)

// sessions returns the sessions of a replica's namespace.
func sessions(r *replica.Replica) []v1alpha1.JWTRefreshKey {
	var all []v1alpha1.JWTRefreshKey
	for _, key := range r.All(replica.Name) {
		if key.Labels[v1alpha1.LabelSession] != "" {
			all = append(all, key)
		}
	}
	return all
}

// login changes spec.login of an issuer.
func login(change func(*v1alpha1.LoginSpec)) func(*v1alpha1.JWTIssuer) {
	return func(issuer *v1alpha1.JWTIssuer) {
		if issuer.Spec.Login == nil {
			issuer.Spec.Login = &v1alpha1.LoginSpec{SessionNamespace: replica.Name}
		}
		change(issuer.Spec.Login)
	}
}

func rule(rule v1alpha1.PolicyRule) func(*v1alpha1.JWTIssuer) {
	return func(issuer *v1alpha1.JWTIssuer) {
		issuer.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{rule}}
	}
}

func forward(r *replica.Replica, d time.Duration) { r.Clock.SetTime(r.Clock.Now().Add(d)) }

// expect checks an outcome.
func expect(t *testing.T, got, want, what string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// TestASession checks what a login makes: a refresh key like any other, with the subject, the device and the ends.
func TestASession(t *testing.T) {
	r := replica.New(t, rule(v1alpha1.PolicyRule{Scopes: []string{"orders:*"}}), login(func(l *v1alpha1.LoginSpec) {
		l.SessionLifetime, l.SessionIdleTimeout = &metav1.Duration{Duration: 90 * time.Hour}, &metav1.Duration{Duration: 8 * time.Hour}
	}))
	answer, outcome := r.SignIn(r.Account("till", replica.URL), func(l *session.ExchangeLogin) {
		l.Scope, l.Seen = "orders:read orders:write orders:read", v1alpha1.SeenDevice{ID: "till-17", OS: "Linux"}
	})
	expect(t, outcome, ok, "the login")
	if answer.IssuedTokenType != oauth.TypeAccessToken || answer.TokenType != oauth.TokenTypeBearer || answer.Scope != "orders:read orders:write" ||
		answer.RefreshTokenExpiresIn != 8*3600 || answer.AuthorizationExpiresIn != 90*3600 {
		t.Errorf("the answer is %+v", answer)
	}
	key := &sessions(r)[0]
	uid, _ := r.ServiceAccountUID(t.Context(), replica.NameOf("till"))
	status, subject := key.Status.Session, "system:serviceaccount:"+replica.Name+":till"
	if key.Spec.Subject != subject || status.Subject != subject || status.Method != v1alpha1.LoginServiceAccount || status.UID != uid || !status.StartedAt.Time.Equal(replica.Start) {
		t.Errorf("the session is of %q, on record %+v", key.Spec.Subject, status)
	}
	if key.Spec.Secret.Mode != v1alpha1.SecretNone || key.Spec.Rotation.Mode != v1alpha1.RotationOneTimeUse || !key.Spec.ExpiresAt.Time.Equal(replica.Start.Add(90*time.Hour)) {
		t.Errorf("spec is %+v", key.Spec)
	}
	if owner := key.OwnerReferences[0]; owner.Kind != "ServiceAccount" || owner.Name != "till" || string(owner.UID) != uid {
		t.Errorf("it is owned by %+v", owner)
	}
	if key.Spec.DeviceInfo.ID != "till-17" || key.Status.DeviceInfo.ID != "till-17" || !strings.HasPrefix(key.Name, "session-") {
		t.Errorf("%s is of the device %+v", key.Name, key.Status.DeviceInfo)
	}
	access, err := token.Parse(answer.AccessToken, token.Access, r.Rings, replica.URL, r.Clock.Now())
	if err != nil || access.Subject != subject || access.Audience != replica.Audience {
		t.Errorf("the access token is %+v, %v", access, err)
	}
	_, outcome = r.Refresh(answer.RefreshToken)
	expect(t, outcome, ok, "its first exchange")
}

// TestLoginsThatAreRefused checks that a refused login leaves no object.
func TestLoginsThatAreRefused(t *testing.T) {
	r := replica.New(t, rule(v1alpha1.PolicyRule{Audiences: []string{replica.Audience}, Scopes: []string{"orders:*"}}))
	held := r.Issue("orders")
	access, _ := r.Refresh(held)
	good := r.Account("till", replica.URL)
	signature := good[strings.LastIndexByte(good, '.')+1:]
	const target, scope = string(oauth.InvalidTarget), string(oauth.InvalidScope)
	for _, c := range []struct {
		name, token string
		change      func(*session.ExchangeLogin)
		want        string
	}{
		{"for the API server itself", r.Account("till", "https://kubernetes.default.svc"), nil, invalidRequest},
		{"for another issuer", r.Account("till", replica.URL+"/other"), nil, invalidRequest},
		{"of no cluster", strings.TrimSuffix(good, signature) + strings.Repeat("A", len(signature)), nil, invalidRequest},
		{"nonsense", "nonsense", nil, invalidRequest},
		{"the service's own refresh token", held, nil, invalidRequest},
		{"the service's own access token", access.AccessToken, nil, invalidRequest},
		{"no token", "", nil, invalidRequest},
		{"20 kB of it", strings.Repeat("a", 20_000), nil, invalidRequest},
		{"no type", good, func(l *session.ExchangeLogin) { l.SubjectTokenType = "" }, invalidRequest},
		{"an unknown type", good, func(l *session.ExchangeLogin) { l.SubjectTokenType = "urn:ietf:params:oauth:token-type:saml2" }, invalidRequest},
		{"an actor", good, func(l *session.ExchangeLogin) { l.ActorToken, l.ActorTokenType = good, oauth.TypeJWT }, invalidRequest},
		{"half an actor", good, func(l *session.ExchangeLogin) { l.ActorTokenType = oauth.TypeJWT }, invalidRequest},
		{"a refresh token is asked for", good, func(l *session.ExchangeLogin) {
			l.RequestedTokenType = "urn:ietf:params:oauth:token-type:refresh_token"
		}, invalidRequest},
		{"no audience", good, func(l *session.ExchangeLogin) { l.Audiences = nil }, invalidRequest},
		{"an audience that is not granted", good, func(l *session.ExchangeLogin) { l.Audiences = []string{"https://billing.example.com"} }, target},
		{"an invalid audience", good, func(l *session.ExchangeLogin) { l.Audiences = []string{"two words"} }, target},
		{"two audiences", good, func(l *session.ExchangeLogin) { l.Audiences = append(l.Audiences, "https://billing.example.com") }, target},
		{"a scope that is not granted", good, func(l *session.ExchangeLogin) { l.Scope = "orders:read billing:read" }, scope},
		{"a malformed scope", good, func(l *session.ExchangeLogin) { l.Scope = `orders:"` }, scope},
		{"two spaces in a scope", good, func(l *session.ExchangeLogin) { l.Scope = "orders:read  orders:write" }, scope},
		{"too many scopes", good, func(l *session.ExchangeLogin) {
			for i := range v1alpha1.MaxScopes + 1 {
				l.Scope += " orders:" + strings.Repeat("x", i+1)
			}
			l.Scope = l.Scope[1:]
		}, scope},
		{"a bad proof", good, func(l *session.ExchangeLogin) { l.Credentials.Proofs = []string{"x"} }, string(oauth.InvalidDPoPProof)},
		{"a bad assertion", good, func(l *session.ExchangeLogin) { l.Credentials.Assertion = "x.y.z" }, string(oauth.InvalidClient)},
	} {
		change := c.change
		if change == nil {
			change = func(*session.ExchangeLogin) {}
		}
		_, outcome := r.SignIn(c.token, change)
		expect(t, outcome, c.want, c.name)
	}
	_, outcome := r.SignInByPassword("jane", "x")
	expect(t, outcome, string(oauth.UnsupportedGrantType), "passwords are off")
	if n := len(sessions(r)); n != 0 {
		t.Errorf("refused logins made %d sessions", n)
	}
	_, outcome = r.SignIn(good, func(l *session.ExchangeLogin) { l.Audiences = append(l.Audiences, replica.Audience) })
	expect(t, outcome, ok, "audience and resource may say the same")
}

// TestLoginsThatCannotBeMade checks that what is not known or cannot be recorded now is unavailable, and leaves no
// object.
func TestLoginsThatCannotBeMade(t *testing.T) {
	for name, fail := range map[string]func(*replica.Replica){
		"no API server": func(r *replica.Replica) { r.Away(true) },
		"a stale view":  func(r *replica.Replica) { r.Stale(true) },
		"no keys":       func(r *replica.Replica) { r.PutRings(replica.Name, nil) },
		"no room": func(r *replica.Replica) {
			r.Issuer.Spec.Login = &v1alpha1.LoginSpec{MaxSessions: 1}
			r.PutIssuer(r.Issuer, r.Rings)
		},
	} {
		r := replica.New(t)
		shown, earlier := r.Account("till", replica.URL), r.Account("scanner", replica.URL)
		_, outcome := r.SignIn(earlier)
		expect(t, outcome, ok, name+": before")
		fail(r)
		_, outcome = r.SignIn(shown)
		expect(t, outcome, unavailable, name)
		if n := len(sessions(r)); n != 1 {
			t.Errorf("%s: there are %d sessions", name, n)
		}
	}
}

// TestAPerson checks the login by an id_token, and that the session ends with its provider.
func TestAPerson(t *testing.T) {
	const idp = "https://idp.example.com"
	r := replica.New(t, login(func(l *v1alpha1.LoginSpec) {
		l.OIDC = []v1alpha1.OIDCProvider{{IssuerURL: idp, Audiences: []string{"cli"}}}
	}),
		rule(v1alpha1.PolicyRule{Claims: []string{"groups"}}))
	idToken := replica.JWT(map[string]any{"iss": idp, "aud": "cli", "sub": "jane"})
	r.People[idToken] = &identity.Person{Subject: "jane", Claims: map[string]apiextensionsv1.JSON{"groups": {Raw: []byte(`["ops"]`)}}}
	byIDToken := func(l *session.ExchangeLogin) { l.SubjectTokenType = oauth.TypeIDToken }
	answer, outcome := r.SignIn(idToken, byIDToken)
	expect(t, outcome, ok, "the login")
	key := &sessions(r)[0]
	if key.Status.Session.Provider != idp || key.Status.Session.Method != v1alpha1.LoginOIDC || key.Spec.Subject != "jane" || len(key.OwnerReferences) != 0 {
		t.Errorf("on record is %+v", key.Status.Session)
	}
	claims, err := token.Made(answer.AccessToken)
	if err != nil || claims.Extra["groups"] != `["ops"]` {
		t.Errorf("the claims are %v, %v", claims.Extra, err)
	}
	_, outcome = r.SignIn(replica.JWT(map[string]any{"iss": idp, "aud": "cli", "sub": "john"}), byIDToken)
	expect(t, outcome, invalidRequest, "an id_token that the provider does not accept")
	r.People[idToken].Claims["roles"] = apiextensionsv1.JSON{Raw: []byte(`["admin"]`)}
	_, outcome = r.SignIn(idToken, byIDToken)
	expect(t, outcome, unauthorized, "a claim that is not granted")
	r.People[idToken].Claims["iss"] = apiextensionsv1.JSON{Raw: []byte(`"x"`)}
	_, outcome = r.SignIn(idToken, byIDToken)
	expect(t, outcome, invalidRequest, "a claim that no token may have")

	_, outcome = r.Refresh(answer.RefreshToken)
	expect(t, outcome, ok, "an exchange")
	r.Issuer.Spec.Login.OIDC = nil
	r.PutIssuer(r.Issuer, r.Rings)
	_, outcome = r.Refresh(answer.RefreshToken)
	expect(t, outcome, unauthorized, "the provider is removed, and may be added again")
}

// TestPasswords checks which passwords sign in, and that attempts are limited.
func TestPasswords(t *testing.T) {
	r := replica.New(t, login(func(l *v1alpha1.LoginSpec) {
		l.Passwords = &v1alpha1.PasswordLogin{SecretRef: v1alpha1.LocalSecretReference{Name: "people"}}
	}))
	r.PutPasswords("# people\nbroken\nsystem:admin:x\n", "jane", "correct horse")
	answer, outcome := r.SignInByPassword("jane", "correct horse")
	expect(t, outcome, ok, "the right password")
	if answer.IssuedTokenType != "" {
		t.Errorf("the answer is %+v", answer)
	}
	if key := &sessions(r)[0]; key.Spec.Subject != "jane" || key.Status.Session.Method != v1alpha1.LoginPassword {
		t.Errorf("on record is %+v", key.Status.Session)
	}
	for _, c := range []struct{ name, user, password, want string }{
		{"a wrong password", "jane", "wrong", invalidGrant},
		{"an unknown user", "john", "correct horse", invalidGrant},
		{"a line without a hash", "broken", "x", invalidGrant},
		{"a name with a colon", "system:admin", "x", invalidGrant},
		{"no password", "jane", "", invalidRequest},
		{"no user", "", "correct horse", invalidRequest},
		{"more than bcrypt reads", "jane", "correct horse" + strings.Repeat("x", 60), invalidRequest},
	} {
		_, outcome := r.SignInByPassword(c.user, c.password)
		expect(t, outcome, c.want, c.name)
	}
	if n := len(sessions(r)); n != 1 {
		t.Errorf("there are %d sessions", n)
	}
	_, outcome = r.Refresh(answer.RefreshToken)
	expect(t, outcome, ok, "an exchange")
	var last string
	for range 6 {
		_, last = r.SignInByPassword("jane", "wrong")
	}
	expect(t, last, slowDown, "a user is tried five times at once at the most")
	r.Issuer.Spec.Login.Passwords = nil
	r.PutIssuer(r.Issuer, r.Rings)
	_, outcome = r.Refresh(answer.RefreshToken)
	expect(t, outcome, unauthorized, "login by password is turned off")
}
