package session

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/authorize"
	"github.com/refreshkeys/refreshkeys/internal/binding"
	"github.com/refreshkeys/refreshkeys/internal/canonical"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// Redeem begins the session of an authorization code (RFC 6749 §4.1.3). The name of the session is derived from the code, so that
// its creation is the compare-and-swap that lets one redemption succeed. A redemption that finds the session without a first token
// continues it, since a replica may have died after the creation. One that finds a first token ends the session: the code was used
// twice (RFC 6749 §4.1.2). Nothing that refuses a new session, such as a limit, prevents that. The caller has checked that the client may
// redeem the code. sent has the device and the credentials of the client. refused is why the declaration of the client or the request itself
// gives no new session; nil if they do.
func (s *Service) Redeem(
	ctx context.Context, cluster Registry, issuer *registry.Issuer, code *authorize.Code, sent *Terms, refused error,
) (*Result, error) {
	ctx, cancel := context.WithTimeout(ctx, upstream.RequestTimeout)
	defer cancel()
	name := types.NamespacedName{Namespace: issuer.Login.SessionNamespace, Name: code.SessionName(issuer.UID)}
	if code.Namespace != name.Namespace {
		// The sessions of the issuer are in another namespace now, where the code cannot be recognized a second time.
		return nil, authorize.ErrCode()
	}
	l := s.loginOf(cluster, issuer, code, sent)
	client, err := l.prove(ctx, code.Request.JWKThumbprint)
	if err != nil {
		return nil, err
	}
	if err := l.endBegun(ctx, cluster.Key(name)); err != nil {
		return nil, err
	}
	checked, err := l.admit(ctx, client, refused)
	if err != nil {
		return nil, l.refuse(ctx, name, err)
	}
	for range sessionTries {
		key, err := l.claim(ctx, name, checked.terms)
		if err != nil {
			return nil, err
		}
		// A session with such a name is never deleted while its code can be redeemed: it is what shows that the code was used.
		compact, claims, err := l.start(ctx, key, checked.refresh)
		if errors.Is(err, registry.ErrLost) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &Result{Key: key, Token: compact, Claims: claims, Client: checked.client, Access: checked.access}, nil
	}
	return nil, upstream.Unavailable("the session of the code changes too often")
}

// refuse returns the refusal of a redemption, after it has ended the session of a code that is used a second time. The view can be older than the
// first redemption.
func (l *login) refuse(ctx context.Context, name types.NamespacedName, refused error) error {
	found, err := l.registry.KeyNow(ctx, name)
	if err != nil {
		return err
	}
	if err := l.endBegun(ctx, found); err != nil {
		return err
	}
	return refused
}

// admit makes the checks of a redemption that begins a session, and uses up its proof.
func (l *login) admit(ctx context.Context, client binding.Proven, refused error) (*begun, error) {
	if refused != nil {
		return nil, refused
	}
	terms, err := l.granted()
	if err != nil {
		return nil, err
	}
	if err := l.stillThere(ctx); err != nil {
		return nil, err
	}
	if err := l.checkLimits(); err != nil {
		return nil, err
	}
	return l.ready(terms, client)
}

// stillThere checks that the provider or the user of a sign-in has not been removed since.
func (l *login) stillThere(ctx context.Context) error {
	who := l.signedIn
	return l.Remains(ctx, l.registry, l.issuer, &v1alpha1.JWTRefreshKey{
		Status: v1alpha1.JWTRefreshKeyStatus{Session: &v1alpha1.SessionStatus{Subject: who.Subject, Method: who.method, Provider: who.provider}},
	})
}

// Grants returns the refusal of a sign-in whose code could not be redeemed, by the policy of the issuer.
func (s *Service) Grants(cluster Registry, issuer *registry.Issuer, code *authorize.Code) error {
	_, err := s.loginOf(cluster, issuer, code, &Terms{}).granted()
	return err
}

// loginOf returns the login of a person who has signed in for a code. Only the device and the credentials of sent count: the code says what the
// session is for.
func (s *Service) loginOf(cluster Registry, issuer *registry.Issuer, code *authorize.Code, sent *Terms) *login {
	request := &Terms{
		Audiences: []string{code.Request.Audience}, Scope: strings.Join(code.Request.Scopes, " "), Seen: sent.Seen, Credentials: sent.Credentials,
	}
	return &login{Service: s, registry: cluster, issuer: issuer, signedIn: personOf(code), request: request, client: code.Request.Client}
}

// Proven returns the person of a login, as a code holds them.
func (s *SignedIn) Proven(at time.Time) authorize.SignedIn {
	return authorize.SignedIn{Subject: s.Subject, Method: s.method, Provider: s.provider, Claims: s.claims, At: at.UTC().Truncate(time.Second)}
}

func personOf(code *authorize.Code) *SignedIn {
	return &SignedIn{
		Subject: code.SignedIn.Subject, method: code.SignedIn.Method, namespace: code.Namespace, provider: code.SignedIn.Provider, claims: code.SignedIn.Claims,
	}
}

