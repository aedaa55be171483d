package tokenserver

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
	// preallocatedBody is the largest Content-Length for which memory is allocated before the body arrives.
	preallocatedBody = 8 << 10
)

// form returns the parameters of a request. net/http's ParseForm is not strict enough for a token endpoint: it
// reads a body of another type as an empty form, merges the query into it, and reads the first of two
// Content-Types.
func (s *Server) form(r *Request) (oauth.Form, error) {
	body, err := s.body(r, isForm, formType)
	if err != nil {
		return nil, err
	}
	return oauth.ParseForm(body)
}

// noQuery refuses parameters in the URL, which appear in logs.
func noQuery(request *http.Request) error {
	if request.URL.RawQuery != "" || request.URL.ForceQuery {
		return oauth.Refuse(oauth.InvalidRequest, "Send all parameters in the body and none in the URL.")
	}
	return nil
}

// body reads the body of a request, which must be of the one content type.
func (s *Server) body(r *Request, isType func(contentType string) bool, name string) ([]byte, error) {
	request := r.http
	if err := noQuery(request); err != nil {
		return nil, err
	}
	if len(request.Header.Values("Content-Encoding")) > 0 {
		return nil, errEncoding
	}
	if given := request.Header.Values("Content-Type"); len(given) != 1 || !isType(given[0]) {
		return nil, oauth.Refuse(oauth.InvalidRequest, "The request must have one Content-Type header: "+name+".")
	}
	var body bytes.Buffer
	if length := request.ContentLength; 0 < length && length <= preallocatedBody {
		body.Grow(int(length) + bytes.MinRead)
	}
	_, err := body.ReadFrom(http.MaxBytesReader(r.writer, request.Body, oauth.MaxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, oauth.Refuse(oauth.InvalidRequest, "The body could not be read.")
	}
	return body.Bytes(), nil
}

func isForm(contentType string) bool { return isMedia(contentType, formType) }

func isJSON(contentType string) bool { return isMedia(contentType, jsonType) }

func isMedia(contentType, want string) bool {
	media, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || media != want {
		return false
	}
	charset, given := parameters["charset"]
	return len(parameters) == 0 || (len(parameters) == 1 && given && strings.EqualFold(charset, "utf-8"))
}

// clientForm returns the form of an endpoint for clients.
func (s *Server) clientForm(r *Request) (oauth.Form, error) {
	form, err := s.form(r)
	if err != nil {
		return nil, err
	}
	return form, checkClient(r.http, form)
}

// clientID returns the client_id of a request that passed checkClient: in the form, or in the Authorization header with an empty secret
// (RFC 6749 §2.3.1).
func clientID(r *http.Request, form oauth.Form) string {
	if id := form.Get(oauth.ParamClientID); id != "" {
		return id
	}
	escaped, _, _ := r.BasicAuth()
	return unescaped(escaped)
}

func unescaped(escaped string) string {
	id, err := url.QueryUnescape(escaped)
	if err != nil {
		return ""
	}
	return id
}

// checkClient checks the credentials of a client. All clients are public, so client_id needs no proof. A
// client that sends credentials must not wrongly count as authenticated (RFC 6749 §5.2), and may use one method at
// most (RFC 6749 §2.3). The grant verifies an assertion.
func checkClient(r *http.Request, form oauth.Form) error {
	given := r.Header.Values("Authorization")
	ways := len(given)
	for _, proof := range []string{oauth.ParamClientSecret, oauth.ParamClientAssertion} {
		if form.Get(proof) != "" {
			ways++
		}
	}
	if ways > 1 {
		return oauth.Refuse(oauth.InvalidRequest, "The client uses more than one authentication method.")
	}
	if len(given) == 1 {
		id, secret, ok := r.BasicAuth()
		if !ok || secret != "" {
			return oauth.Refuse(oauth.InvalidClient, "Client secrets are not supported; leave the Authorization header out.")
		}
		if named := form.Get(oauth.ParamClientID); named != "" && id != "" && named != unescaped(id) {
			return oauth.Refuse(oauth.InvalidRequest, "The Authorization header and client_id name different clients.")
		}
	}
	return checkAssertion(form)
}
