package grant

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/authorize"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/seal"
	"github.com/refreshkeys/refreshkeys/internal/session"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// CodeRequest is a request to redeem an authorization code (RFC 6749 §4.1.3, RFC 7636 §4.5).
type CodeRequest struct {
	Code        string
	ClientID    string
	RedirectURI string
	Verifier    string
	// Resources are the requested APIs (RFC 8707 §2.2); none for that of the code.
	Resources []string
	// Terms are the device and the credentials of the client. The code says what the tokens are for.
	Terms session.Terms
}

// Check implements Request.
func (r *CodeRequest) Check(issuer *registry.Issuer) error {
	switch {
	case len(issuer.Login.Clients) == 0:
		return oauth.Refuse(oauth.UnsupportedGrantType, "This issuer has no clients that people sign in to.")
	case r.Code == "":
		return oauth.Refuse(oauth.InvalidRequest, "code is missing.")
	case r.ClientID == "":
		return oauth.Refuse(oauth.InvalidRequest, "client_id is missing.")
	case r.Verifier == "":
		return oauth.Refuse(oauth.InvalidRequest, "code_verifier is missing.")
	default:
		return nil
	}
}

// Answer implements Request: it begins the session of the code, and returns its first tokens.
func (r *CodeRequest) Answer(ctx context.Context, s *Fresh, issuer *registry.Issuer, outcome *Outcome) (*oauth.TokenAnswer, error) {
	code, issuer, err := s.openCode(ctx, issuer, r.Code)
	if err != nil {
		return nil, err
	}
	if err := code.Redeems(r.ClientID, r.RedirectURI, r.Verifier); err != nil {
		return nil, err
	}
	outcome.Subject = code.SignedIn.Subject
	begun, err := s.sessions.Redeem(ctx, s.registry, issuer, code, &r.Terms, r.refused(issuer, code))
	if err != nil {
		return nil, err
	}
	return s.signedIn(issuer, code, begun, outcome)
}

// refused returns why a code gives no new session: by the declaration of its client, or by the request. A second redemption ends the session all the same.
func (r *CodeRequest) refused(issuer *registry.Issuer, code *authorize.Code) error {
	if code.Request.Stands(issuer.Login.Clients) == nil {
		return oauth.Refuse(oauth.UnauthorizedClient, "The issuer does not declare this client, or what the code is for, any more.")
	}
	if slices.ContainsFunc(r.Resources, func(resource string) bool { return resource != code.Request.Audience }) {
		return oauth.Refuse(oauth.InvalidTarget, "The code is for another resource.")
	}
	return nil
}

// signedIn returns the first tokens of a session that a code began, with an id_token if its scopes have openid.
func (s *Fresh) signedIn(issuer *registry.Issuer, code *authorize.Code, begun *session.Result, outcome *Outcome) (*oauth.TokenAnswer, error) {
	outcome.of(begun.Claims)
	answer, err := s.firstTokens(issuer, begun, outcome)
	if err != nil || !slices.Contains(code.Request.Scopes, v1alpha1.ScopeOpenID) {
		return answer, err
	}
	answer.IDToken, err = idToken(issuer, code, answer, begun, s.clock.Now())
	return answer, err
}

// ProvePushed returns the thumbprint of the key that a client proves when it pushes a request (RFC 9449 §10.1); empty without a proof. It does
// not use the proof up: anyone can push, and would fill the memory of used proofs. A proof that is sent again binds to the same key.
func (s *Service) ProvePushed(issuer *registry.Issuer, url string, proofs []string) (string, error) {
	if len(proofs) == 0 {
		return "", nil
	}
	proven, err := s.clients.Proofs.Prove([]string{url}, issuer.Rings, proofs)
	return proven.Thumbprint, err
}

// openCode returns what a code holds, and the issuer with the ring that opened it.
func (s *Fresh) openCode(ctx context.Context, issuer *registry.Issuer, text string) (*authorize.Code, *registry.Issuer, error) {
	if len(text) > authorize.MaxCode {
		return nil, nil, oauth.Refuse(oauth.InvalidRequest, "code is longer than any code of the service.")
	}
	code := &authorize.Code{}
	issuer, err := s.open(ctx, issuer, authorize.SealedCode, "", text, code)
	if errors.Is(err, seal.ErrForeign) || errors.Is(err, seal.ErrExpired) {
		err = authorize.ErrCode()
	}
	return code, issuer, err
}

// open opens a sealed value into v, and returns the issuer whose ring opened it. The errors are seal.ErrForeign, seal.ErrExpired and
// upstream.ErrUnavailable: a key that the issuer does not have is no verdict on the value.
func (s *Fresh) open(ctx context.Context, issuer *registry.Issuer, purpose seal.Purpose, binding, text string, v any) (*registry.Issuer, error) {
	issuer, err := registry.OpenSealed(ctx, s.registry, issuer, purpose, binding, text, v, s.clock.Now())
	if errors.Is(err, seal.ErrUnknownKey) {
		err = upstream.Unavailable("the " + string(purpose) + " was sealed with a key that the issuer does not have")
	}
	return issuer, err
}

// idToken signs the id_token of an answer (OpenID Connect Core §3.1.3.3). It lives as long as the access token.
func idToken(issuer *registry.Issuer, code *authorize.Code, answer *oauth.TokenAnswer, begun *session.Result, now time.Time) (string, error) {
	issued := now.UTC().Truncate(time.Second)
	return token.MintID(begun.Access, &token.IDClaims{
		Issuer: issuer.URL, Subject: code.SignedIn.Subject, Audience: code.Request.Client,
		IssuedAt: issued, ExpiresAt: issued.Add(time.Duration(answer.ExpiresIn) * time.Second), AuthTime: code.SignedIn.At,
		Nonce: code.Request.Nonce, Access: answer.AccessToken, Extra: begun.Claims.Extra,
	})
}