// claim returns the session of a code, which has no token yet: a new one, or one that another redemption created.
func (l *login) claim(ctx context.Context, name types.NamespacedName, terms *sessionTerms) (*v1alpha1.JWTRefreshKey, error) {
	key := l.sessionKey(terms, name.Name)
	err := l.registry.CreateSession(ctx, key)
	if errors.Is(err, registry.ErrLost) {
		key, err = l.resume(ctx, name, key)
	}
	if err != nil {
		return nil, err
	}
	return key, l.makeRoom(ctx, key)
}

// resume returns the session that another redemption of the code created and did not finish. If it finished, the session ends.
func (l *login) resume(ctx context.Context, name types.NamespacedName, wanted *v1alpha1.JWTRefreshKey) (*v1alpha1.JWTRefreshKey, error) {
	found, err := l.registry.KeyNow(ctx, name)
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return nil, upstream.Unavailable("the session of the code was deleted")
	case notBegun(found) && sameSession(found, wanted):
		resumed := found.DeepCopy()
		// The registry keeps no labels.
		resumed.Labels = wanted.Labels
		return resumed, nil
	}
	return nil, l.endUsed(ctx, found)
}

// notBegun reports whether the session of a code has no token yet.
func notBegun(key *v1alpha1.JWTRefreshKey) bool {
	return key.Status.Session == nil && key.Status.Revision == 0
}

// endBegun ends the session of a code that is used a second time, if it has begun; nil is a session that does not exist.
func (l *login) endBegun(ctx context.Context, found *v1alpha1.JWTRefreshKey) error {
	if found == nil || notBegun(found) {
		return nil
	}
	return l.endUsed(ctx, found)
}

// endUsed ends the session of a code that is used a second time.
func (l *login) endUsed(ctx context.Context, found *v1alpha1.JWTRefreshKey) error {
	if found.Status.RevokedAt != nil {
		return authorize.ErrCode()
	}
	name := types.NamespacedName{Namespace: found.Namespace, Name: found.Name}
	err := l.registry.Revoke(ctx, name, v1alpha1.RevokedReuseDetected, func(key *v1alpha1.JWTRefreshKey) bool {
		return key.UID == found.UID && key.Status.Session != nil && key.Status.RevokedAt == nil
	})
	if err != nil {
		return err
	}
	return authorize.ErrCode()
}

// sameSession reports whether a session without a token is what the code asks for. Users with the right to create refresh keys
// could have taken its name. The end differs by the time between two redemptions.
func sameSession(found, wanted *v1alpha1.JWTRefreshKey) bool {
	spec, want := found.Spec.DeepCopy(), wanted.Spec.DeepCopy()
	spec.ExpiresAt, want.ExpiresAt, spec.Lifetime, want.Lifetime, spec.DeviceInfo, want.DeviceInfo = nil, nil, nil, nil, nil, nil
	// The API server writes a claim with escapes of its own.
	claims := sameClaims(spec.Claims, want.Claims)
	spec.Claims, want.Claims = nil, nil
	ends := found.Spec.ExpiresAt != nil && !found.Spec.ExpiresAt.After(wanted.Spec.ExpiresAt.Time)
	return ends && claims && equality.Semantic.DeepEqual(spec, want)
}

func sameClaims(a, b map[string]apiextensionsv1.JSON) bool {
	return maps.EqualFunc(a, b, func(x, y apiextensionsv1.JSON) bool {
		one, err := canonical.JSON(x.Raw)
		other, otherErr := canonical.JSON(y.Raw)
		return err == nil && otherErr == nil && bytes.Equal(one, other)
	})
}

// redeemable reports whether the code of a session may still be presented. Until then the session shows that the code was used, and
// must not be deleted. It was created after its code.
func redeemable(key *v1alpha1.JWTRefreshKey, now time.Time) bool {
	life := authorize.PresentedFor(key.Name)
	return life > 0 && now.Before(key.CreationTimestamp.Add(life+afterCode))
}

// afterCode is added to the life of a code for clocks that differ.
const afterCode = 2 * time.Minute

// mostRedeemable is how many sessions of a subject may be redeemable at once, besides the one that begins. They do not count for the limit of
// sessions, since none of them may be deleted to make room.
const mostRedeemable = 10

// withoutRedeemable removes the sessions that must not be deleted yet. It returns slow_down if there are too many.
func withoutRedeemable(sessions []v1alpha1.JWTRefreshKey, begun types.UID, now time.Time) ([]v1alpha1.JWTRefreshKey, error) {
	all := len(sessions)
	sessions = slices.DeleteFunc(sessions, func(one v1alpha1.JWTRefreshKey) bool { return one.UID != begun && redeemable(&one, now) })
	if all-len(sessions) > mostRedeemable {
		return nil, oauth.TooMany("This subject has signed in too often in the last minutes.")
	}
	return sessions, nil
}
