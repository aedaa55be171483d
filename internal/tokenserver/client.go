package tokenserver

import (
	"net/http"

	"github.com/refreshkeys/refreshkeys/internal/grant"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

const (
	// proofHeader is that of RFC 9449 §4.1, as net/http writes its name.
	proofHeader = "Dpop"
	// nonceHeader is that of RFC 9449 §8.1, likewise.
	nonceHeader = "Dpop-Nonce"
)

// checkAssertion: an assertion and its type go together, both required (RFC 7521 §4.2). Other
// than a projected ServiceAccount token nothing proves a client here.
func checkAssertion(form oauth.Form) error {
	assertion, kind := form.Get(oauth.ParamClientAssertion), form.Get(oauth.ParamClientAssertionType)
	switch {
	case form.Get(oauth.ParamClientSecret) != "":
		return oauth.Refuse(oauth.InvalidClient, "Client secrets are not supported; leave client_secret out.")
	case (assertion == "") != (kind == ""):
		return oauth.Refuse(oauth.InvalidRequest, "client_assertion and client_assertion_type must be sent together.")
	case kind != "" && kind != oauth.AssertionJWTBearer:
		return oauth.Refuse(oauth.InvalidClient, "client_assertion_type must be "+oauth.AssertionJWTBearer+".")
	default:
		return nil
	}
}

// credentials are those of a request whose client was checked.
func credentials(r *http.Request, form oauth.Form) grant.Credentials {
	return grant.Credentials{Assertion: form.Get(oauth.ParamClientAssertion), Proofs: r.Header[proofHeader]}
}

// grant answers with tokens, and with the nonce for the next proof where there was one.
func (s *Server) grant(r *Request, answer *oauth.TokenAnswer) error {
	if answer.DPoPNonce != "" {
		r.writer.Header().Set(nonceHeader, answer.DPoPNonce)
	}
	return s.answer(r, answer)
}
