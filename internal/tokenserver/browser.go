package tokenserver

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/authorize"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/loginpage"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/session"
	"github.com/refreshkeys/refreshkeys/internal/signin"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// The fields of the pages' forms.
const (
	fieldStep     = "step"
	fieldAnswer   = "answer"
	fieldProvider = "provider"
	allow         = "allow"
)

// authorize is the authorization endpoint (RFC 6749 §3.1). A request by POST becomes one by GET: a form of another site comes without
// the cookie of the browser, and must not replace it.
func (s *Server) authorize(r *Request) error {
	if err := r.withClients(); err != nil {
		return err
	}
	if here, known := endpoint.Of(r.issuer.URL); known && here != endpoint.At(r.place.Host, r.place.Path) {
		// The page has one origin, which is that of the issuer's url.
		return s.redirect(r, endpoint.AuthorizeURL(r.issuer.URL)+"?"+r.http.URL.RawQuery)
	}
	if r.http.Method == http.MethodPost {
		form, err := s.form(r)
		if err != nil {
			return err
		}
		return s.redirect(r, endpoint.AuthorizeURL(r.issuer.URL)+"?"+form.Encode())
	}
	form, err := oauth.ParseForm([]byte(r.http.URL.RawQuery))
	if err != nil {
		return err
	}
	browser := s.browser(r)
	ask, err := s.SignIn.Begin(r.http.Context(), r.issuer, form, browser)
	var refusal *authorize.RefusedError
	if errors.As(err, &refusal) {
		r.Code = refusal.Reason.Code
		return s.redirect(r, refusal.RedirectRefused(r.issuer.URL))
	}
	if err != nil {
		return err
	}
	return s.askPage(r, http.StatusOK, ask, ask.Request.LoginHint, "")
}

// pushed takes a request that an application pushes (RFC 9126).
func (s *Server) pushed(r *Request) error {
	form, err := s.clientForm(r)
	if err != nil {
		return err
	}
	if err := r.withClients(); err != nil {
		return err
	}
	form[oauth.ParamClientID] = []string{clientID(r.http, form)}
	proven, err := s.Grants.ProvePushed(r.issuer, endpoint.PushedURL(r.issuer.URL), r.http.Header[proofHeader])
	if err != nil {
		return err
	}
	uri, err := s.SignIn.Push(r.issuer, form, proven)
	var unknown *authorize.PageError
	var refusal *authorize.RefusedError
	switch {
	case errors.As(err, &unknown):
		return oauth.Refuse(oauth.InvalidRequest, unknown.Description)
	case errors.As(err, &refusal):
		return refusal.Reason
	case err != nil:
		return err
	}
	s.write(r, http.StatusCreated, oauth.PushedAnswer{RequestURI: uri, ExpiresIn: int64(signin.PushedLife / time.Second)})
	return nil
}

// withClients chooses the issuer of a sign-in, which must have clients. Only its url has pages, so that there is one origin.
func (r *Request) withClients() error {
	if err := r.published(); err != nil {
		return err
	}
	if len(r.issuer.Login.Clients) == 0 {
		return errNotFound
	}
	return nil
}

// passwordPage takes the form of the login page.
func (s *Server) passwordPage(r *Request) error {
	r.Method = v1alpha1.LoginPassword
	form, browser, err := s.stepForm(r)
	if err != nil {
		return err
	}
	step, user := form.Get(fieldStep), form.Get(oauth.ParamUsername)
	next, err := s.SignIn.Password(r.http.Context(), r.issuer, step, browser, &session.PasswordLogin{
		Username: user, Password: form.Get(oauth.ParamPassword), Address: address(r.http),
	})
	var refused *oauth.Error
	if errors.As(err, &refused) && refused.Code != oauth.TemporarilyUnavailable {
		complete := user != "" && form.Get(oauth.ParamPassword) != ""
		return s.passwordRefused(r, step, user, browser, refused, complete)
	}
	if err != nil {
		return err
	}
	return s.next(r, next)
}

