package grant

import (
	"context"
	"errors"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/binding"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// LoginRequest is the part of a login that all grants share.
type LoginRequest struct {
	// Audiences are the APIs that the tokens are for (RFC 8693 §2.1, RFC 8707 §2); exactly one.
	Audiences []string
	Scope     string
	// Seen is the device that signs in.
	Seen v1alpha1.SeenDevice
	// Credentials authenticate the client. A session is bound to the key of its DPoP proof (RFC 9449 §5).
	Credentials binding.Credentials
}

// ExchangeRequest is a login by token exchange (RFC 8693 §2.1).
type ExchangeRequest struct {
	LoginRequest
	SubjectToken, SubjectTokenType string
	ActorToken, ActorTokenType     string
	RequestedTokenType             string
}

// signedIn is the authenticated subject of a login.
type signedIn struct {
	subject string
	method  v1alpha1.LoginMethod
	// namespace is where the session is created.
	namespace string
	// account is the ServiceAccount that signed in; nil for people.
	account *identity.ServiceAccount
	// provider is the issuer URL of the OpenID Connect provider; empty for none.
	provider string
	claims   map[string]apiextensionsv1.JSON
}

// Exchange signs in a ServiceAccount with a token for this issuer, or a person with an id_token of a provider of
// the issuer.
func (s *Service) Exchange(ctx context.Context, issuer *registry.Issuer, request *ExchangeRequest, outcome *Outcome) (*oauth.TokenAnswer, error) {
	if err := request.check(); err != nil {
		return nil, err
	}
	if err := s.registry.Fresh(); err != nil {
		return nil, err
	}
	who, err := s.whoseToken(ctx, issuer, request)
	if errors.Is(err, identity.ErrRefused) {
		return nil, errSubjectToken()
	}
	if err != nil {
		return nil, err
	}
	answer, err := s.begin(ctx, issuer, who, &request.LoginRequest, outcome)
	if err != nil {
		return nil, err
	}
	answer.IssuedTokenType = oauth.TypeAccessToken
	return answer, nil
}

// errSubjectToken is the refusal of RFC 8693 §2.2.2.
func errSubjectToken() *oauth.Error {
	return oauth.Refuse(oauth.InvalidRequest, "The subject_token is not accepted by this issuer.")
}

func (r *ExchangeRequest) check() error {
	switch {
	case r.SubjectToken == "":
		return oauth.Refuse(oauth.InvalidRequest, "subject_token is missing.")
	case r.SubjectTokenType == "":
		return oauth.Refuse(oauth.InvalidRequest, "subject_token_type is missing.")
	case r.SubjectTokenType != oauth.TypeJWT && r.SubjectTokenType != oauth.TypeIDToken:
		return oauth.Refuse(oauth.InvalidRequest, "subject_token_type must be "+oauth.TypeJWT+" or "+oauth.TypeIDToken+".")
	case (r.ActorToken == "") != (r.ActorTokenType == ""):
		return oauth.Refuse(oauth.InvalidRequest, "actor_token and actor_token_type must be sent together.")
	case r.ActorToken != "":
		return oauth.Refuse(oauth.InvalidRequest, "Delegation is not supported: leave actor_token out.")
	case r.RequestedTokenType != "" && r.RequestedTokenType != oauth.TypeAccessToken:
		return oauth.Refuse(oauth.InvalidRequest, "requested_token_type must be "+oauth.TypeAccessToken+" or left out.")
	default:
		return nil
	}
}

// whoseToken authenticates the subject token at the provider or the API server. The issuer that the token claims
// only chooses between them.
func (s *Service) whoseToken(ctx context.Context, issuer *registry.Issuer, request *ExchangeRequest) (*signedIn, error) {
	claimed := identity.ClaimedIssuer(request.SubjectToken)
	if claimed == "" || claimed == issuer.URL {
		return nil, identity.ErrRefused
	}
	for i := range issuer.Login.Providers {
		provider := &issuer.Login.Providers[i]
		if provider.IssuerURL != claimed {
			continue
		}
		person, err := s.providers.Verify(ctx, provider, request.SubjectToken)
		if err != nil {
			return nil, err
		}
		return &signedIn{
			subject: person.Subject, method: v1alpha1.LoginOIDC, namespace: issuer.Login.SessionNamespace, provider: claimed, claims: person.Claims,
		}, nil
	}
	account, err := s.reviews.ServiceAccount(ctx, issuer.URL, request.SubjectToken)
	if err != nil {
		return nil, err
	}
	return &signedIn{subject: account.Username(), method: v1alpha1.LoginServiceAccount, namespace: account.Namespace, account: account}, nil
}

// PasswordRequest is a login by user name and password (RFC 6749 §4.3.2).
type PasswordRequest struct {
	LoginRequest
	Username, Password string
	// Address is where the request comes from.
	Address string
}

// Password signs in a person by a password. It is off unless the issuer enables it, since RFC 9700 §2.4 forbids
// the grant.
func (s *Service) Password(ctx context.Context, issuer *registry.Issuer, request *PasswordRequest, outcome *Outcome) (*oauth.TokenAnswer, error) {
	switch {
	case issuer.Login.Passwords == "":
		return nil, oauth.Refuse(oauth.UnsupportedGrantType, "This issuer does not offer the password grant.")
	case request.Username == "" || request.Password == "":
		return nil, oauth.Refuse(oauth.InvalidRequest, "username and password are both required.")
	case len(request.Password) > identity.MaxPassword:
		return nil, oauth.Refuse(oauth.InvalidRequest, "The password must be at most 72 bytes.")
	}
	if err := s.registry.Fresh(); err != nil {
		return nil, err
	}
	err := s.passwords.Verify(ctx, issuer.Login.Passwords, request.Username, request.Password, request.Address)
	switch {
	case errors.Is(err, identity.ErrTooMany):
		return nil, oauth.TooMany("Too many attempts for this user or from this address; try again later.")
	case errors.Is(err, identity.ErrRefused):
		return nil, oauth.Refuse(oauth.InvalidGrant, "The user name or the password is wrong.")
	case err != nil:
		return nil, err
	}
	who := &signedIn{subject: request.Username, method: v1alpha1.LoginPassword, namespace: issuer.Login.SessionNamespace}
	return s.begin(ctx, issuer, who, &request.LoginRequest, outcome)
}

// audience returns the single API that a session is for.
func (r *LoginRequest) audience() (string, error) {
	named := slices.Compact(slices.Sorted(slices.Values(r.Audiences)))
	switch {
	case len(named) == 0:
		return "", oauth.Refuse(oauth.InvalidRequest, "audience is missing: name the API that the tokens are for.")
	case len(named) > 1:
		return "", oauth.Refuse(oauth.InvalidTarget, "The tokens of one login are for one API: name only one audience.")
	default:
		return named[0], nil
	}
}
