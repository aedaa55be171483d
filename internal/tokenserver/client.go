package tokenserver

import (
	"net/http"

	"github.com/refreshkeys/refreshkeys/internal/binding"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

const (
	// proofHeader is the DPoP header of RFC 9449 §4.1, in the canonical form of net/http.
	proofHeader = "Dpop"
	// nonceHeader is the DPoP-Nonce header of RFC 9449 §8.1, in the same form.
	nonceHeader = "Dpop-Nonce"
)

// checkAssertion checks that an assertion and its type are both present or both absent (RFC 7521 §4.2). Only a
// projected ServiceAccount token authenticates a client.
func checkAssertion(form oauth.Form) error {
	assertion, kind := form.Get(oauth.ParamClientAssertion), form.Get(oauth.ParamClientAssertionType)
	switch {
	case form.Get(oauth.ParamClientSecret) != "":
		return oauth.Refuse(oauth.InvalidClient, "Client secrets are not supported; leave client_secret out.")
	case (assertion == "") != (kind == ""):
		return oauth.Refuse(oauth.InvalidRequest, "An assertion and its type must be sent together.")
	case kind != "" && kind != oauth.AssertionJWTBearer:
		return oauth.Refuse(oauth.InvalidClient, "The type of the assertion must be jwt-bearer.")
	default:
		return nil
	}
}

// credentials returns the credentials of a request that passed checkClient.
func credentials(r *http.Request, form oauth.Form) binding.Credentials {
	return binding.Credentials{Assertion: form.Get(oauth.ParamClientAssertion), Proofs: r.Header[proofHeader]}
}

// grant answers with tokens, and with the nonce for the next proof if there is one.
func (s *Server) grant(r *Request, answer *oauth.TokenAnswer) error {
	r.setNonce(answer.DPoPNonce)
	return s.answer(r, answer)
}
