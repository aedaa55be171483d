package tokenserver

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/canonical"
	"github.com/refreshkeys/refreshkeys/internal/dpop"
	"github.com/refreshkeys/refreshkeys/internal/grant"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

// sessions answers a subject with its own sessions.
func (s *Server) sessions(r *Request) error {
	presented, err := s.presented(r, oauth.ScopeSessions)
	if err != nil {
		return err
	}
	answer, err := s.Grants.Sessions(r.http.Context(), r.issuer, presented, &r.Outcome)
	if err != nil {
		return err
	}
	r.setNonce(answer.DPoPNonce)
	return s.answer(r, answer)
}

// endSessions ends sessions of a subject.
func (s *Server) endSessions(r *Request) error {
	presented, err := s.presented(r, oauth.ScopeSessions)
	if err != nil {
		return err
	}
	body, err := s.body(r, isJSON, jsonType)
	if err != nil {
		return err
	}
	which, err := readEnd(body)
	if err != nil {
		return err
	}
	answer, err := s.Grants.EndSessions(r.http.Context(), r.issuer, presented, which, &r.Outcome)
	if err != nil {
		return err
	}
	r.setNonce(answer.DPoPNonce)
	return s.answer(r, answer)
}

// userInfo answers a client with the claims of its person.
func (s *Server) userInfo(r *Request) error {
	presented, err := s.presented(r, v1alpha1.ScopeOpenID)
	if err != nil {
		return err
	}
	answer, err := s.Grants.UserInfo(r.http.Context(), r.issuer, presented, &r.Outcome)
	if err != nil {
		return err
	}
	r.setNonce(answer.DPoPNonce)
	return s.answer(r, answer)
}

// presented returns the access token of a request to a resource of the token service, which needs a scope, and chooses the issuer by it.
func (s *Server) presented(r *Request, scope string) (*grant.AccessRequest, error) {
	r.resource = &resource{scheme: oauth.TokenTypeBearer, scope: scope}
	if err := noQuery(r.http); err != nil {
		return nil, err
	}
	given := r.http.Header.Values("Authorization")
	if len(given) > 1 {
		return nil, oauth.Refuse(oauth.InvalidRequest, "More than one Authorization header.")
	}
	header := strings.Join(given, "")
	compact, asked := identity.Bearer(header)
	if !asked {
		if compact, asked = identity.DPoP(header); asked {
			r.resource.scheme = oauth.TokenTypeDPoP
		}
	}
	switch {
	case !asked:
		return nil, errNoCredentials
	case compact == "":
		return nil, oauth.Refuse(oauth.InvalidToken, "The Authorization header must be Bearer or DPoP, one space and a token.")
	}
	err := s.chooseByToken(r, compact)
	var elsewhere *oauth.Error
	if errors.As(err, &elsewhere) && elsewhere.Code == oauth.InvalidRequest {
		// The token is of an issuer that is not served here. A client gets another access token at the right one.
		err = oauth.Refuse(oauth.InvalidToken, elsewhere.Description)
	}
	return &grant.AccessRequest{Token: compact, Scheme: r.resource.scheme, Method: r.http.Method, Proofs: r.http.Header[proofHeader]}, err
}

// resource is a request to a resource of the token service itself, which clients use with an access token.
type resource struct {
	// scheme is that of its Authorization header, and Bearer without one.
	scheme string
	// scope is the one that an access token needs.
	scope string
}

// statuses of errors at a resource that are not those of the token endpoint (RFC 6750 §3.1, RFC 9449 §7.1 and §9).
var resourceStatuses = map[oauth.Code]int{
	oauth.InsufficientScope: http.StatusForbidden,
	oauth.InvalidDPoPProof:  http.StatusUnauthorized,
	oauth.UseDPoPNonce:      http.StatusUnauthorized,
}

// challenges returns the WWW-Authenticate headers of a refusal at a resource: one for each scheme, and the error in the
// one that the client used. The code is empty for a request without credentials.
func (r *resource) challenges(code oauth.Code) []string {
	said := ""
	if code != "" {
		said = fmt.Sprintf(", error=%q", code)
	}
	if code == oauth.InsufficientScope {
		said += fmt.Sprintf(", scope=%q", r.scope)
	}
	bearer, proof := bearerChallenge, fmt.Sprintf(`DPoP realm="refreshkeys", algs=%q`, strings.Join(dpop.Algorithms(), " "))
	if r.scheme == oauth.TokenTypeDPoP {
		return []string{bearer, proof + said}
	}
	return []string{bearer + said, proof}
}

func (r *Request) setNonce(nonce string) {
	if nonce != "" {
		r.writer.Header().Set(nonceHeader, nonce)
	}
}

// readEnd reads a JSON object with exactly one of the members ids, all and others.
func readEnd(body []byte) (*oauth.EndRequest, error) {
	malformed := oauth.Refuse(oauth.InvalidRequest, "The body must be one JSON object: {'ids': [...]} with one or more ids, {'all': true} or {'others': true}.")
	value, err := canonical.Decode(body)
	if err != nil {
		return nil, malformed
	}
	members, isObject := value.(map[string]any)
	if !isObject || len(members) != 1 {
		return nil, malformed
	}
	which := &oauth.EndRequest{All: members["all"] == true, Others: members["others"] == true}
	ids, _ := members["ids"].([]any)
	for _, id := range ids {
		text, isText := id.(string)
		if !isText {
			return nil, malformed
		}
		which.IDs = append(which.IDs, text)
	}
	if !which.All && !which.Others && len(which.IDs) == 0 {
		return nil, malformed
	}
	return which, nil
}
