package grant_test

import (
	"net/http"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/grant"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/session"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

const (
	idp          = "https://idp.example.com"
	invalidToken = string(oauth.InvalidToken)
)

// people is an issuer at which people sign in, with the policy that grants all that a tenant or a person asks for.
func people(i *v1alpha1.JWTIssuer) {
	i.Spec.Login = &v1alpha1.LoginSpec{
		SessionNamespace: replica.Name, OIDC: []v1alpha1.OIDCProvider{{IssuerURL: idp, Audiences: []string{"cli"}}},
		SessionLifetime: &metav1.Duration{Duration: 720 * time.Hour},
	}
	i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{
		{Scopes: []string{"**"}, Claims: []string{"email"}},
		{Scopes: []string{"**"}, Subjects: []string{"**"}},
	}}
}

// signIn begins a session of a person, and returns its tokens.
func signIn(t *testing.T, r *replica.Replica, who string, change ...func(*session.ExchangeLogin)) *oauth.TokenAnswer {
	t.Helper()
	idToken := replica.JWT(map[string]any{"iss": idp, "aud": "cli", "sub": who})
	r.People[idToken] = &identity.Person{Subject: who, Claims: map[string]apiextensionsv1.JSON{"email": {Raw: []byte(`"` + who + `@example.com"`)}}}
	byIDToken := func(l *session.ExchangeLogin) { l.SubjectTokenType = oauth.TypeIDToken }
	answer, outcome := r.SignIn(idToken, append(change, byIDToken)...)
	if outcome != ok {
		t.Fatalf("%s does not sign in: %s", who, outcome)
	}
	return answer
}

// forSessions asks for an access token for sessions.
func forSessions(r *grant.RefreshRequest) {
	r.Resources, r.Scope = []string{replica.URL}, oauth.ScopeSessions
}

// accessOf exchanges the refresh token of a session for an access token for sessions.
func accessOf(t *testing.T, r *replica.Replica, refresh string) string {
	t.Helper()
	answer, outcome := r.Refresh(refresh, forSessions)
	if outcome != ok {
		t.Fatalf("no access token for sessions: %s", outcome)
	}
	return answer.AccessToken
}

func idOf(t *testing.T, compact string) string {
	t.Helper()
	claims, err := token.Made(compact)
	if err != nil {
		t.Fatal(err)
	}
	return claims.Object.UID
}

// forged returns an access token with changed claims, signed by the issuer.
func forged(t *testing.T, r *replica.Replica, compact string, change func(*token.Claims)) string {
	t.Helper()
	claims, err := token.Made(compact)
	if err != nil {
		t.Fatal(err)
	}
	change(claims)
	payload, err := claims.Payload()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := r.Rings.Signer(keyring.Access)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := token.Mint(signer, token.Access, payload)
	if err != nil {
		t.Fatal(err)
	}
	return forged
}

// list returns the sessions of an access token's subject by id, and the outcome.
func list(t *testing.T, r *replica.Replica, compact string) (map[string]oauth.Session, string) {
	t.Helper()
	request := &grant.AccessRequest{Token: compact, Scheme: oauth.TokenTypeBearer, Method: http.MethodGet}
	answer, err := r.Grants.Sessions(t.Context(), r.Found(), request, newOutcome())
	if err != nil {
		return nil, replica.Outcome(err)
	}
	byID := map[string]oauth.Session{}
	for _, one := range answer.Sessions {
		byID[one.ID] = one
	}
	return byID, ok
}

// end ends sessions, and returns how many and the outcome.
func end(t *testing.T, r *replica.Replica, compact string, which *oauth.EndRequest) (int, string) {
	t.Helper()
	outcome := newOutcome()
	request := &grant.AccessRequest{Token: compact, Scheme: oauth.TokenTypeBearer, Method: http.MethodPost}
	answer, err := r.Grants.EndSessions(t.Context(), r.Found(), request, which, outcome)
	if err != nil {
		return len(outcome.Ended), replica.Outcome(err)
	}
	if answer.Ended != len(outcome.Ended) {
		t.Errorf("the answer tells %d, and the audit log %d", answer.Ended, len(outcome.Ended))
	}
	return answer.Ended, ok
}

