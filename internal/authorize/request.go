package authorize

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

// The bounds of the parameters, in bytes.
const (
	maxState     = 1 << 10
	maxNonce     = 256
	maxLoginHint = v1alpha1.MaxSubjectLength
	maxScope     = 1 << 10
)

// Request is a valid request to sign in. It travels sealed from step to step.
type Request struct {
	// Client is the id of a declared client.
	Client string `json:"client"`
	// RedirectURI is where the answer goes: one of the client's, with the port of the request at a loopback address.
	RedirectURI string `json:"redirect"`
	// Asked says whether the request had a redirect_uri, which the redemption must then repeat (RFC 6749 §4.1.3).
	Asked bool   `json:"asked,omitempty"`
	State string `json:"state,omitempty"`
	Nonce string `json:"nonce,omitempty"`
	// Challenge is the code_challenge by the method S256.
	Challenge string `json:"challenge"`
	Audience  string `json:"audience"`
	// Scopes are what the client asks for, without offline_access.
	Scopes []string `json:"scopes,omitempty"`
	// LoginHint is the user name that the login page proposes.
	LoginHint string `json:"hint,omitempty"`
	// JWKThumbprint is of the key whose proof the redemption needs (RFC 9449 §10); empty for none.
	JWKThumbprint string `json:"jkt,omitempty"`
	// Device is set for a sign-in that leads to a device, and then nothing else is.
	Device *DeviceRequest `json:"device,omitempty"`
}

// PageError is a refusal that is shown to the person: the request names no client and no redirect URI that the answer could be
// sent to (RFC 6749 §4.1.2.1).
type PageError struct{ Description string }

func (e *PageError) Error() string { return e.Description }

// RefusedError is a refusal that is sent to the client by a redirect.
type RefusedError struct {
	Request *Request
	Reason  *oauth.Error
}

func (e *RefusedError) Error() string { return e.Reason.Error() }

// Find returns a declared client; nil if there is none.
func Find(clients []v1alpha1.LoginClient, id string) *v1alpha1.LoginClient {
	if at := slices.IndexFunc(clients, func(client v1alpha1.LoginClient) bool { return client.ID == id }); at >= 0 {
		return &clients[at]
	}
	return nil
}

// Stands returns the client of a request, if the issuer still declares all that the request asks for; nil if not. A sign-in takes
// minutes, in which the declaration can change.
func (r *Request) Stands(clients []v1alpha1.LoginClient) *v1alpha1.LoginClient {
	client := Find(clients, r.Client)
	if client == nil || !slices.Contains(client.Audiences, r.Audience) ||
		!slices.ContainsFunc(client.RedirectURIs, func(declared string) bool { return matches(declared, r.RedirectURI) }) ||
		slices.ContainsFunc(r.Scopes, func(scope string) bool { return !slices.Contains(client.Scopes, scope) }) {
		return nil
	}
	return client
}

// Read returns the request in the parameters of /authorize. The error is a *PageError until the client and its redirect URI are
// known, and then a *RefusedError.
func Read(clients []v1alpha1.LoginClient, form oauth.Form) (*Request, error) {
	id := form.Get(oauth.ParamClientID)
	client := Find(clients, id)
	switch {
	case id == "":
		return nil, &PageError{"The application did not say who it is: client_id is missing."}
	case client == nil:
		return nil, &PageError{"The application is not known to this service: its client_id is not declared."}
	}
	to, err := redirectOf(client, form.Get(oauth.ParamRedirectURI))
	if err != nil {
		return nil, err
	}
	r := &Request{
		Client: client.ID, RedirectURI: to, Asked: form.Get(oauth.ParamRedirectURI) != "",
		State: form.Get(oauth.ParamState), Nonce: form.Get(oauth.ParamNonce), Challenge: form.Get(oauth.ParamCodeChallenge),
		LoginHint: hint(form.Get(oauth.ParamLoginHint)), JWKThumbprint: form.Get(oauth.ParamDPoPThumbprint),
	}
	if len(r.State) > maxState {
		// An answer without the state would be refused by the client, and one with it could be too long for its server.
		r.State = ""
		return nil, r.refuse(oauth.InvalidRequest, fmt.Sprintf("state is longer than %d bytes.", maxState))
	}
	if reason := r.check(client, form); reason != nil {
		return nil, &RefusedError{r, reason}
	}
	return r, nil
}

func (r *Request) refuse(code oauth.Code, description string) *RefusedError {
	return &RefusedError{r, oauth.Refuse(code, description)}
}

