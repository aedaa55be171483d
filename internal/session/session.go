package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/binding"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/line"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/policy"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

const (
	// sessionTries is the maximum number of attempts of a step that conflicts with other writers.
	sessionTries = 5
	// discardTimeout is how long a failed login may take to remove its session.
	discardTimeout = 5 * time.Second
)

// Result is the result of a login: a session with its first tokens.
type Result struct {
	Key *v1alpha1.JWTRefreshKey
	// Token is the first refresh token of the session, and Claims are its claims.
	Token  string
	Claims *token.Claims
	// Client is what the client proved at the login.
	Client binding.Proven
	// Access signs the first access token.
	Access *keyring.Key
}

// login is the state of one login.
type login struct {
	*Service
	registry Registry
	issuer   *registry.Issuer
	signedIn *SignedIn
	request  *Terms
	// client is the client that the person signs in to; empty for a login without one.
	client string
}

// begun is what a login has checked before it writes.
type begun struct {
	terms           *sessionTerms
	client          binding.Proven
	refresh, access *keyring.Key
}

// Begin creates the session of an authenticated subject: a one-time key without a Secret. Everything is checked
// before the object is created. If its first token cannot be recorded, the object is removed again.
func (s *Service) Begin(ctx context.Context, cluster Registry, issuer *registry.Issuer, signedIn *SignedIn, request Login) (*Result, error) {
	ctx, cancel := context.WithTimeout(ctx, upstream.RequestTimeout)
	defer cancel()
	l := &login{Service: s, registry: cluster, issuer: issuer, signedIn: signedIn, request: request.terms()}
	checked, err := l.check(ctx)
	if err != nil {
		return nil, err
	}
	key, err := l.create(ctx, checked.terms)
	if err != nil {
		return nil, err
	}
	compact, claims, err := l.start(ctx, key, checked.refresh)
	if err != nil {
		l.discard(ctx, key)
		return nil, err
	}
	return &Result{Key: key, Token: compact, Claims: claims, Client: checked.client, Access: checked.access}, nil
}

// check makes all checks of a login, and uses up its proof.
func (l *login) check(ctx context.Context) (*begun, error) {
	terms, err := l.granted()
	if err != nil {
		return nil, err
	}
	client, err := l.prove(ctx, "")
	if err != nil {
		return nil, err
	}
	if err := l.checkLimits(); err != nil {
		return nil, err
	}
	return l.ready(terms, client)
}

// prove returns what the client proves. If a key is required, the client must prove it.
func (l *login) prove(ctx context.Context, required string) (binding.Proven, error) {
	client, err := l.Clients.Prove(ctx, l.issuer, &l.request.Credentials)
	if err != nil {
		return client, err
	}
	return client, client.Proven.Satisfies(required)
}

// ready makes the last checks before a login writes: there are keys to sign with, and the proof is not used up.
func (l *login) ready(terms *sessionTerms, client binding.Proven) (*begun, error) {
	b := &begun{terms: terms, client: client}
	terms.thumbprint = client.Thumbprint
	var err error
	if b.refresh, err = l.issuer.Rings.Signer(keyring.Refresh); err != nil {
		return nil, upstream.Unavailable("the issuer has no active refresh signing key")
	}
	if b.access, err = l.issuer.Rings.Signer(keyring.Access); err != nil {
		return nil, upstream.Unavailable("the issuer has no active access signing key")
	}
	return b, l.Clients.Consume(&b.client.Proven)
}

// sessionTerms are the terms of a session that the policy grants.
type sessionTerms struct {
	audience string
	scopes   []string
	lifetime time.Duration
	// seen is the device that signs in.
	seen v1alpha1.SeenDevice
	// thumbprint is the JWK thumbprint of the client key that the session is bound to; empty for none.
	thumbprint string
}

// granted returns the terms that the policy grants, or the error for what it does not grant (RFC 8693 §2.2.2, RFC
// 6749 §5.2).
func (l *login) granted() (*sessionTerms, error) {
	issuer, signedIn, request := l.issuer, l.signedIn, l.request
	audience, err := request.audience()
	if err != nil {
		return nil, err
	}
	if !v1alpha1.ValidAudience(audience) {
		return nil, oauth.Refuse(oauth.InvalidTarget, "The audience is not valid.")
	}
	scopes, err := scopesOf(request.Scope)
	if err != nil {
		return nil, err
	}
	// A provider must not name a person like a refresh key or like a user of the cluster.
	if !v1alpha1.ValidSubject(signedIn.Subject) || (signedIn.account == nil && policy.Reserved(signedIn.Subject)) {
		return nil, oauth.Refuse(oauth.InvalidRequest, "This subject cannot have a session.")
	}
	if err := v1alpha1.ValidateClaims(signedIn.claims); err != nil {
		return nil, oauth.Refuse(oauth.InvalidRequest, "The subject's claims are not valid in a token.")
	}
	labels, known := l.registry.NamespaceLabels(signedIn.namespace)
	if !known || issuer.Rings == nil {
		return nil, upstream.Unavailable("the namespace of the session or the signing keys are not known")
	}
	if issuer.Policy == nil {
		return nil, oauth.Refuse(oauth.UnauthorizedClient, "The issuer's policy does not grant this now.")
	}
	whole := policy.ForToken(policy.Request{
		Namespace: signedIn.namespace, NamespaceLabels: labels, ProvenSubject: signedIn.Subject, AccessLifetime: issuer.AccessLifetime,
	}, signedIn.Subject, audience, strings.Join(scopes, " "), signedIn.claims)
	// Each part that is not granted has an error of its own, so the parts are asked for in steps.
	bare, scoped := whole, whole
	bare.Scopes, bare.Claims, scoped.Claims = nil, nil, nil
	if issuer.Policy.Longest(bare) == 0 {
		return nil, oauth.Refuse(oauth.InvalidTarget, "The issuer's policy does not grant this subject tokens for the audience.")
	}
	if issuer.Policy.Longest(scoped) == 0 {
		return nil, oauth.Refuse(oauth.InvalidScope, "The issuer's policy does not grant this subject all of the scopes.")
	}
	longest := issuer.Policy.Longest(whole)
	if longest == 0 {
		return nil, oauth.Refuse(oauth.UnauthorizedClient, "The issuer's policy does not grant the claims of the subject.")
	}
	return &sessionTerms{audience: audience, scopes: scopes, lifetime: min(issuer.Login.SessionLifetime, longest), seen: request.Seen}, nil
}

