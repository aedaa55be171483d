package grant

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// room tells whether there may be one session more.
func (s *Service) checkLimits(issuer *registry.Issuer, who *signedIn) error {
	if !s.logins.Allow(issuer.Name+"\x00"+who.subject, s.clock.Now()) {
		return oauth.TooMany("This subject signs in too often.")
	}
	if s.registry.Sessions(issuer.Name) >= issuer.Login.MaxSessions {
		return fmt.Errorf("%w: the issuer has reached its limit of sessions", registry.ErrUnavailable)
	}
	return nil
}

// makeRoom ends the sessions of the subject that are too many beside the new one: first those
// that are over, then those that were not used for the longest time. Each login looks at what
// there is after its own is made, so that of several at once none leaves too many. These do not
// end each other: all see them in one order, and the last of it stay.
func (s *Service) makeRoom(ctx context.Context, issuer *registry.Issuer, begun *v1alpha1.JWTRefreshKey) error {
	for range sessionTries {
		sessions, err := s.registry.SessionsOf(ctx, begun.Namespace, begun.Labels[v1alpha1.LabelSessionOf])
		if err != nil {
			return err
		}
		sessions = slices.DeleteFunc(sessions, func(other v1alpha1.JWTRefreshKey) bool { return !ofSameSubject(&other, begun) })
		going := excess(sessions, begun.UID, issuer.Login.SessionsPerSubject, s.clock.Now())
		if slices.ContainsFunc(going, func(one v1alpha1.JWTRefreshKey) bool { return one.UID == begun.UID }) {
			return fmt.Errorf("%w: too many logins of the subject are under way", registry.ErrUnavailable)
		}
		if err = s.evict(ctx, going); !errors.Is(err, registry.ErrLost) {
			return err
		}
	}
	return unavailable("the sessions of the subject change too often")
}

// beside tells the sessions of one subject from what only carries their label, as whoever may edit
// keys can have it do: a login deletes nothing for him that he may not delete himself.
func ofSameSubject(other, begun *v1alpha1.JWTRefreshKey) bool {
	if session := other.Status.Session; session != nil {
		return session.Subject == begun.Spec.Subject && lifecycle.IssuerName(other) == lifecycle.IssuerName(begun)
	}
	// Of a login that is under way, or came to nothing, there is no token yet.
	return lifecycle.NotBegun(other) && other.Spec.Subject == begun.Spec.Subject
}

func (s *Service) evict(ctx context.Context, sessions []v1alpha1.JWTRefreshKey) error {
	for i := range sessions {
		if err := s.registry.EndSession(ctx, &sessions[i]); err != nil {
			return err
		}
	}
	return nil
}

// loginTakes is longer than a login can be under way.
const loginTakes = time.Minute

// excess are the sessions to end, so that at most so many remain. Logins that are under way come
// last, and the new one is among them.
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
			// Status tells whole seconds: of two in one, that which was never used goes first.
			return cmp.Or(lastActive(&a).Compare(lastActive(&b)), cmp.Compare(a.Status.LastUsedRevision, b.Status.LastUsedRevision), cmp.Compare(a.Name, b.Name))
		})
	}
	return slices.Concat(over, going, underWay)[:len(sessions)-most]
}

// lastActive is when a session was used last, or made.
func lastActive(key *v1alpha1.JWTRefreshKey) time.Time {
	if at := key.Status.LastUsed; at != nil {
		return at.Time
	}
	return key.CreationTimestamp.Time
}
