package session

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// checkLimits returns an error if the subject signs in too often, or the issuer has MaxSessions.
func (l *login) checkLimits() error {
	if !l.attempts.Allow(l.issuer.Name+"\x00"+l.signedIn.Subject, l.Clock.Now()) {
		return oauth.TooMany("This subject signs in too often.")
	}
	if l.registry.Sessions(l.issuer.Name) >= l.issuer.Login.MaxSessions {
		return upstream.Unavailable("the issuer has reached its limit of sessions")
	}
	return nil
}

// makeRoom ends the subject's sessions above the limit, but not the new one: first those that have ended, then the
// least recently used ones. Each login lists the sessions after it created its own, so concurrent logins leave no
// more than the limit. They do not end each other: all use the same order, and the last ones remain.
func (l *login) makeRoom(ctx context.Context, begun *v1alpha1.JWTRefreshKey) error {
	for range sessionTries {
		sessions, err := l.registry.SessionsOf(ctx, begun.Namespace, begun.Labels[v1alpha1.LabelSessionOf])
		if err != nil {
			return err
		}
		sessions = slices.DeleteFunc(sessions, func(other v1alpha1.JWTRefreshKey) bool { return !ofSameSubject(&other, begun) })
		if sessions, err = withoutRedeemable(sessions, begun.UID, l.Clock.Now()); err != nil {
			return err
		}
		going := excess(sessions, begun.UID, l.issuer.Login.SessionsPerSubject, l.Clock.Now())
		if slices.ContainsFunc(going, func(one v1alpha1.JWTRefreshKey) bool { return one.UID == begun.UID }) {
			return upstream.Unavailable("too many logins of the subject are under way")
		}
		if err = l.evict(ctx, going); !errors.Is(err, registry.ErrLost) {
			return err
		}
	}
	return upstream.Unavailable("the sessions of the subject change too often")
}

// ofSameSubject reports whether another refresh key is a session of the same subject and issuer. Users with the
// right to edit refresh keys can set the label on others; a login must not delete those for them.
func ofSameSubject(other, begun *v1alpha1.JWTRefreshKey) bool {
	if session := other.Status.Session; session != nil {
		return session.Subject == begun.Spec.Subject && lifecycle.IssuerName(other) == lifecycle.IssuerName(begun)
	}
	// A login that is under way or has failed has no token yet.
	return lifecycle.NotBegun(other) && other.Spec.Subject == begun.Spec.Subject
}

func (l *login) evict(ctx context.Context, sessions []v1alpha1.JWTRefreshKey) error {
	for i := range sessions {
		if err := l.registry.EndSession(ctx, &sessions[i]); err != nil {
			return err
		}
	}
	return nil
}

// loginTakes is longer than any login takes.
const loginTakes = time.Minute

// excess returns the sessions to end, so that at most the given number remains. Logins under way, the new one
// included, are ended last.
func excess(sessions []v1alpha1.JWTRefreshKey, begun types.UID, most int, now time.Time) []v1alpha1.JWTRefreshKey {
	if len(sessions) <= most {
		return nil
	}
	var over, going, underWay []v1alpha1.JWTRefreshKey
	for _, session := range sessions {
		recorded := session.Status.Session != nil
		switch {
		case session.UID == begun:
			underWay = append(underWay, session)
		case !lifecycle.SessionEnd(&session, now).IsZero(), !recorded && now.Sub(session.CreationTimestamp.Time) > loginTakes:
			over = append(over, session)
		case recorded:
			going = append(going, session)
		default:
			underWay = append(underWay, session)
		}
	}
	for _, some := range [][]v1alpha1.JWTRefreshKey{over, going, underWay} {
		slices.SortFunc(some, func(a, b v1alpha1.JWTRefreshKey) int {
			// Status has whole seconds: of two in the same second, the one that was never used is first.
			return cmp.Or(lastActive(&a).Compare(lastActive(&b)), cmp.Compare(a.Status.LastUsedRevision, b.Status.LastUsedRevision), cmp.Compare(a.Name, b.Name))
		})
	}
	return slices.Concat(over, going, underWay)[:len(sessions)-most]
}

// lastActive returns when a session was last used, or when it was created.
func lastActive(key *v1alpha1.JWTRefreshKey) time.Time {
	if at := key.Status.LastUsed; at != nil {
		return at.Time
	}
	return key.CreationTimestamp.Time
}
