package tokenserver

import (
	"errors"
	"net/http"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/loginpage"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/signin"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// providerPage takes the choice of a provider on the login page, and leads the browser there.
func (s *Server) providerPage(r *Request) error {
	form, browser, err := s.stepForm(r)
	if err != nil {
		return err
	}
	next, err := s.SignIn.Upstream(r.http.Context(), r.issuer, form.Get(fieldStep), browser, form.Get(fieldProvider))
	if err != nil {
		return s.askAgain(r, err)
	}
	return s.next(r, next)
}

// callback takes the answer of a provider, with which the browser comes back from another site. The query is in no log.
func (s *Server) callback(r *Request) error {
	r.Method = v1alpha1.LoginOIDC
	if err := r.withClients(); err != nil {
		return err
	}
	form, err := oauth.ParseForm([]byte(r.http.URL.RawQuery))
	if err != nil {
		return err
	}
	browser, known := r.knownBrowser()
	if !known {
		return signin.ErrStep
	}
	r.keep(browser)
	_, provider, _ := endpoint.CutCallback(r.http.URL.Path)
	next, err := s.SignIn.Callback(r.http.Context(), r.issuer, provider, form, browser, address(r.http))
	if err != nil {
		return s.askAgain(r, err)
	}
	return s.next(r, next)
}

// awayPage leads to a provider.
func (s *Server) awayPage(r *Request, away *signin.Away) error {
	page := loginpage.Away{Application: nameOf(away.Client), Provider: away.Provider.Name, To: away.URL}
	r.writer.Header().Set("Refresh", loginpage.RefreshTo(away.URL))
	s.writePage(r, http.StatusOK, page.Render(r.languages()))
	return nil
}

// askAgain shows the login page again after a failure of a provider. It never shows what the provider said.
func (s *Server) askAgain(r *Request, err error) error {
	var retry *signin.RetryError
	if !errors.As(err, &retry) {
		return err
	}
	user := retry.Ask.Request.LoginHint
	switch {
	case errors.Is(err, identity.ErrRefused):
		r.Code = oauth.AccessDenied
		return s.askPage(r, http.StatusForbidden, retry.Ask, user, loginpage.ProviderRefused)
	case errors.Is(err, identity.ErrTooMany):
		r.Code = oauth.SlowDown
		r.retryAfter(oauth.TooMany(""))
		return s.askPage(r, http.StatusTooManyRequests, retry.Ask, user, loginpage.TooManyTries)
	case errors.Is(err, upstream.ErrUnavailable):
		r.Code, r.internal = oauth.TemporarilyUnavailable, err
		r.retryAfter(oauth.Unavailable(""))
		return s.askPage(r, http.StatusServiceUnavailable, retry.Ask, user, loginpage.ProviderAway)
	default:
		return err
	}
}
