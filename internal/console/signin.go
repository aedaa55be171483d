package console

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/internal/identity"
)

// login answers POST api/login.
func (s *Server) login(ctx context.Context, w http.ResponseWriter, r *http.Request) (any, error) {
	if err := s.tries.take(r); err != nil {
		return nil, err
	}
	var asked wire.Login
	if err := decode(r, &asked); err != nil {
		return nil, err
	}
	credential, err := s.proven(&asked)
	if err != nil {
		return nil, err
	}
	one, err := s.signIn(ctx, w, r, credential)
	if err != nil {
		return nil, s.explained(err, credential)
	}
	return s.meOf(r, one), nil
}

// proven returns the credential of a request to sign in: that of the kubeconfig for the one-time code, or the token.
func (s *Server) proven(asked *wire.Login) (*Credential, error) {
	if s.local != nil {
		if asked.Token != "" || !s.local.redeem(asked.Code) {
			return nil, fail(http.StatusUnauthorized, metav1.StatusReasonUnauthorized,
				"the code was used before, or it has expired; run kubectl refreshkey console again, and open the URL that it prints")
		}
		return &Credential{Config: s.API, Means: wire.Kubeconfig}, nil
	}
	token := strings.TrimSpace(asked.Token)
	if asked.Code != "" || !identity.WellFormed(token) {
		return nil, fail(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "this is not a bearer token")
	}
	// The console's own credential stays behind: without a credential the configuration only says where the API server is.
	config := rest.AnonymousClientConfig(s.API)
	config.BearerToken = token
	return &Credential{Config: config, Means: wire.Token, Until: expiry(token)}, nil
}