// check checks the other parameters, and sets the audience and the scopes.
func (r *Request) check(client *v1alpha1.LoginClient, form oauth.Form) *oauth.Error {
	switch {
	case form.Get(oauth.ParamRequest) != "":
		return oauth.Refuse(oauth.RequestNotSupported, "Request objects are not supported; send the parameters themselves.")
	case form.Get(oauth.ParamRequestURI) != "":
		return oauth.Refuse(oauth.RequestURINotSupported, "This request_uri is not supported; send the parameters themselves.")
	case form.Get(oauth.ParamResponseType) == "":
		return oauth.Refuse(oauth.InvalidRequest, "response_type is missing.")
	case form.Get(oauth.ParamResponseType) != oauth.ResponseTypeCode:
		return oauth.Refuse(oauth.UnsupportedResponseType, "response_type must be code.")
	case form.Get(oauth.ParamResponseMode) != "" && form.Get(oauth.ParamResponseMode) != oauth.ResponseModeQuery:
		return oauth.Refuse(oauth.InvalidRequest, "response_mode must be query or left out.")
	case r.Challenge == "":
		return oauth.Refuse(oauth.InvalidRequest, "code_challenge is missing: every client must use PKCE (RFC 7636).")
	case form.Get(oauth.ParamCodeChallengeMethod) != oauth.ChallengeS256:
		return oauth.Refuse(oauth.InvalidRequest, "code_challenge_method must be S256.")
	case !thumbprint.MatchString(r.Challenge):
		return oauth.Refuse(oauth.InvalidRequest, "code_challenge must be 43 characters of base64url (RFC 7636 section 4.2).")
	case r.JWKThumbprint != "" && !thumbprint.MatchString(r.JWKThumbprint):
		return oauth.Refuse(oauth.InvalidRequest, "dpop_jkt must be the SHA-256 thumbprint of a key (RFC 9449 section 10).")
	case len(r.Nonce) > maxNonce:
		return oauth.Refuse(oauth.InvalidRequest, fmt.Sprintf("nonce is longer than %d bytes.", maxNonce))
	}
	if err := r.checkTarget(client, form); err != nil {
		return err
	}
	if err := r.checkScopes(client, form.Get(oauth.ParamScope)); err != nil {
		return err
	}
	return checkPrompt(form.Get(oauth.ParamPrompt))
}

// thumbprint matches SHA-256 in base64url: an S256 challenge, and a JWK thumbprint.
var thumbprint = regexp.MustCompile(`^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$`)

func (r *Request) checkTarget(client *v1alpha1.LoginClient, form oauth.Form) *oauth.Error {
	asked := slices.Compact(slices.Sorted(slices.Values(slices.Concat(form[oauth.ParamResource], form[oauth.ParamAudience]))))
	switch {
	case len(asked) > 1:
		return oauth.Refuse(oauth.InvalidTarget, "The tokens of one sign-in are for one API: name only one resource.")
	case len(asked) == 0:
		r.Audience = client.Audiences[0]
	case !slices.Contains(client.Audiences, asked[0]):
		return oauth.Refuse(oauth.InvalidTarget, "The resource is not one of the client's audiences.")
	default:
		r.Audience = asked[0]
	}
	return nil
}

func (r *Request) checkScopes(client *v1alpha1.LoginClient, asked string) *oauth.Error {
	if len(asked) > maxScope {
		return oauth.Refuse(oauth.InvalidScope, fmt.Sprintf("scope is longer than %d bytes.", maxScope))
	}
	for scope := range strings.SplitSeq(asked, " ") {
		switch {
		case scope == "" || scope == oauth.ScopeOfflineAccess || slices.Contains(r.Scopes, scope):
		case !v1alpha1.ValidScope(scope) || !slices.Contains(client.Scopes, scope):
			return oauth.Refuse(oauth.InvalidScope, "A scope is not one of those that the client may ask for.")
		default:
			r.Scopes = append(r.Scopes, scope)
		}
	}
	return nil
}

// checkPrompt checks which pages the client wants (OpenID Connect Core §3.1.2.1). Each sign-in asks the person again, so that
// login, consent and select_account need nothing, and none is not possible.
func checkPrompt(prompt string) *oauth.Error {
	values := strings.Fields(prompt)
	if slices.Contains(values, oauth.PromptNone) {
		if len(values) > 1 {
			return oauth.Refuse(oauth.InvalidRequest, "prompt none cannot be combined with other values.")
		}
		return oauth.Refuse(oauth.LoginRequired, "The person must sign in.")
	}
	return nil
}

// hint returns a user name that the login page can propose; empty for anything else.
func hint(given string) string {
	if len(given) > maxLoginHint || !v1alpha1.ValidSubject(given) {
		return ""
	}
	return given
}