// passwordRefused shows the login page again. It never says whether the user name or the password was wrong. complete says whether there were
// both.
func (s *Server) passwordRefused(r *Request, step, user string, browser signin.Browser, refused *oauth.Error, complete bool) error {
	ask, err := s.SignIn.Again(r.http.Context(), r.issuer, step, browser)
	if err != nil {
		return err
	}
	r.Code = refused.Code
	switch refused.Code {
	case oauth.SlowDown:
		r.retryAfter(refused)
		return s.askPage(r, http.StatusTooManyRequests, ask, user, loginpage.TooManyTries)
	case oauth.UnsupportedGrantType:
		// Passwords were turned off while the page was open.
		return signin.ErrStep
	default:
		failure := loginpage.WrongPassword
		if !complete {
			failure = loginpage.MissingEntry
		}
		return s.askPage(r, http.StatusUnprocessableEntity, ask, user, failure)
	}
}

// consentPage takes the form of the page of consent.
func (s *Server) consentPage(r *Request) error {
	form, browser, err := s.stepForm(r)
	if err != nil {
		return err
	}
	next, err := s.SignIn.Decide(r.http.Context(), r.issuer, form.Get(fieldStep), browser, form.Get(fieldAnswer) == allow)
	if err != nil {
		return err
	}
	return s.next(r, next)
}

// errOtherSite means that the form of a page was sent by another site.
var errOtherSite = errors.New("the form was sent by another site")

// ownForms refuses forms of other sites (Sec-Fetch-Site, Origin).
var ownForms = http.NewCrossOriginProtection()

// stepForm returns the form of a page, which the same browser sends.
func (s *Server) stepForm(r *Request) (oauth.Form, signin.Browser, error) {
	if err := r.withClients(); err != nil {
		return nil, "", err
	}
	if err := ownForms.Check(r.http); err != nil {
		return nil, "", errOtherSite
	}
	form, err := s.form(r)
	if err != nil {
		return nil, "", err
	}
	browser, known := r.knownBrowser()
	if !known {
		return nil, "", signin.ErrStep
	}
	// The next page has its own time.
	r.keep(browser)
	return form, browser, nil
}

// browserCookie returns the name of the cookie with the key of a browser. A browser sends it to no other host, and no sibling domain can
// plant it. Its path is /, so the name tells the issuers of a host apart.
func (r *Request) browserCookie() string {
	sum := sha256.Sum256([]byte(r.issuer.URL))
	return "__Host-rk-" + hex.EncodeToString(sum[:4])
}

func (r *Request) knownBrowser() (signin.Browser, bool) {
	cookies := r.http.CookiesNamed(r.browserCookie())
	if len(cookies) != 1 {
		return "", false
	}
	return signin.ReadBrowser(cookies[0].Value)
}

// browser returns the key of the browser, a new one if it has none.
func (s *Server) browser(r *Request) signin.Browser {
	browser, known := r.knownBrowser()
	if !known {
		browser = signin.NewBrowser()
	}
	r.keep(browser)
	return browser
}