// expiry returns the end of a token that is a JWT; zero for another. The API server verifies the token, so that nothing here needs to.
func expiry(token string) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Expires float64 `json:"exp"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Expires <= 0 || claims.Expires > maxNumericDate {
		return time.Time{}
	}
	return time.Unix(int64(claims.Expires), 0)
}

// maxNumericDate is the last second of the year 9999.
const maxNumericDate = 253402300799

// explained says why the API server refused a credential.
func (s *Server) explained(err error, c *Credential) error {
	if !apierrors.IsUnauthorized(err) {
		return err
	}
	switch end := c.Until; {
	case c.Means == wire.Kubeconfig:
		return fail(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "the API server refuses the credential of the kubeconfig")
	case !end.IsZero() && !s.clock.Now().Before(end):
		return fail(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "the token expired at %s", rfc3339(end))
	default:
		return fail(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "the API server refuses the token: it is not one of this cluster, was revoked, or is for another audience")
	}
}

// signIn begins a session, in the place of the one that the browser had.
func (s *Server) signIn(ctx context.Context, w http.ResponseWriter, r *http.Request, c *Credential) (*session, error) {
	p, err := s.identify(ctx, c)
	if err != nil {
		return nil, err
	}
	if before := s.sessions.find(s.cookie.read(r), false); before != nil {
		s.sessions.end(before)
	}
	one, id, err := s.sessions.begin(p) //nolint:contextcheck // a session outlives the request that began it
	if err != nil {
		return nil, err
	}
	visitOf(r).user = p.user
	s.cookie.set(w, id)
	return one, nil
}

// logout answers POST api/logout, also without a session.
func (s *Server) logout(ctx context.Context, w http.ResponseWriter, r *http.Request) (any, error) {
	s.cookie.clear(w)
	one := s.sessions.find(s.cookie.read(r), false)
	if one == nil {
		return wire.LoggedOut{}, nil
	}
	p := s.sessions.personOf(one)
	visitOf(r).user = p.user
	s.sessions.end(one)
	if p.credential.End == nil {
		return wire.LoggedOut{}, nil
	}
	// The browser need not wait for it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	return wire.LoggedOut{Location: p.credential.End(ctx)}, nil
}

// me answers GET api/me, also without a session.
func (s *Server) me(ctx context.Context, _ http.ResponseWriter, r *http.Request) (any, error) {
	one, _, err := s.sessionOf(ctx, r, byPerson(r))
	var refused *failed
	if errors.As(err, &refused) && refused.Code == http.StatusUnauthorized {
		return s.meOf(r, nil), nil
	}
	if err != nil {
		return nil, err
	}
	return s.meOf(r, one), nil
}

// meOf describes a session; nil for none.
func (s *Server) meOf(r *http.Request, one *session) wire.Me {
	me := wire.Me{Version: s.Version, DocsURL: s.DocsURL, SharedStream: r.ProtoMajor < 2, Ways: wire.Ways{Local: s.local != nil, Token: s.local == nil}}
	if s.SignIn != nil {
		me.Ways.Provider = s.SignIn.Provider()
	}
	if one == nil {
		return me
	}
	p := s.sessions.personOf(one)
	me.SignedIn, me.User, me.Groups, me.Means = true, p.user, p.groups, p.means
	me.Until, me.IdleSeconds = rfc3339(s.sessions.until(one)), int64(s.SessionIdle/time.Second)
	me.Namespace = s.Namespace
	me.Reveal = s.Reveal && p.means != wire.Impersonation
	me.OwnSessions = p.credential.OwnSessions != nil
	return me
}

func rfc3339(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// providerRoutes are those of Options.SignIn.
func (s *Server) providerRoutes() {
	s.handle("GET /auth/login", func(w http.ResponseWriter, r *http.Request) {
		if err := s.tries.take(r); err != nil {
			// A browser that goes there shows what it gets.
			s.signInAgain(w, r, err, r.URL.Query().Get("return"))
			return
		}
		var session string
		if before := s.sessions.find(s.cookie.read(r), false); before != nil {
			session = before.key.name()
		}
		s.SignIn.Login(w, r, session)
	})
	s.handle("GET /auth/callback", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		arrived, err := s.SignIn.Callback(w, r.WithContext(ctx))
		if err == nil {
			if _, err = s.signIn(ctx, w, r, arrived.Credential); err != nil {
				dropped(context.WithoutCancel(ctx), arrived.Credential)
			}
		}
		if err != nil {
			s.signInAgain(w, r, err, arrived.Path)
			return
		}
		s.sessions.endNamed(arrived.Session)
		http.Redirect(w, r, s.base+s.pageOf(arrived.Path), http.StatusSeeOther)
	})
	s.handle("GET /auth/logout", s.SignIn.Logout)
}

// signInAgain sends the browser to the page where a person can sign in again after an error, and go on to the page that the person asked for.
func (s *Server) signInAgain(w http.ResponseWriter, r *http.Request, err error, asked string) {
	s.log.Info("sign-in failed", "cause", cause(err).Error())
	http.Redirect(w, r, s.base+SignInPage(failureOf(err).Reason, "/"+s.pageOf(asked)), http.StatusSeeOther)
}

// SignInPage returns the page, without its leading slash, where a person can sign in again after a failure, and go on to the page that
// the person asked for.
func SignInPage(reason, asked string) string {
	query := url.Values{"failed": {reason}}
	if asked != "/" {
		query.Set("return", asked)
	}
	return "signin?" + query.Encode()
}

// pageOf returns the page, without its leading slash, that a person asked for before the sign-in: one of this console, and else
// its first one.
func (s *Server) pageOf(asked string) string {
	target, err := url.Parse(asked)
	if err != nil || target.IsAbs() || target.Host != "" || target.RawPath != "" || !strings.HasPrefix(asked, "/") || !isClean(target.Path) || strings.ContainsAny(asked, "\\\r\n\t") {
		return ""
	}
	probe := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: target.Path}}
	if _, pattern := s.pages.Handler(probe); pattern == "" || strings.HasPrefix(asked, "//") {
		return ""
	}
	return strings.TrimPrefix(asked, "/")
}
