package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/authorize"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// ErrAccountGone means that the ServiceAccount of a session was deleted. That is final, also if another one has its
// name now.
var ErrAccountGone = errors.New("the ServiceAccount of the session does not exist any more")

// ProvenSubject returns the subject that signed in; empty for a refresh key without a login. The presented token
// must have the same subject, since only a login or its successors were signed for it.
func ProvenSubject(issuer *registry.Issuer, key *v1alpha1.JWTRefreshKey, presented *token.Claims) string {
	if proven := lifecycle.ProvenSubject(key, issuer.Login.SessionNamespace); proven == presented.Subject {
		return proven
	}
	return ""
}

// Authorise checks a session against its login; a refresh key that is no session passes. Users with the right to edit
// refresh keys can neither change its subject, nor its one-time use, nor extend it beyond the issuer's
// sessionLifetime. Undoing the change lifts the refusal. presented are the claims of the presented token, and subject
// is that of the token to authorise.
func Authorise(issuer *registry.Issuer, key *v1alpha1.JWTRefreshKey, presented *token.Claims, subject string, now time.Time) error {
	session := key.Status.Session
	switch {
	case session == nil:
		return nil
	case subject != session.Subject || ProvenSubject(issuer, key, presented) == "":
		return oauth.Refuse(oauth.UnauthorizedClient, "The session belongs to another subject.")
	case session.Client != "" && authorize.Find(issuer.Login.Clients, session.Client) == nil:
		return oauth.Refuse(oauth.UnauthorizedClient, "The session belongs to a client that the issuer does not declare any more.")
	case !lifecycle.OneTime(key):
		return oauth.Refuse(oauth.UnauthorizedClient, "The session's rotation mode is no longer OneTimeUse.")
	case !now.Before(session.StartedAt.Add(issuer.Login.SessionLifetime)):
		return oauth.Refuse(oauth.UnauthorizedClient, "The session has reached the issuer's sessionLifetime; sign in again.")
	default:
		return nil
	}
}

// Remains checks that the ServiceAccount, provider or user of a login still exists; a refresh key that is no session
// passes. It returns ErrAccountGone for a refusal that is final.
func (s *Service) Remains(ctx context.Context, cluster Registry, issuer *registry.Issuer, key *v1alpha1.JWTRefreshKey) error {
	session := key.Status.Session
	if session == nil {
		return nil
	}
	switch session.Method {
	case v1alpha1.LoginServiceAccount:
		return accountRemains(ctx, cluster, key)
	case v1alpha1.LoginOIDC:
		if slices.ContainsFunc(issuer.Login.Providers, func(p v1alpha1.OIDCProvider) bool { return p.IssuerURL == session.Provider }) {
			return nil
		}
	case v1alpha1.LoginPassword:
		if issuer.Login.Passwords == "" {
			break
		}
		known, err := s.Passwords.Known(ctx, issuer.Login.Passwords, session.Subject)
		if err != nil || known {
			return err
		}
	}
	return oauth.Refuse(oauth.UnauthorizedClient, "The issuer does not accept this subject's login now.")
}

// accountRemains checks that the ServiceAccount of a session still exists. One that was created again under the
// same name is another one.
func accountRemains(ctx context.Context, cluster Registry, key *v1alpha1.JWTRefreshKey) error {
	session := key.Status.Session
	account := identity.ServiceAccount{Namespace: key.Namespace}
	name := strings.TrimPrefix(session.Subject, account.Username())
	uid, err := cluster.ServiceAccountUID(ctx, types.NamespacedName{Namespace: key.Namespace, Name: name})
	if err != nil {
		return err
	}
	if uid == "" || uid != session.UID {
		return ErrAccountGone
	}
	return nil
}
