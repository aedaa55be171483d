package lifecycle

import (
	"errors"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/policy"
)

const (
	// sessionKept is how long a session can be looked at after its end.
	sessionKept = 24 * time.Hour
	// loginGrace is longer than any login takes: a session that has not begun by then never will.
	loginGrace = time.Hour
)

// serviceAccountSubject is what every ServiceAccount's subject begins with.
const serviceAccountSubject = "system:serviceaccount:"

// ProvenSubject is the subject that the holder of a key proved at a login, empty where nobody
// did. Status alone proves nothing: whoever could write it would be whom he likes. So a
// ServiceAccount is one of the key's own namespace, and people have their sessions where
// the issuer keeps them. The token that is presented has to say the same.
func ProvenSubject(key *v1alpha1.JWTRefreshKey, sessionNamespace string) string {
	session := key.Status.Session
	if session == nil {
		return ""
	}
	if session.Method == v1alpha1.LoginServiceAccount {
		name, own := strings.CutPrefix(session.Subject, serviceAccountSubject+key.Namespace+":")
		if !own || name == "" || strings.Contains(name, ":") {
			return ""
		}
		return session.Subject
	}
	if key.Namespace != sessionNamespace || policy.Reserved(session.Subject) {
		return ""
	}
	return session.Subject
}

// SessionNamespace is where the people who sign in at an issuer have their sessions.
func SessionNamespace(issuer *v1alpha1.JWTIssuer, operatorNamespace string) string {
	if login := issuer.Spec.Login; login != nil && login.SessionNamespace != "" {
		return login.SessionNamespace
	}
	return operatorNamespace
}

// IsSession tells whether a login made the key: its tokens are made by the token service alone.
func IsSession(key *v1alpha1.JWTRefreshKey) bool {
	return key.Status.Session != nil || (key.Labels[v1alpha1.LabelSession] != "" && sessionShaped(key))
}

// NotBegun tells whether a login made the key, and has not put its first token on record yet.
func NotBegun(key *v1alpha1.JWTRefreshKey) bool {
	return IsSession(key) && key.Status.Session == nil && key.Status.Revision == 0
}

// sessionShaped: whoever signed in holds the only token, and it stands nowhere.
func sessionShaped(key *v1alpha1.JWTRefreshKey) bool {
	return OneTime(key) && SecretName(key) == ""
}

// SessionEnd is when a session ended; zero while it goes on.
func SessionEnd(key *v1alpha1.JWTRefreshKey, now time.Time) (end time.Time) {
	consider := func(t time.Time) {
		if !now.Before(t) && (end.IsZero() || t.Before(end)) {
			end = t
		}
	}
	if at := key.Status.RevokedAt; at != nil {
		consider(at.Time)
	}
	if at := key.Status.ExpiresAt; at != nil {
		consider(at.Time)
	}
	if at := key.Spec.ExpiresAt; at != nil {
		consider(at.Time)
	}
	return end
}

// sessionNotBegun: the token service is about to put the login on record.
func (d *decision) sessionNotBegun() *Plan {
	if !NotBegun(d.Key) {
		return nil
	}
	return d.removeAt(d.Key.CreationTimestamp.Add(loginGrace), &Plan{Ignore: true})
}

// sessionOver: nothing brings a session back but another login.
func (d *decision) sessionOver() *Plan {
	if !d.session {
		return nil
	}
	var plan *Plan
	switch end := SessionEnd(d.Key, d.now); {
	case d.Key.Spec.Revoked:
		return d.removeAt(d.revokedSince().Add(sessionKept), d.revoked(v1alpha1.RevokedRequested, "spec.revoked is true."))
	case d.status.RevokedAt != nil:
		plan = d.revoked(d.status.RevocationReason, "The session is over; sign in again.")
		return d.removeAt(end.Add(sessionKept), plan)
	case !end.IsZero():
		plan = &Plan{Verdict: stalled(v1alpha1.ReasonExpired, "The session has expired; sign in again.")}
		return d.removeAt(end.Add(sessionKept), plan)
	case d.rotateNowAsked():
		return d.revoked(v1alpha1.RevokedRequested, "All its tokens were revoked by "+v1alpha1.AnnotationRotateNow+"; sign in again.")
	default:
		return nil
	}
}

func (d *decision) revokedSince() time.Time {
	if at := d.status.RevokedAt; at != nil {
		return at.Time
	}
	return d.now
}

// sessionLost: a session whose token cannot be trusted, or is withdrawn, has none to follow.
func (d *decision) sessionLost() *Plan {
	if !d.session || (d.Distrust == "" && d.Issuer.KnowsHeldKey) {
		return nil
	}
	return d.revoked(v1alpha1.RevokedKeyWithdrawn, "The token cannot be used any more; sign in again.")
}

func (d *decision) removeAt(at time.Time, meanwhile *Plan) *Plan {
	if d.now.Before(at) {
		meanwhile.Next = at
		return meanwhile
	}
	return &Plan{Discard: true}
}

func (d *decision) validateSession() error {
	switch session := d.status.Session; {
	case session == nil:
		return nil
	case d.Key.Spec.Subject != session.Subject:
		return errors.New("spec.subject is not the subject that signed in; set it to status.session.subject, or delete the session")
	case !sessionShaped(d.Key):
		return errors.New("a session has rotation.mode OneTimeUse and secret.mode None; set them again, or delete it")
	default:
		return nil
	}
}
