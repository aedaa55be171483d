package grant_test

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/session"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// household are the sessions of a test: three of jane, and others that look like those.
type household struct {
	*replica.Replica
	// tokens are the answers to the logins, by the name of the session.
	tokens map[string]*oauth.TokenAnswer
	ids    map[string]string
	access string
}

// newHousehold signs people and a ServiceAccount in, and forges sessions of jane and of the ServiceAccount elsewhere.
func newHousehold(t *testing.T) *household {
	t.Helper()
	h := &household{Replica: replica.New(t, people), tokens: map[string]*oauth.TokenAnswer{}, ids: map[string]string{}}
	on := func(device, browser string) func(*session.ExchangeLogin) {
		return func(l *session.ExchangeLogin) {
			l.Seen = v1alpha1.SeenDevice{ID: device, Browser: browser, OS: "Linux", IPAddress: "192.0.2.7"}
		}
	}
	for _, login := range []struct{ name, who string }{{"phone", "jane"}, {"laptop", "jane"}, {"desk", "jane"}, {"john", "john"}} {
		h.tokens[login.name] = signIn(t, h.Replica, login.who, on(login.name, "Firefox"))
		forward(h.Replica, time.Minute)
	}
	h.tokens["till"], _ = h.SignIn(h.Account("till", replica.URL))
	for name, answer := range h.tokens {
		h.ids[name] = idOf(t, answer.AccessToken)
	}
	h.PutNamespace("shop", nil)
	for name, like := range map[string]string{"of jane, elsewhere": "phone", "of till, elsewhere": "till"} {
		h.ids[name] = h.copy(h.ids[like], func(k *v1alpha1.JWTRefreshKey) { k.Namespace = "shop" })
	}
	h.ids["of jane, at another issuer"] = h.copy(h.ids["phone"], func(k *v1alpha1.JWTRefreshKey) { k.Spec.IssuerRef.Name = "other" })
	h.ids["a key of jane's that is no session"] = h.copy(h.ids["phone"], func(k *v1alpha1.JWTRefreshKey) { k.Status.Session = nil })
	h.access = accessOf(t, h.Replica, h.tokens["laptop"].RefreshToken)
	return h
}

// stored returns the refresh key with a uid.
func (h *household) stored(uid string) *v1alpha1.JWTRefreshKey {
	for _, namespace := range []string{replica.Name, "shop"} {
		for _, key := range h.All(namespace) {
			if string(key.UID) == uid {
				return &key
			}
		}
	}
	return nil
}

// copy creates a refresh key like another, with its labels and its status, and returns its uid.
func (h *household) copy(uid string, change func(*v1alpha1.JWTRefreshKey)) string {
	key := h.stored(uid)
	key.UID, key.Name = "", "copy-"+h.NewID()
	change(key)
	h.Put(key)
	return string(key.UID)
}

