package tokenserver

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/authorize"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/grant"
	"github.com/refreshkeys/refreshkeys/internal/loginpage"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/session"
	"github.com/refreshkeys/refreshkeys/internal/signin"
)

// paramFrom is the parameter of the device's link with the sealed address of the device.
const paramFrom = "from"

// deviceAuthorization is the endpoint at which a device begins (RFC 8628 §3.1).
func (s *Server) deviceAuthorization(r *Request) error {
	form, err := s.clientForm(r)
	if err != nil {
		return err
	}
	if err := r.forDevices(); err != nil {
		return err
	}
	proven, err := s.Grants.ProvePushed(r.issuer, endpoint.DeviceAuthorizationURL(r.issuer.URL), r.http.Header[proofHeader])
	if err != nil {
		return err
	}
	device, err := s.SignIn.BeginDevice(r.issuer, clientID(r.http, form), form.Get(oauth.ParamScope), proven, address(r.http))
	if err != nil {
		return err
	}
	page := endpoint.DeviceURL(r.issuer.URL)
	link := url.Values{oauth.ParamUserCode: {device.UserCode}, paramFrom: {device.From}}
	return s.answer(r, oauth.DeviceAnswer{
		DeviceCode: device.DeviceCode, UserCode: device.UserCode, VerificationURI: page, VerificationURIComplete: page + "?" + link.Encode(),
		ExpiresIn: int64(authorize.DeviceLife / time.Second), Interval: int64(authorize.PollInterval / time.Second),
	})
}

// forDevices chooses the issuer, which must have clients that are devices.
func (r *Request) forDevices() error {
	if err := r.published(); err != nil {
		return err
	}
	if !r.issuer.Login.HasDevices() {
		return errNotFound
	}
	return nil
}

// poll reads the poll of a device (RFC 8628 §3.4). Only the issuer at its own url has device codes.
func (s *Server) poll(r *Request, form oauth.Form) (grant.Request, error) {
	seen, err := s.seen(r.http, form)
	if err != nil {
		return nil, err
	}
	if err := r.published(); err != nil {
		return nil, err
	}
	_, _, basic := r.http.BasicAuth()
	return &grant.DeviceRequest{
		Basic: basic, DeviceCode: form.Get(oauth.ParamDeviceCode), ClientID: clientID(r.http, form), Resources: targets(form),
		Terms: session.Terms{Seen: seen, Credentials: credentials(r.http, form)},
	}, nil
}

// devicePage is the page at which a person signs a device in (RFC 8628 §3.3). The person signs in first.
func (s *Server) devicePage(r *Request) error {
	if err := r.withClients(); err != nil {
		return err
	}
	if err := r.forDevices(); err != nil {
		return err
	}
	form, err := oauth.ParseForm([]byte(r.http.URL.RawQuery))
	if err != nil {
		return err
	}
	ask, err := s.SignIn.BeginForDevice(r.issuer, form.Get(oauth.ParamUserCode), form.Get(paramFrom), s.browser(r))
	if err != nil {
		return err
	}
	return s.askPage(r, http.StatusOK, ask, "", "")
}

// deviceCodePage takes the code of a device.
func (s *Server) deviceCodePage(r *Request) error {
	form, browser, err := s.stepForm(r)
	if err != nil {
		return err
	}
	step, typed := form.Get(fieldStep), form.Get(oauth.ParamUserCode)
	asked, err := s.SignIn.EnterCode(r.http.Context(), r.issuer, step, browser, typed, address(r.http))
	var refused *oauth.Error
	switch {
	case errors.Is(err, signin.ErrUserCode):
		r.Code = oauth.InvalidGrant
		return s.codeRefused(r, step, typed, browser, http.StatusUnprocessableEntity, loginpage.WrongCode)
	case errors.As(err, &refused) && refused.Code == oauth.SlowDown:
		r.Code = refused.Code
		r.retryAfter(refused)
		return s.codeRefused(r, step, typed, browser, http.StatusTooManyRequests, loginpage.TooManyTries)
	case errors.As(err, &refused):
		return s.deviceEnd(r, refused.Code, loginpage.DeviceNotGranted)
	case err != nil:
		return err
	}
	page := loginpage.Question{
		Consent: loginpage.Consent{
			Application: nameOf(asked.Client), Action: endpoint.DeviceDecisionURL(r.issuer.URL), Step: asked.Step,
			Subject: asked.Approval.SignedIn.Subject, Audience: asked.Approval.Audience, Scopes: asked.Approval.Scopes,
		},
		Code: asked.UserCode, Address: asked.Address,
	}
	s.writePage(r, http.StatusOK, page.Render(r.languages()))
	return nil
}

// codeRefused shows the page for the code again.
func (s *Server) codeRefused(r *Request, step, typed string, browser signin.Browser, status int, failure loginpage.Failure) error {
	entry, err := s.SignIn.EntryAgain(r.http.Context(), r.issuer, step, browser, typed)
	if err != nil {
		return err
	}
	s.entryPage(r, status, entry, failure)
	return nil
}

func (s *Server) entryPage(r *Request, status int, entry *signin.Entry, failure loginpage.Failure) {
	page := loginpage.Entry{Action: endpoint.DeviceCodeURL(r.issuer.URL), Step: entry.Step, Code: entry.Typed, Failure: failure}
	s.writePage(r, status, page.Render(r.languages()))
}

// deviceDecisionPage takes the decision of a person about a device.
func (s *Server) deviceDecisionPage(r *Request) error {
	form, browser, err := s.stepForm(r)
	if err != nil {
		return err
	}
	allowed := form.Get(fieldAnswer) == allow
	approval, err := s.SignIn.DecideDevice(r.http.Context(), r.issuer, form.Get(fieldStep), browser, allowed)
	if approval != nil {
		r.by(&approval.SignedIn)
	}
	var refused *oauth.Error
	switch {
	case errors.Is(err, signin.ErrUserCode):
		return s.deviceEnd(r, oauth.ExpiredToken, loginpage.DeviceTooLate)
	case errors.Is(err, signin.ErrDecided):
		return s.deviceEnd(r, oauth.InvalidGrant, loginpage.DeviceDecided)
	case errors.As(err, &refused) && refused.Code == oauth.SlowDown:
		// The page stays good: the browser can send it again.
		r.Code = refused.Code
		r.retryAfter(refused)
		page := loginpage.Problem{Reason: loginpage.Unavailable}
		s.writePage(r, http.StatusTooManyRequests, page.Render(r.languages()))
		return nil
	case errors.As(err, &refused):
		return s.deviceEnd(r, refused.Code, loginpage.DeviceNotGranted)
	case err != nil:
		return err
	case allowed:
		return s.deviceEnd(r, "", loginpage.DeviceAllowed)
	default:
		// The result of the request in the logs is the decision.
		return s.deviceEnd(r, oauth.AccessDenied, loginpage.DeviceDenied)
	}
}

// deviceEnd shows how the sign-in of a device ended for the person.
func (s *Server) deviceEnd(r *Request, code oauth.Code, end loginpage.End) error {
	status := http.StatusUnprocessableEntity
	if end == loginpage.DeviceAllowed || end == loginpage.DeviceDenied {
		status = http.StatusOK
	}
	r.Code = code
	s.writePage(r, status, end.Render(r.languages()))
	return nil
}