func scopesOf(asked string) ([]string, error) {
	if asked == "" {
		return nil, nil
	}
	var scopes []string
	for _, scope := range strings.Split(asked, " ") {
		if !v1alpha1.ValidScope(scope) {
			return nil, oauth.Refuse(oauth.InvalidScope, "A scope is malformed; separate scopes by one space, without double quotes and backslashes.")
		}
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	if len(scopes) > v1alpha1.MaxScopes {
		return nil, oauth.Refuse(oauth.InvalidScope, "There are too many scopes.")
	}
	return scopes, nil
}

// create creates the refresh key of the session, and ends other sessions of the subject above the limit.
func (l *login) create(ctx context.Context, terms *sessionTerms) (*v1alpha1.JWTRefreshKey, error) {
	for range sessionTries {
		key := l.sessionKey(terms, l.sessionName())
		err := l.registry.CreateSession(ctx, key)
		if errors.Is(err, registry.ErrLost) {
			// The name is taken.
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := l.makeRoom(ctx, key); err != nil {
			l.discard(ctx, key)
			return nil, err
		}
		return key, nil
	}
	return nil, upstream.Unavailable("every generated session name is taken")
}

func (l *login) sessionKey(terms *sessionTerms, name string) *v1alpha1.JWTRefreshKey {
	issuer, signedIn := l.issuer, l.signedIn
	end := metav1.NewTime(l.Clock.Now().UTC().Truncate(time.Second).Add(terms.lifetime))
	key := &v1alpha1.JWTRefreshKey{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: signedIn.namespace, Name: name,
			Labels: map[string]string{
				v1alpha1.LabelSession:   string(signedIn.method),
				v1alpha1.LabelSessionOf: sessionOf(issuer.Name, signedIn.Subject),
			},
		},
		Spec: v1alpha1.JWTRefreshKeySpec{
			IssuerRef: &v1alpha1.IssuerReference{Name: issuer.Name},
			Audience:  terms.audience, Subject: signedIn.Subject, Scopes: terms.scopes, Claims: signedIn.claims,
			Lifetime: &metav1.Duration{Duration: terms.lifetime}, ExpiresAt: &end, IdleTimeout: issuer.Login.SessionIdleTimeout,
			Rotation: &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse, RetryGrace: issuer.Login.SessionRetryGrace},
			Secret:   &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone},
		},
	}
	if seen := terms.seen; seen.ID != "" || seen.OS != "" || seen.Browser != "" {
		key.Spec.DeviceInfo = &v1alpha1.DeviceInfo{ID: seen.ID, OS: seen.OS, Browser: seen.Browser}
	}
	if terms.thumbprint != "" {
		key.Spec.Binding = &v1alpha1.BindingSpec{JWKThumbprint: terms.thumbprint}
	}
	if signedIn.account != nil {
		// The session is deleted with its ServiceAccount.
		key.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: corev1.SchemeGroupVersion.String(), Kind: "ServiceAccount", Name: signedIn.account.Name, UID: types.UID(signedIn.account.UID),
		}}
	}
	return key
}

// sessionName returns a name with the last characters of an identifier, which are the most random ones.
func (l *login) sessionName() string {
	id := l.NewID()
	return "session-" + id[max(0, len(id)-12):]
}

// sessionOf returns the value of LabelSessionOf.
func sessionOf(issuer, subject string) string {
	sum := sha256.Sum256([]byte(issuer + "\x00" + subject))
	return hex.EncodeToString(sum[:16])
}

// start records the first token of a session, and returns the token with its claims.
func (l *login) start(ctx context.Context, key *v1alpha1.JWTRefreshKey, signer *keyring.Key) (string, *token.Claims, error) {
	signedIn := l.signedIn
	now := l.Clock.Now().UTC().Truncate(time.Second)
	mint, err := lifecycle.Successor(key, l.issuer.URL, now)
	if err != nil {
		return "", nil, err
	}
	compact, made, err := line.Mint(key, &mint, l.NewID(), signer)
	if err != nil {
		return "", nil, err
	}
	key.Status.TokenLine = made.Line(nil)
	key.Status.DeviceInfo = &l.request.Seen
	key.Status.Session = &v1alpha1.SessionStatus{Subject: signedIn.Subject, Method: signedIn.method, Provider: signedIn.provider, Client: l.client, StartedAt: metav1.NewTime(now)}
	if signedIn.account != nil {
		key.Status.Session.UID = signedIn.account.UID
	}
	if err := l.registry.BeginSession(ctx, key); err != nil {
		return "", nil, err
	}
	claims, err := line.Recorded(key)
	return compact, claims, err
}

// discard removes the session of a failed login, if possible. Otherwise no client holds a token of it, and
// the controller removes it.
func (l *login) discard(ctx context.Context, key *v1alpha1.JWTRefreshKey) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTimeout)
	defer cancel()
	remains := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: key.UID}}
	_ = l.registry.EndSession(ctx, remains)
}
