package session

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/binding"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// Login is a request to sign in, of one grant type: an ExchangeLogin or a PasswordLogin.
type Login interface {
	// Check returns the refusal of a login that is malformed or that the issuer does not offer. It needs no other
	// state.
	Check(issuer *registry.Issuer) error
	// IssuedTokenType is the issued_token_type of the answer (RFC 8693 §2.2.1); empty for none.
	IssuedTokenType() string
	authenticate(ctx context.Context, s *Service, issuer *registry.Issuer) (*SignedIn, error)
	terms() *Terms
}

// Terms are the part of a login that all grants share: what is asked for, and by which client.
type Terms struct {
	// Audiences are the APIs that the tokens are for (RFC 8693 §2.1, RFC 8707 §2); exactly one.
	Audiences []string
	Scope     string
	// Seen is the device that signs in.
	Seen v1alpha1.SeenDevice
	// Credentials authenticate the client. A session is bound to the key of its DPoP proof (RFC 9449 §5).
	Credentials binding.Credentials
}

func (t *Terms) terms() *Terms { return t }

// ExchangeLogin is a login by token exchange (RFC 8693 §2.1): of a ServiceAccount with a token for this issuer, or of
// a person with an id_token of a provider of the issuer.
type ExchangeLogin struct {
	Terms
	SubjectToken, SubjectTokenType string
	ActorToken, ActorTokenType     string
	RequestedTokenType             string
}

// SignedIn is the authenticated subject of a login.
type SignedIn struct {
	Subject string
	method  v1alpha1.LoginMethod
	// namespace is where the session is created.
	namespace string
	// account is the ServiceAccount that signed in; nil for people.
	account *identity.ServiceAccount
	// provider is the issuer URL of the OpenID Connect provider; empty for none.
	provider string
	claims   map[string]apiextensionsv1.JSON
}

// Authenticate returns the subject that a login proves, or the refusal of its grant.
func (s *Service) Authenticate(ctx context.Context, issuer *registry.Issuer, login Login) (*SignedIn, error) {
	return login.authenticate(ctx, s, issuer)
}

func (l *ExchangeLogin) authenticate(ctx context.Context, s *Service, issuer *registry.Issuer) (*SignedIn, error) {
	signedIn, err := s.verifySubjectToken(ctx, issuer, l.SubjectToken)
	if errors.Is(err, identity.ErrRefused) {
		return nil, errSubjectToken()
	}
	return signedIn, err
}

// IssuedTokenType implements Login.
func (l *ExchangeLogin) IssuedTokenType() string { return oauth.TypeAccessToken }

// errSubjectToken is the refusal of RFC 8693 §2.2.2.
func errSubjectToken() *oauth.Error {
	return oauth.Refuse(oauth.InvalidRequest, "The subject_token is not accepted by this issuer.")
}

// Check implements Login.
func (l *ExchangeLogin) Check(*registry.Issuer) error {
	switch {
	case l.SubjectToken == "":
		return oauth.Refuse(oauth.InvalidRequest, "subject_token is missing.")
	case l.SubjectTokenType == "":
		return oauth.Refuse(oauth.InvalidRequest, "subject_token_type is missing.")
	case l.SubjectTokenType != oauth.TypeJWT && l.SubjectTokenType != oauth.TypeIDToken:
		return oauth.Refuse(oauth.InvalidRequest, "subject_token_type must be "+oauth.TypeJWT+" or "+oauth.TypeIDToken+".")
	case (l.ActorToken == "") != (l.ActorTokenType == ""):
		return oauth.Refuse(oauth.InvalidRequest, "actor_token and actor_token_type must be sent together.")
	case l.ActorToken != "":
		return oauth.Refuse(oauth.InvalidRequest, "Delegation is not supported: leave actor_token out.")
	case l.RequestedTokenType != "" && l.RequestedTokenType != oauth.TypeAccessToken:
		return oauth.Refuse(oauth.InvalidRequest, "requested_token_type must be "+oauth.TypeAccessToken+" or left out.")
	default:
		return nil
	}
}

// verifySubjectToken authenticates the subject token at the provider or the API server. The issuer that the token claims
// only chooses between them.
func (s *Service) verifySubjectToken(ctx context.Context, issuer *registry.Issuer, subjectToken string) (*SignedIn, error) {
	claimed := identity.ClaimedIssuer(subjectToken)
	if claimed == "" || claimed == issuer.URL {
		return nil, identity.ErrRefused
	}
	for i := range issuer.Login.Providers {
		provider := &issuer.Login.Providers[i]
		if provider.IssuerURL != claimed {
			continue
		}
		person, err := s.Providers.Verify(ctx, provider, subjectToken)
		if err != nil {
			return nil, err
		}
		return OfProvider(issuer, claimed, person), nil
	}
	account, err := s.Reviews.ServiceAccount(ctx, issuer.URL, subjectToken)
	if err != nil {
		return nil, err
	}
	return &SignedIn{Subject: account.Username(), method: v1alpha1.LoginServiceAccount, namespace: account.Namespace, account: account}, nil
}

// OfProvider returns the subject of a person that a provider of the issuer has proven.
func OfProvider(issuer *registry.Issuer, provider string, person *identity.Person) *SignedIn {
	return &SignedIn{
		Subject: person.Subject, method: v1alpha1.LoginOIDC, namespace: issuer.Login.SessionNamespace, provider: provider, claims: person.Claims,
	}
}

// PasswordLogin is a login by user name and password (RFC 6749 §4.3.2). It is off unless the issuer enables it, since
// RFC 9700 §2.4 forbids the grant.
type PasswordLogin struct {
	Terms
	Username, Password string
	// Address is where the request comes from.
	Address string
}

// Check implements Login.
func (l *PasswordLogin) Check(issuer *registry.Issuer) error {
	switch {
	case issuer.Login.Passwords == "":
		return oauth.Refuse(oauth.UnsupportedGrantType, "This issuer does not offer the password grant.")
	case l.Username == "" || l.Password == "":
		return oauth.Refuse(oauth.InvalidRequest, "username and password are both required.")
	case len(l.Password) > identity.MaxPassword:
		return oauth.Refuse(oauth.InvalidRequest, fmt.Sprintf("The password must be at most %d bytes.", identity.MaxPassword))
	default:
		return nil
	}
}

func (l *PasswordLogin) authenticate(ctx context.Context, s *Service, issuer *registry.Issuer) (*SignedIn, error) {
	err := s.Passwords.Verify(ctx, issuer.Login.Passwords, l.Username, l.Password, l.Address)
	switch {
	case errors.Is(err, identity.ErrTooMany):
		return nil, oauth.TooMany("Too many attempts for this user or from this address; try again later.")
	case errors.Is(err, identity.ErrRefused):
		return nil, oauth.Refuse(oauth.InvalidGrant, "The user name or the password is wrong.")
	case err != nil:
		return nil, err
	}
	return &SignedIn{Subject: l.Username, method: v1alpha1.LoginPassword, namespace: issuer.Login.SessionNamespace}, nil
}

// IssuedTokenType implements Login.
func (l *PasswordLogin) IssuedTokenType() string { return "" }

// audience returns the single API that a session is for.
func (t *Terms) audience() (string, error) {
	named := slices.Compact(slices.Sorted(slices.Values(t.Audiences)))
	switch {
	case len(named) == 0:
		return "", oauth.Refuse(oauth.InvalidRequest, "audience is missing: name the API that the tokens are for.")
	case len(named) > 1:
		return "", oauth.Refuse(oauth.InvalidTarget, "The tokens of one login are for one API: name only one audience.")
	default:
		return named[0], nil
	}
}
