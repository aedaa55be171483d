package tokenserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// httpError is a refusal with an HTTP status of its own.
type httpError struct {
	status  int
	refusal *oauth.Error
}

func (e *httpError) Error() string { return e.refusal.Error() }

func refuseWith(status int, description string) *httpError {
	return &httpError{status: status, refusal: oauth.Refuse(oauth.InvalidRequest, description)}
}

var (
	errNotFound = refuseWith(http.StatusNotFound, "No such issuer or endpoint.")
	errShared   = refuseWith(http.StatusNotFound, "Several issuers share this URL; their metadata and keys are below the url of each.")
	errMethod   = refuseWith(http.StatusMethodNotAllowed, "The method is not allowed; see the Allow header.")
	errEncoding = refuseWith(http.StatusUnsupportedMediaType, "The body must not be encoded.")
	errTooLarge = refuseWith(http.StatusRequestEntityTooLarge, fmt.Sprintf("The body is larger than %d KiB.", oauth.MaxBody>>10))
)

// errNoCredentials means that a request has no credentials of a supported scheme. The answer is 401 without an
// error code (RFC 6750 §3.1).
var errNoCredentials = errors.New("the request carries no bearer token")

// errNoKeys means that the signing keys of the issuer are not known.
var errNoKeys = upstream.Unavailable("the signing keys of the issuer are not known")

// statuses are the HTTP statuses of errors that are not answered with 400 (RFC 6749 §5.2, RFC 6750 §3.1).
var statuses = map[oauth.Code]int{
	oauth.InvalidClient:          http.StatusUnauthorized,
	oauth.InvalidToken:           http.StatusUnauthorized,
	oauth.TemporarilyUnavailable: http.StatusServiceUnavailable,
	oauth.SlowDown:               http.StatusTooManyRequests,
	oauth.ServerError:            http.StatusInternalServerError,
}

// refuse writes an error as an answer. No other code does so.
func (s *Server) refuse(r *Request, err error) {
	if r.page {
		s.refusePage(r, err)
		return
	}
	if errors.Is(err, errNoCredentials) {
		r.challenge("")
		s.write(r, http.StatusUnauthorized, nil)
		return
	}
	status, refusal := http.StatusInternalServerError, oauth.Refuse(oauth.ServerError, "The token service failed to answer the request.")
	var known *oauth.Error
	var special *httpError
	switch {
	case errors.As(err, &special):
		status, refusal = special.status, special.refusal
	case errors.As(err, &known):
		status, refusal = http.StatusBadRequest, known
		if other, ok := statuses[known.Code]; ok {
			status = other
		}
		if other, ok := resourceStatuses[known.Code]; ok && r.resource != nil {
			status = other
		}
		if known.Code == oauth.SlowDown && r.Grant == oauth.GrantDeviceCode {
			// RFC 8628 §3.5 has the status of RFC 6749 §5.2.
			status = http.StatusBadRequest
		}
	case errors.Is(err, upstream.ErrUnavailable), errors.Is(err, registry.ErrLost):
		status, refusal = http.StatusServiceUnavailable, oauth.Unavailable("The token service cannot answer now; try again.")
		r.internal = err
	default:
		r.internal = err
	}
	r.retryAfter(refusal)
	r.setNonce(refusal.DPoPNonce)
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		r.challenge(refusal.Code)
	}
	r.Code = refusal.Code
	s.write(r, status, oauth.ErrorAnswer{Error: refusal.Code, Description: refusal.Description})
}

// retryAfter sets the Retry-After header of a refusal after which the client can try again (RFC 9110 §10.2.3).
func (r *Request) retryAfter(refusal *oauth.Error) {
	if refusal.RetryAfter > 0 {
		r.writer.Header().Set("Retry-After", strconv.Itoa(int(refusal.RetryAfter/time.Second)))
	}
}

// challenge sets the WWW-Authenticate header that every 401 requires (RFC 9110 §15.5.2), and every 403 of a resource
// (RFC 6750 §3). The code is empty for a request without credentials.
func (r *Request) challenge(code oauth.Code) {
	header := r.writer.Header()
	switch {
	case r.resource != nil:
		header["Www-Authenticate"] = r.resource.challenges(code)
	case code == "":
		header.Set("WWW-Authenticate", bearerChallenge)
	case code == oauth.InvalidClient:
		header.Set("WWW-Authenticate", `Basic realm="refreshkeys"`)
	default:
		header.Set("WWW-Authenticate", fmt.Sprintf(`%s, error=%q`, bearerChallenge, code))
	}
}

const bearerChallenge = `Bearer realm="refreshkeys"` //nolint:gosec // a challenge, and no secret

// answer writes an answer that must not be stored (RFC 6749 §5.1).
func (s *Server) answer(r *Request, body any) error {
	s.write(r, http.StatusOK, body)
	return nil
}

// publish writes a public answer, which may be cached for CacheFor.
func (s *Server) publish(r *Request, contentType string, body any) error {
	header := r.writer.Header()
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(r.issuer.CacheFor/time.Second)))
	header.Set("Access-Control-Allow-Origin", "*")
	s.write(r, http.StatusOK, body)
	return nil
}

// write writes every answer.
func (s *Server) write(r *Request, status int, body any) {
	header := r.writer.Header()
	if header.Get("Cache-Control") == "" {
		header.Set("Cache-Control", "no-store")
		header.Set("Pragma", "no-cache")
	}
	header.Set("X-Content-Type-Options", "nosniff")
	var encoded []byte
	if page, is := body.([]byte); is {
		encoded = page
	} else if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			r.internal, status, encoded = err, http.StatusInternalServerError, nil
		}
		if header.Get("Content-Type") == "" {
			header.Set("Content-Type", "application/json")
		}
	}
	header.Set("Content-Length", strconv.Itoa(len(encoded)))
	r.Status = status
	r.writer.WriteHeader(status)
	if r.http.Method != http.MethodHead {
		// An error means that the client has disconnected.
		_, _ = r.writer.Write(encoded)
	}
}
