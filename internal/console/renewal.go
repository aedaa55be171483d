package console

import (
	"context"
	"errors"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// renewBefore is how long before its end a credential is renewed. One that lives for a few minutes is renewed in the last quarter of
// its life.
const renewBefore = time.Minute

// renewal returns when the credential of a person is renewed.
func (p *person) renewal() time.Time {
	until := p.credential.Until
	return until.Add(-min(renewBefore, until.Sub(p.since)/4))
}

// betweenRenewals is how long a stream lasts after a renewal that failed, while the credential is good.
const betweenRenewals = 10 * time.Second

// nextRenewal returns when a stream that opens now ends, so that its next opening renews the credential. After a renewal that failed, the
// credential is in use until its end.
func (p *person) nextRenewal(now time.Time) time.Time {
	if at := p.renewal(); now.Before(at) {
		return at
	}
	if again := now.Add(betweenRenewals); again.Before(p.credential.Until) {
		return again
	}
	return p.credential.Until
}

// current returns the person of a session, with the next credential if the one in use ends soon or was refused. A session whose
// credential cannot be renewed ends with it.
func (s *Server) current(ctx context.Context, one *session) (*person, error) {
	p := s.sessions.personOf(one)
	c := p.credential
	now := s.clock.Now()
	if c.Renew == nil || !p.refusals.refused.Load() && (c.Until.IsZero() || now.Before(p.renewal())) {
		return p, nil
	}
	next, err := s.renewals.Do(ctx, string(one.key[:]), func(ctx context.Context) (*person, error) { return s.renew(ctx, one, p) })
	switch {
	case err == nil:
		return next, nil
	case !p.refusals.refused.Load() && now.Before(c.Until):
		return p, nil
	case isPassing(err):
		return nil, fail(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "the session cannot be renewed now")
	default:
		s.log.Info("a session ends, since its credential cannot be renewed", "user", p.user, "cause", cause(err).Error())
		s.sessions.end(one)
		return nil, errNoSession
	}
}

// isPassing reports whether a renewal may succeed later: the provider or the API server is away, or answers, but not that it refuses
// the credential.
func isPassing(err error) bool {
	var answered apierrors.APIStatus
	return isAway(err) || errors.Is(err, upstream.ErrUnavailable) || errors.As(err, &answered) && !apierrors.IsUnauthorized(err)
}

// renew gives a session its next credential, which must be of the same user.
func (s *Server) renew(ctx context.Context, one *session, before *person) (*person, error) {
	if p := s.sessions.personOf(one); p != before {
		return p, nil
	}
	credential, err := before.credential.Renew(ctx)
	if err != nil {
		return nil, err
	}
	p, err := s.identify(ctx, credential)
	if err != nil {
		return nil, err
	}
	if p.user != before.user {
		return nil, errors.New("the next credential is of another user")
	}
	s.sessions.renewed(one, p)
	return p, nil
}

// endIfRefused ends a session whose credential the API server refused and that cannot be renewed. That of a kubeconfig stays: its
// plugin gets another credential for the next request.
func (s *Server) endIfRefused(one *session, p *person) {
	if p.refusals.refused.Load() && p.credential.Renew == nil && p.means != wire.Kubeconfig {
		s.sessions.end(one)
	}
}
