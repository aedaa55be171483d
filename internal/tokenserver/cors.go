package tokenserver

import (
	"net/http"
	"slices"

	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// What pages of allowed origins may send and read (Fetch §3.2): what OAuth and DPoP need.
const (
	corsRequestHeaders = "Authorization, Content-Type, DPoP"
	corsAnswerHeaders  = "DPoP-Nonce, Retry-After, WWW-Authenticate"
	// corsMaxAge is how long a browser keeps the answer to a preflight, in seconds.
	corsMaxAge = "600"
)

// forScripts are the endpoints that pages of a client's allowedOrigins can use. The metadata and the JWKS are for all pages, and the
// pages of a sign-in for none.
var forScripts = map[string]bool{endpointToken: true, endpointRevoke: true, endpointUserInfo: true, endpointSessions: true, endpointEnd: true}

// shared sets the headers that let a page of an allowed origin read the answer, and reports whether the request was a preflight, which
// it answers.
func (s *Server) shared(r *Request, found *handler) (preflight bool) {
	if !forScripts[found.name] {
		return false
	}
	origins := r.http.Header.Values("Origin")
	some, allowed := originsOf(r.place, origins)
	if !some {
		return false
	}
	header := r.writer.Header()
	// Caches must not give the answer for one origin to another.
	header.Add("Vary", "Origin")
	if !allowed {
		return false
	}
	header.Set("Access-Control-Allow-Origin", origins[0])
	if r.http.Method != http.MethodOptions || r.http.Header.Get("Access-Control-Request-Method") == "" {
		header.Set("Access-Control-Expose-Headers", corsAnswerHeaders)
		return false
	}
	header.Set("Access-Control-Allow-Methods", found.allow)
	header.Set("Access-Control-Allow-Headers", corsRequestHeaders)
	header.Set("Access-Control-Max-Age", corsMaxAge)
	s.write(r, http.StatusNoContent, nil)
	return true
}

// originsOf reports whether clients of the issuers at a place allow any origins, and whether they allow the one of a request. They are compared
// byte for byte, as browsers write them.
func originsOf(place registry.Place, sent []string) (some, allowed bool) {
	for _, issuer := range place.Issuers() {
		for i := range issuer.Login.Clients {
			declared := issuer.Login.Clients[i].AllowedOrigins
			some = some || len(declared) > 0
			allowed = allowed || (len(sent) == 1 && slices.Contains(declared, sent[0]))
		}
	}
	return some, allowed
}