// ended returns the names of the sessions that were revoked by a logout, sorted.
func (h *household) ended() (names []string) {
	for name, uid := range h.ids {
		if key := h.stored(uid); key != nil && key.Status.RevocationReason == v1alpha1.RevokedLogout {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// TestASubjectListsItsOwnSessions checks that a list has the sessions of the subject at the issuer and no other, each
// with what its subject needs to recognise it.
func TestASubjectListsItsOwnSessions(t *testing.T) {
	h := newHousehold(t)
	all, outcome := list(t, h.Replica, h.access)
	if outcome != ok || len(all) != 3 {
		t.Fatalf("%s: %+v", outcome, all)
	}
	used := replica.Start.Add(4 * time.Minute)
	want := oauth.Session{
		ID: h.ids["laptop"], Current: true, Subject: "jane", Method: "OIDC", Provider: idp, Audience: replica.Audience,
		Device:    oauth.SessionDevice{ID: "laptop", Browser: "Firefox", OS: "Linux"},
		StartedAt: replica.Start.Add(time.Minute), LastUsed: &used, ExpiresAt: replica.Start.Add(time.Minute + 720*time.Hour), Status: oauth.SessionActive,
	}
	got := all[h.ids["laptop"]]
	if got.LastUsed == nil || !got.LastUsed.Equal(used) {
		t.Errorf("it was used at %v", got.LastUsed)
	}
	got.LastUsed = want.LastUsed
	if got != want {
		t.Errorf("the current one is %+v, want %+v", got, want)
	}
	if got := all[h.ids["phone"]]; got.Current || got.LastUsed != nil || got.IPAddress != "192.0.2.7" || got.Device.ID != "phone" {
		t.Errorf("the first one is %+v", got)
	}
	till, outcome := list(t, h.Replica, accessOf(t, h.Replica, h.tokens["till"].RefreshToken))
	if outcome != ok || len(till) != 1 || till[h.ids["till"]].Method != "ServiceAccount" {
		t.Errorf("the ServiceAccount's: %s, %+v", outcome, till)
	}
}

// TestTheStateOfAListedSession checks the state and the end of a session that has ended or was changed.
func TestTheStateOfAListedSession(t *testing.T) {
	end := replica.Start.Add(720 * time.Hour)
	soon := metav1.NewTime(replica.Start.Add(2 * time.Minute))
	for name, c := range map[string]struct {
		change func(*v1alpha1.JWTRefreshKey)
		state  oauth.SessionState
		reason string
		end    time.Time
	}{
		"active":            {func(*v1alpha1.JWTRefreshKey) {}, oauth.SessionActive, "", end},
		"not one-time":      {func(k *v1alpha1.JWTRefreshKey) { k.Spec.Rotation = nil }, oauth.SessionActive, "", end},
		"revoked in spec":   {func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true }, oauth.SessionRevoked, "", end},
		"expired":           {func(k *v1alpha1.JWTRefreshKey) { k.Spec.ExpiresAt = &soon }, oauth.SessionExpired, "", soon.Time},
		"its token expired": {func(k *v1alpha1.JWTRefreshKey) { k.Status.ExpiresAt = &soon }, oauth.SessionExpired, "", soon.Time},
		"extended by an editor": {func(k *v1alpha1.JWTRefreshKey) {
			later := metav1.NewTime(end.Add(time.Hour))
			k.Spec.ExpiresAt, k.Status.ExpiresAt = &later, &later
		}, oauth.SessionActive, "", end},
		"revoked for idleness": {func(k *v1alpha1.JWTRefreshKey) {
			k.Status.RevokedAt, k.Status.RevocationReason = &soon, v1alpha1.RevokedIdleTimeout
		}, oauth.SessionRevoked, "IdleTimeout", end},
	} {
		h := newHousehold(t)
		h.Edit(replica.NameOf(h.stored(h.ids["phone"]).Name), c.change)
		all, outcome := list(t, h.Replica, h.access)
		got := all[h.ids["phone"]]
		if outcome != ok || got.Status != c.state || got.RevocationReason != c.reason || !got.ExpiresAt.Equal(c.end) || (got.RevokedAt != nil) != (c.reason != "") {
			t.Errorf("%s: %s, %+v", name, outcome, got)
		}
		if got.Audience != replica.Audience || got.Device.ID != "phone" {
			t.Errorf("%s: it is not recognised: %+v", name, got)
		}
	}
}

// TestASubjectEndsItsOwnSessions checks which sessions end, that the answer counts these alone, and that their clients
// get invalid_grant. An id of another subject's session gets the answer of an unknown id.
func TestASubjectEndsItsOwnSessions(t *testing.T) {
	const unknown = "7a6f43f5-1d2c-4a39-9f5a-7f33a3a1f0c1"
	for name, c := range map[string]struct {
		which func(h *household) *oauth.EndRequest
		want  []string
	}{
		"all":                {func(*household) *oauth.EndRequest { return &oauth.EndRequest{All: true} }, []string{"desk", "laptop", "phone"}},
		"others":             {func(*household) *oauth.EndRequest { return &oauth.EndRequest{Others: true} }, []string{"desk", "phone"}},
		"one":                {func(h *household) *oauth.EndRequest { return ids(h.ids["phone"]) }, []string{"phone"}},
		"one, named twice":   {func(h *household) *oauth.EndRequest { return ids(h.ids["phone"], h.ids["phone"]) }, []string{"phone"}},
		"the current one":    {func(h *household) *oauth.EndRequest { return ids(h.ids["laptop"]) }, []string{"laptop"}},
		"an unknown one":     {func(*household) *oauth.EndRequest { return ids(unknown) }, nil},
		"another person's":   {func(h *household) *oauth.EndRequest { return ids(h.ids["john"]) }, nil},
		"a ServiceAccount's": {func(h *household) *oauth.EndRequest { return ids(h.ids["till"]) }, nil},
		"its own beside others": {func(h *household) *oauth.EndRequest {
			return ids(h.ids["john"], unknown, h.ids["desk"], h.ids["of jane, elsewhere"], h.ids["a key of jane's that is no session"])
		}, []string{"desk"}},
		"of its name at another issuer and in another namespace": {func(h *household) *oauth.EndRequest {
			return ids(h.ids["of jane, at another issuer"], h.ids["of jane, elsewhere"])
		}, nil},
		"a name instead of an id": {func(h *household) *oauth.EndRequest { return ids(h.stored(h.ids["phone"]).Name) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHousehold(t)
			n, outcome := end(t, h.Replica, h.access, c.which(h))
			if got := h.ended(); outcome != ok || n != len(c.want) || !slices.Equal(got, c.want) {
				t.Errorf("%s, %d ended: %q, want %q", outcome, n, got, c.want)
			}
			for name, answer := range h.tokens {
				want := ok
				if slices.Contains(c.want, name) {
					want = invalidGrant
				}
				expect(t, h.Replica, answer.RefreshToken, want, name)
			}
		})
	}
}

func ids(ids ...string) *oauth.EndRequest { return &oauth.EndRequest{IDs: ids} }

// TestAnEndedSessionIsNotEndedAgain checks that a repeated request ends nothing, and changes no record.
func TestAnEndedSessionIsNotEndedAgain(t *testing.T) {
	h := newHousehold(t)
	h.Edit(replica.NameOf(h.stored(h.ids["phone"]).Name), func(k *v1alpha1.JWTRefreshKey) {
		k.Status.RevokedAt, k.Status.RevocationReason = &metav1.Time{Time: replica.Start}, v1alpha1.RevokedReuseDetected
	})
	if n, outcome := end(t, h.Replica, h.access, &oauth.EndRequest{Others: true}); outcome != ok || n != 1 {
		t.Errorf("%s, %d ended", outcome, n)
	}
	if n, outcome := end(t, h.Replica, h.access, &oauth.EndRequest{Others: true}); outcome != ok || n != 0 {
		t.Errorf("again: %s, %d ended", outcome, n)
	}
	if got := h.stored(h.ids["phone"]).Status.RevocationReason; got != v1alpha1.RevokedReuseDetected {
		t.Errorf("the reason is now %s", got)
	}
}

// TestASessionThatTheViewLacks checks that the end of all sessions ends one that began a moment before at another
// replica, and one that lost its label.
func TestASessionThatTheViewLacks(t *testing.T) {
	h := newHousehold(t)
	h.Edit(replica.NameOf(h.stored(h.ids["desk"]).Name), func(k *v1alpha1.JWTRefreshKey) { k.Labels = nil })
	h.Hold(true)
	late := h.copy(h.ids["phone"], func(*v1alpha1.JWTRefreshKey) {})
	if all, outcome := list(t, h.Replica, h.access); outcome != ok || len(all) != 3 {
		t.Errorf("the view has it: %s, %d", outcome, len(all))
	}
	if n, outcome := end(t, h.Replica, h.access, &oauth.EndRequest{Others: true}); outcome != ok || n != 3 {
		t.Errorf("%s, %d ended", outcome, n)
	}
	if got := h.stored(late).Status.RevocationReason; got != v1alpha1.RevokedLogout {
		t.Errorf("the late one is revoked for %q", got)
	}
}

// TestSessionsAtABadTime checks the answers while something is missing: a refusal is final, so it needs a live read.
func TestSessionsAtABadTime(t *testing.T) {
	for name, c := range map[string]struct {
		change    func(*household)
		list, end string
	}{
		"a view that is stale":       {func(h *household) { h.Stale(true) }, unavailable, unavailable},
		"no signing keys":            {func(h *household) { h.PutRings(replica.Name, nil) }, unavailable, unavailable},
		"an API server that is away": {func(h *household) { h.Away(true) }, ok, unavailable},
		"a view in which the login is not complete": {func(h *household) {
			name := replica.NameOf(h.stored(h.ids["laptop"]).Name)
			whole := h.Stored(name)
			h.Edit(name, func(k *v1alpha1.JWTRefreshKey) { k.Status = v1alpha1.JWTRefreshKeyStatus{} })
			h.Hold(true)
			h.Edit(name, func(k *v1alpha1.JWTRefreshKey) { k.Status = whole.Status })
		}, ok, ok},
		"the same, and no API server": {func(h *household) {
			h.Edit(replica.NameOf(h.stored(h.ids["laptop"]).Name), func(k *v1alpha1.JWTRefreshKey) { k.Status = v1alpha1.JWTRefreshKeyStatus{} })
			h.Away(true)
		}, unavailable, unavailable},
	} {
		h := newHousehold(t)
		c.change(h)
		if _, got := list(t, h.Replica, h.access); got != c.list {
			t.Errorf("%s, list: %s, want %s", name, got, c.list)
		}
		if _, got := end(t, h.Replica, h.access, ids("x")); got != c.end {
			t.Errorf("%s, end: %s, want %s", name, got, c.end)
		}
	}
}

// TestASubjectAsksTooOften checks that one subject cannot keep a replica busy, and delays no other.
func TestASubjectAsksTooOften(t *testing.T) {
	h := newHousehold(t)
	john := accessOf(t, h.Replica, h.tokens["john"].RefreshToken)
	for range 60 {
		if _, outcome := list(t, h.Replica, h.access); outcome != ok {
			t.Fatal(outcome)
		}
	}
	for _, c := range []struct{ name, access, want string }{
		{"jane", h.access, string(oauth.SlowDown)}, {"john", john, ok}, {"a refused token", h.tokens["john"].AccessToken, invalidToken},
	} {
		if _, got := list(t, h.Replica, c.access); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	forward(h.Replica, time.Second)
	if _, got := list(t, h.Replica, h.access); got != ok {
		t.Errorf("a second later: %s", got)
	}
}

// TestATokenForSessionsIsForNothingElse checks that no other request accepts an access token for sessions.
func TestATokenForSessionsIsForNothingElse(t *testing.T) {
	h := newHousehold(t)
	for _, hint := range []string{"", "access_token", oauth.HintRefreshToken} {
		if got := question(t, h.Replica, h.access, hint, nil); got != "inactive" {
			t.Errorf("at introspection with the hint %q it is %s", hint, got)
		}
	}
	if got := question(t, h.Replica, h.tokens["laptop"].AccessToken, "", nil); got != "active" {
		t.Errorf("an access token of the same session is %s", got)
	}
	expect(t, h.Replica, h.access, invalidGrant, "as a refresh token")
	if got := h.LogOut(h.access); got != string(oauth.UnsupportedTokenType) {
		t.Errorf("at a logout: %s", got)
	}
	if _, got := h.SignIn(h.access); got != string(oauth.InvalidRequest) {
		t.Errorf("at a login: %s", got)
	}
}
