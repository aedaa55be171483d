package lifecycle

import (
	"errors"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/policy"
)

const (
	// sessionKept is how long a session object exists after its end.
	sessionKept = 24 * time.Hour
	// loginGrace is longer than any login takes. A session that has not begun by then is deleted.
	loginGrace = time.Hour
)

// serviceAccountSubject is the prefix of the subject of every ServiceAccount.
const serviceAccountSubject = "system:serviceaccount:"

// ProvenSubject returns the subject that was authenticated at a login; empty without a login. Status alone is no proof,
// since a client that can write it could claim any subject. So a ServiceAccount must be of the key's namespace, and the
// sessions of people must be in the session namespace of the issuer. The presented token must have the same subject.
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

// SessionNamespace returns the namespace of the sessions of people who sign in at an issuer.
func SessionNamespace(issuer *v1alpha1.JWTIssuer, operatorNamespace string) string {
	if login := issuer.Spec.Login; login != nil && login.SessionNamespace != "" {
		return login.SessionNamespace
	}
	return operatorNamespace
}

// IsSession reports whether a login created the key. Only the token service mints the tokens of such a key.
func IsSession(key *v1alpha1.JWTRefreshKey) bool {
	return key.Status.Session != nil || (key.Labels[v1alpha1.LabelSession] != "" && sessionShaped(key))
}

// NotBegun reports whether a login created the key and has not recorded its first token yet.
func NotBegun(key *v1alpha1.JWTRefreshKey) bool {
	return IsSession(key) && key.Status.Session == nil && key.Status.Revision == 0
}

// sessionShaped reports whether a key has the spec of a session: one-time tokens, which no Secret holds.
func sessionShaped(key *v1alpha1.JWTRefreshKey) bool {
	return OneTime(key) && SecretName(key) == ""
}

// SessionEnd returns when a session ended; zero if it has not ended.
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

// sessionNotBegun ignores a session until the token service has recorded the login, and discards it after loginGrace.
func (d *decision) sessionNotBegun() *Plan {
	if !NotBegun(d.Key) {
		return nil
	}
	return d.discardAt(d.Key.CreationTimestamp.Add(loginGrace), &Plan{Ignore: true})
}

// sessionOver stalls a session that has ended, and discards it after sessionKept. Only another login creates a new one.
func (d *decision) sessionOver() *Plan {
	if !d.session {
		return nil
	}
	var plan *Plan
	switch end := SessionEnd(d.Key, d.now); {
	case d.Key.Spec.Revoked:
		return d.discardAt(d.revokedSince().Add(sessionKept), d.revoked(v1alpha1.RevokedRequested, "spec.revoked is true."))
	case d.status.RevokedAt != nil:
		plan = d.revokedFor(d.status.RevocationReason)
		return d.discardAt(end.Add(sessionKept), plan)
	case !end.IsZero():
		plan = &Plan{Verdict: stalled(v1alpha1.ReasonExpired, "The session has expired; sign in again.")}
		return d.discardAt(end.Add(sessionKept), plan)
	case d.rotateNowAsked():
		return d.revokedFor(v1alpha1.RevokedRequested)
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

// sessionLost revokes a session whose token is distrusted or withdrawn, since it has no next token.
func (d *decision) sessionLost() *Plan {
	if !d.session || (d.Distrust == "" && d.Issuer.KnowsHeldKey) {
		return nil
	}
	return d.revokedFor(v1alpha1.RevokedKeyWithdrawn)
}

func (d *decision) discardAt(at time.Time, meanwhile *Plan) *Plan {
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