// keep lets the browser keep its key for one more step. The cookie is Lax, since a provider sends the browser back from another site.
func (r *Request) keep(browser signin.Browser) {
	http.SetCookie(r.writer, &http.Cookie{
		Name: r.browserCookie(), Value: string(browser), Path: "/", MaxAge: int(signin.StepLife / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// by records for the logs who has signed in, and how; a zero person is none.
func (r *Request) by(person *authorize.SignedIn) {
	if v1alpha1.ValidSubject(person.Subject) {
		r.Outcome.Subject = person.Subject
	}
	if person.Method != "" {
		r.Method = person.Method
	}
}

func (s *Server) next(r *Request, next *signin.Next) error {
	r.Code = next.Refused
	r.by(&next.Person)
	switch {
	case next.Away != nil:
		return s.awayPage(r, next.Away)
	case next.Entry != nil:
		s.entryPage(r, http.StatusOK, next.Entry, "")
		return nil
	case next.Consent == nil:
		return s.redirect(r, next.Redirect)
	}
	shown := next.Consent
	page := loginpage.Consent{
		Application: nameOf(shown.Client), Action: endpoint.ConsentURL(r.issuer.URL), Step: shown.Step, Subject: shown.Subject,
		Audience: shown.Request.Audience, Scopes: shown.Request.Scopes,
	}
	s.writePage(r, http.StatusOK, page.Render(r.languages()), shown.Request.Target())
	return nil
}

func (s *Server) askPage(r *Request, status int, ask *signin.Ask, user string, failure loginpage.Failure) error {
	page := loginpage.Login{Application: nameOf(ask.Client), Step: ask.Step, User: user, Failure: failure}
	if ask.Passwords {
		page.Action = endpoint.PasswordURL(r.issuer.URL)
	}
	page.Choose = endpoint.ProviderURL(r.issuer.URL)
	for _, one := range ask.Providers {
		page.Providers = append(page.Providers, loginpage.Provider(one))
	}
	s.writePage(r, status, page.Render(r.languages()), ask.Request.Targets()...)
	return nil
}

// nameOf returns what the pages call a client; empty for none.
func nameOf(client *v1alpha1.LoginClient) string {
	if client == nil {
		return ""
	}
	if client.Name != "" {
		return client.Name
	}
	return client.ID
}

func (r *Request) languages() string { return r.http.Header.Get("Accept-Language") }

// writePage writes a page. Its forms may lead to targets.
func (s *Server) writePage(r *Request, status int, page []byte, targets ...string) {
	header := r.writer.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", loginpage.Policy(targets...))
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	// A page without a referrer would send its own form with the origin null.
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Vary", "Accept-Language, Cookie")
	s.write(r, status, page)
}

// redirect sends the browser on, always by GET: a form with a password must not be sent again (RFC 9700 §4.12).
func (s *Server) redirect(r *Request, to string) error {
	header := r.writer.Header()
	header.Set("Location", to)
	header.Set("Referrer-Policy", "no-referrer")
	s.write(r, http.StatusSeeOther, nil)
	return nil
}

// refusePage writes an error as a page.
func (s *Server) refusePage(r *Request, err error) {
	status, page := http.StatusInternalServerError, loginpage.Problem{Reason: loginpage.Internal}
	var unknown *authorize.PageError
	var refused *oauth.Error
	var special *httpError
	r.Code = oauth.InvalidRequest
	switch {
	case errors.As(err, &unknown):
		status, page = http.StatusBadRequest, loginpage.Problem{Reason: loginpage.BadRequest, Detail: unknown.Description}
	case errors.Is(err, signin.ErrStep):
		status, page = http.StatusBadRequest, loginpage.Problem{Reason: loginpage.Expired}
	case errors.Is(err, errOtherSite):
		status, page = http.StatusForbidden, loginpage.Problem{Reason: loginpage.OtherSite}
	case errors.Is(err, errMethod):
		status, page = http.StatusMethodNotAllowed, loginpage.Problem{Reason: loginpage.Expired}
	case errors.As(err, &special):
		status, page = special.status, loginpage.Problem{Reason: loginpage.BadRequest, Detail: special.refusal.Description}
	case errors.Is(err, upstream.ErrUnavailable):
		status, page = http.StatusServiceUnavailable, loginpage.Problem{Reason: loginpage.Unavailable}
		r.Code, r.internal = oauth.TemporarilyUnavailable, err
		r.retryAfter(oauth.Unavailable(""))
	case errors.As(err, &refused):
		status, page = http.StatusBadRequest, loginpage.Problem{Reason: loginpage.BadRequest, Detail: refused.Description}
		r.Code = refused.Code
	default:
		r.Code, r.internal = oauth.ServerError, err
	}
	s.writePage(r, status, page.Render(r.languages()))
}
