package replica

import (
	"errors"

	"github.com/refreshkeys/refreshkeys/internal/grant"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/session"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// Refresh exchanges a refresh token, and returns the answer and the Outcome.
func (r *Replica) Refresh(compact string, change ...func(*grant.RefreshRequest)) (*oauth.TokenAnswer, string) {
	r.t.Helper()
	request := &grant.RefreshRequest{Token: compact}
	for _, c := range change {
		c(request)
	}
	return r.Token(request)
}

// SignIn exchanges a subject token for a session, and returns the answer and the Outcome.
func (r *Replica) SignIn(subjectToken string, change ...func(*session.ExchangeLogin)) (*oauth.TokenAnswer, string) {
	r.t.Helper()
	login := &session.ExchangeLogin{
		Terms: session.Terms{Audiences: []string{Audience}}, SubjectToken: subjectToken, SubjectTokenType: oauth.TypeJWT,
	}
	for _, c := range change {
		c(login)
	}
	return r.Token(&grant.LoginRequest{Login: login})
}

// SignInByPassword begins a session of a user, and returns the answer and the Outcome.
func (r *Replica) SignInByPassword(user, password string) (*oauth.TokenAnswer, string) {
	r.t.Helper()
	return r.Token(&grant.LoginRequest{Login: &session.PasswordLogin{
		Terms: session.Terms{Audiences: []string{Audience}}, Username: user, Password: password, Address: "192.0.2.1",
	}})
}

// Token sends any request for tokens. The answer is never nil.
func (r *Replica) Token(request grant.Request) (*oauth.TokenAnswer, string) {
	r.t.Helper()
	answer, err := r.Grants.Token(r.t.Context(), r.Found(), request, &grant.Outcome{})
	if err != nil {
		return &oauth.TokenAnswer{}, Outcome(err)
	}
	return answer, Outcome(nil)
}

// LogOut revokes a token and returns the Outcome.
func (r *Replica) LogOut(compact string) string {
	r.t.Helper()
	return Outcome(r.Grants.Revoke(r.t.Context(), r.Found(), compact, "", &grant.Outcome{}))
}

// Outcome returns "ok" for no error, the error code of a refusal, "unavailable", and otherwise the text of the error.
func Outcome(err error) string {
	var refusal *oauth.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &refusal):
		return string(refusal.Code)
	case errors.Is(err, upstream.ErrUnavailable):
		return "unavailable"
	default:
		return err.Error()
	}
}