// TestWhoGetsATokenForSessions checks which refreshes return an access token for sessions: those of a session that name
// the issuer as the only resource and sessions as the only scope.
func TestWhoGetsATokenForSessions(t *testing.T) {
	r := replica.New(t, people)
	jane := signIn(t, r, "jane", func(l *session.ExchangeLogin) { l.Scope = "orders:read" })
	sessions := []string{replica.URL}
	for _, c := range []struct {
		name, held string
		resources  []string
		scope      string
		want       string
	}{
		{"a session", jane.RefreshToken, sessions, "sessions", ok},
		{"a session that names the issuer twice", jane.RefreshToken, []string{replica.URL, replica.URL}, "sessions", ok},
		{"no scope", jane.RefreshToken, sessions, "", string(oauth.InvalidTarget)},
		{"another scope", jane.RefreshToken, sessions, "orders:read", string(oauth.InvalidTarget)},
		{"a further scope", jane.RefreshToken, sessions, "sessions orders:read", string(oauth.InvalidTarget)},
		{"a further resource", jane.RefreshToken, []string{replica.URL, replica.Audience}, "sessions", string(oauth.InvalidTarget)},
		{"the URL with a slash", jane.RefreshToken, []string{replica.URL + "/"}, "sessions", string(oauth.InvalidTarget)},
		{"the URL of the endpoint", jane.RefreshToken, []string{replica.URL + "/sessions"}, "sessions", string(oauth.InvalidTarget)},
		{"its own resource", jane.RefreshToken, []string{replica.Audience}, "sessions", string(oauth.InvalidScope)},
		{"no resource", jane.RefreshToken, nil, "sessions", string(oauth.InvalidScope)},
		{"a key", r.Issue("orders"), sessions, "sessions", string(oauth.InvalidTarget)},
		{"a one-time key", r.Issue("device", oneTime(time.Minute)), sessions, "sessions", string(oauth.InvalidTarget)},
	} {
		_, outcome := r.Refresh(c.held, func(r *grant.RefreshRequest) { r.Resources, r.Scope = c.resources, c.scope })
		if outcome != c.want {
			t.Errorf("%s: %s, want %s", c.name, outcome, c.want)
		}
	}
	answer, _ := r.Refresh(jane.RefreshToken, forSessions)
	claims, err := token.Parse(answer.AccessToken, token.Access, r.Rings, replica.URL, r.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	if claims.Audience != replica.URL || claims.Scope != "sessions" || claims.Subject != "jane" || len(claims.Extra) != 0 {
		t.Errorf("the access token is %+v", claims)
	}
	if answer.Scope != "sessions" || answer.RefreshToken == "" || answer.ExpiresIn != 15*60 {
		t.Errorf("the answer is %+v", answer)
	}
	plain, _ := r.Refresh(answer.RefreshToken)
	if claims, err := token.Made(plain.AccessToken); err != nil || claims.Audience != replica.Audience || claims.Scope != "orders:read" || claims.Extra["email"] == "" {
		t.Errorf("the next access token is %+v, %v", claims, err)
	}
}

// TestWhoseTokenManagesSessions checks which access tokens the sessions endpoints accept: those of a living session by
// login, for the issuer and the scope sessions. A refused one is refused in the same way by both endpoints.
func TestWhoseTokenManagesSessions(t *testing.T) {
	// tenant returns an access token for sessions that a tenant's key was granted.
	tenant := func(change ...func(*v1alpha1.JWTRefreshKey)) func(*testing.T, *replica.Replica, *oauth.TokenAnswer) string {
		return func(t *testing.T, r *replica.Replica, _ *oauth.TokenAnswer) string {
			held := r.Issue("mine", append(change, func(k *v1alpha1.JWTRefreshKey) {
				k.Spec.Audience, k.Spec.Scopes = replica.URL, []string{"sessions"}
			})...)
			answer, outcome := r.Refresh(held)
			if outcome != ok || answer.Scope != "sessions" {
				t.Fatalf("the tenant gets no token: %s", outcome)
			}
			return answer.AccessToken
		}
	}
	changed := func(change func(*token.Claims)) func(*testing.T, *replica.Replica, *oauth.TokenAnswer) string {
		return func(t *testing.T, r *replica.Replica, jane *oauth.TokenAnswer) string {
			return forged(t, r, accessOf(t, r, jane.RefreshToken), change)
		}
	}
	// after returns an access token for sessions, and changes the session.
	after := func(change func(*replica.Replica, *v1alpha1.JWTRefreshKey)) func(*testing.T, *replica.Replica, *oauth.TokenAnswer) string {
		return func(t *testing.T, r *replica.Replica, jane *oauth.TokenAnswer) string {
			access := accessOf(t, r, jane.RefreshToken)
			claims, _ := token.Made(access)
			r.Edit(replica.NameOf(claims.Object.Name), func(k *v1alpha1.JWTRefreshKey) { change(r, k) })
			return access
		}
	}
	asPerson := func(k *v1alpha1.JWTRefreshKey) {
		k.Labels = map[string]string{v1alpha1.LabelSession: string(v1alpha1.LoginOIDC)}
		k.Spec.Subject, k.Spec.Secret = "jane", &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone}
		oneTime(time.Minute)(k)
	}
	for name, c := range map[string]struct {
		present func(t *testing.T, r *replica.Replica, jane *oauth.TokenAnswer) string
		want    string
	}{
		"for sessions": {changed(func(*token.Claims) {}), ok},
		"an access token of the session for its API":    {func(_ *testing.T, _ *replica.Replica, jane *oauth.TokenAnswer) string { return jane.AccessToken }, invalidToken},
		"the refresh token of the session":              {func(_ *testing.T, _ *replica.Replica, jane *oauth.TokenAnswer) string { return jane.RefreshToken }, invalidToken},
		"nonsense":                                      {func(*testing.T, *replica.Replica, *oauth.TokenAnswer) string { return "nonsense" }, invalidToken},
		"for another audience":                          {changed(func(c *token.Claims) { c.Audience = replica.Audience }), invalidToken},
		"for an audience like it":                       {changed(func(c *token.Claims) { c.Audience += "/" }), invalidToken},
		"without the scope":                             {changed(func(c *token.Claims) { c.Scope = "" }), string(oauth.InsufficientScope)},
		"with a scope like it":                          {changed(func(c *token.Claims) { c.Scope = "sessions:read Sessions" }), string(oauth.InsufficientScope)},
		"with a further scope":                          {changed(func(c *token.Claims) { c.Scope = "openid sessions" }), ok},
		"of another issuer":                             {changed(func(c *token.Claims) { c.Issuer, c.Audience = replica.URL+"/other", replica.URL+"/other" }), invalidToken},
		"of another person":                             {changed(func(c *token.Claims) { c.Subject = "john" }), invalidToken},
		"of another object":                             {changed(func(c *token.Claims) { c.Object.UID = "another" }), invalidToken},
		"of a later revision":                           {changed(func(c *token.Claims) { c.Object.Revision += 7 }), invalidToken},
		"expired, within the skew":                      {changed(func(c *token.Claims) { c.ExpiresAt = replica.Start }), invalidToken},
		"of a tenant's key":                             {tenant(), invalidToken},
		"of a tenant's one-time key":                    {tenant(oneTime(time.Minute)), invalidToken},
		"of a key that is made like a person's session": {tenant(asPerson), invalidToken},
		"of such a key with a status written by hand, elsewhere": {func(t *testing.T, r *replica.Replica, jane *oauth.TokenAnswer) string {
			r.PutNamespace("shop", nil)
			access := tenant(asPerson, func(k *v1alpha1.JWTRefreshKey) { k.Namespace = "shop" })
			compact := access(t, r, jane)
			r.Edit(types.NamespacedName{Namespace: "shop", Name: "mine"}, func(k *v1alpha1.JWTRefreshKey) {
				k.Status.Session = &v1alpha1.SessionStatus{Subject: "jane", Method: v1alpha1.LoginOIDC, Provider: idp, StartedAt: metav1.NewTime(replica.Start)}
			})
			return compact
		}, invalidToken},
		"of a login for the issuer itself, without the scope": {func(t *testing.T, r *replica.Replica, _ *oauth.TokenAnswer) string {
			return signIn(t, r, "jane", func(l *session.ExchangeLogin) { l.Audiences = []string{replica.URL} }).AccessToken
		}, string(oauth.InsufficientScope)},
		"of a login for the issuer itself, with the scope": {func(t *testing.T, r *replica.Replica, _ *oauth.TokenAnswer) string {
			return signIn(t, r, "jane", func(l *session.ExchangeLogin) { l.Audiences, l.Scope = []string{replica.URL}, "sessions" }).AccessToken
		}, ok},
		"of a session that is revoked":      {after(func(_ *replica.Replica, k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true }), invalidToken},
		"of a session with another subject": {after(func(_ *replica.Replica, k *v1alpha1.JWTRefreshKey) { k.Spec.Subject = "john" }), invalidToken},
		"of a session that is not one-time": {after(func(_ *replica.Replica, k *v1alpha1.JWTRefreshKey) {
			k.Spec.Rotation.Mode = v1alpha1.RotationScheduled
		}), invalidToken},
		"of a session that is too old": {after(func(r *replica.Replica, _ *v1alpha1.JWTRefreshKey) {
			r.Issuer.Spec.Login.SessionLifetime = &metav1.Duration{}
		}), invalidToken},
		"of a session that was signed out": {func(t *testing.T, r *replica.Replica, jane *oauth.TokenAnswer) string {
			access := accessOf(t, r, jane.RefreshToken)
			if got := r.LogOut(jane.RefreshToken); got != ok {
				t.Fatal(got)
			}
			return access
		}, invalidToken},
	} {
		t.Run(name, func(t *testing.T) {
			r := replica.New(t, people)
			jane := signIn(t, r, "jane")
			signIn(t, r, "john")
			access := c.present(t, r, jane)
			r.PutIssuer(r.Issuer, r.Rings)
			if all, got := list(t, r, access); got != c.want || (got == ok && len(all) == 0) {
				t.Errorf("list: %s, want %s", got, c.want)
			}
			n, got := end(t, r, access, &oauth.EndRequest{All: true})
			if got != c.want || (n > 0) != (c.want == ok) {
				t.Errorf("end: %d, %s, want %s", n, got, c.want)
			}
		})
	}
}
