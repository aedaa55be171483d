package signin

import (
	"context"
	"errors"
	"net/url"
	"sync"

	"golang.org/x/oauth2"
	"k8s.io/client-go/rest"

	"github.com/refreshkeys/refreshkeys/internal/console"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// login is one sign-in of a person. All credentials of a session share it.
type login struct {
	*OIDC
	// agent is the User-Agent of the person's browser, and host the name under which it reached the console.
	agent, host string
	nonce       string

	mu sync.Mutex
	// id is the latest id_token of the provider, and refresh its refresh token; empty for none.
	id      *proven
	refresh string
}

// first returns the first credential of a sign-in, from the answer of the provider.
func (l *login) first(ctx context.Context, id *proven, got *oauth2.Token) (*console.Credential, error) {
	switch l.Forward {
	case AccessToken:
		l.refresh = ""
		s := &session{login: l, refresh: got.RefreshToken}
		return s.credential(got), nil
	case Exchange:
		// The session at the token service is what is renewed from now on.
		l.refresh = ""
		return l.exchange(ctx)
	case IDToken, Impersonation:
	}
	return l.credential(id)
}

// credential returns what a person acts with by an id_token: the id_token itself, or its names.
func (l *login) credential(id *proven) (*console.Credential, error) {
	made := &console.Credential{Means: wire.IDToken, Until: id.until, End: l.end, Drop: l.drop}
	if l.refresh != "" {
		made.Renew = l.renew
	}
	if l.Forward == IDToken {
		made.Config = rest.AnonymousClientConfig(l.API)
		made.Config.BearerToken = id.compact
		return made, nil
	}
	as, err := l.impersonated(id.claims)
	if err != nil {
		return nil, failed(wire.NameRefused, "%w", err)
	}
	made.Means = wire.Impersonation
	made.Config = rest.CopyConfig(l.API)
	made.Config.Impersonate = as
	return made, nil
}

// renew gets the next id_token by the provider's refresh token. It must be of the same person (OpenID Connect Core §12.2).
func (l *login) renew(ctx context.Context) (*console.Credential, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refresh == "" {
		return nil, errEnded
	}
	got, err := l.provider.grant(ctx, &l.client, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {l.refresh}})
	if err != nil {
		return nil, err
	}
	// The one that was used may be used up, even if the answer has other faults.
	l.refresh = got.RefreshToken
	compact := textOf(got, "id_token")
	if compact == "" {
		return nil, errors.New("the provider gives no id_token for a refresh token")
	}
	id, err := l.verify(ctx, compact)
	if err != nil {
		return nil, err
	}
	if _, named := id.claims["nonce"]; named && id.text("nonce") != l.nonce || id.text("sub") != l.id.text("sub") {
		return nil, errors.New("the next id_token is that of another sign-in")
	}
	l.id = id
	return l.credential(id)
}

var errEnded = errors.New("the sign-in has ended")

// drop ends at the provider what the session came from. Another caller waits until that is done, and tries again after a failure.
func (l *login) drop(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refresh == "" {
		return
	}
	if err := l.provider.revoke(ctx, &l.client, l.refresh); err != nil {
		l.Log.Info("a refresh token of the provider was not revoked", "cause", err.Error())
		return
	}
	l.refresh = ""
}

// end is drop, and returns where the browser ends the person's session at the provider.
func (l *login) end(ctx context.Context) string {
	l.drop(ctx)
	return l.leave(ctx)
}
