package lifecycle

import (
	"slices"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

const (
	// graceSkew is how much longer than retryGrace a superseded token is accepted: the replica that decides and the
	// replica that made the successor can differ, and so can their clocks.
	graceSkew = 5 * time.Second
	// maxViewAge is the oldest view on which a token is handed out again without a write, which would fail on an
	// outdated view.
	maxViewAge = time.Minute
)

// OneTimeUse is the use of a one-time token of a key that is not revoked, with the view of the key.
type OneTimeUse struct {
	// Key is the object as it was read. DecideOneTime does not change it.
	Key *v1alpha1.JWTRefreshKey
	// JTI and Revision are those of the presented token. Its signature and end are verified.
	JTI      string
	Revision int64
	// HolderProven is true if the client proved the DPoP key to which the presented token and the current
	// token are bound. A proof beside an unbound token does not count.
	HolderProven bool
	// TermsDiffer is true if spec asks for another token than the current one.
	TermsDiffer bool
	// Live is true if the key was read from the API server for this decision. Otherwise ViewAge is
	// how long ago the view was proven.
	Live    bool
	ViewAge time.Duration
	Now     time.Time
}

// OneTimeAnswer is the answer to a use of a one-time token.
type OneTimeAnswer int

// The answers. A live read does not change a final answer.
const (
	// OneTimeRefused means that the token is no longer accepted, without further effects. Final.
	OneTimeRefused OneTimeAnswer = iota
	// OneTimeReused means that a token was used twice, and the line ends. Final.
	OneTimeReused
	// OneTimeRead means that the view is too old: read the key from the API server and decide again.
	OneTimeRead
	// OneTimeFollow means that the next token supersedes this one, by compare-and-swap.
	OneTimeFollow
	// OneTimeAgain means that the token stays current, and the client keeps it.
	OneTimeAgain
	// OneTimeCurrent means that the client gets the current token.
	OneTimeCurrent
	// OneTimeRollOver means that the client gets the current token if that grants no more, and keeps its own otherwise.
	OneTimeRollOver
	// OneTimeUnrecorded means that the line is not recorded yet; the token can be used soon.
	OneTimeUnrecorded
	// OneTimeWaits means that the token is accepted, but cannot be superseded until the grace of a superseded one is over.
	OneTimeWaits
	// OneTimeUnknown means that the line does not record when the token was superseded; its grace is over soon.
	OneTimeUnknown
)

// Good reports whether the token can be exchanged, now or soon.
func (a OneTimeAnswer) Good() bool {
	switch a {
	case OneTimeFollow, OneTimeAgain, OneTimeCurrent, OneTimeRollOver, OneTimeUnrecorded, OneTimeWaits:
		return true
	default:
		return false
	}
}

// DecideOneTime returns the answer to a use of a one-time token, by a decision table: k is the presented revision, R the
// current one, F the first accepted one, G the grace, and f(k) when k was superseded. The first row that applies decides.
func DecideOneTime(u *OneTimeUse) OneTimeAnswer {
	status := &u.Key.Status
	k, r := u.Revision, status.Revision
	switch {
	case k < status.FirstRevision:
		return OneTimeRefused
	case r == 0 && k == 1:
		return u.onLive(OneTimeUnrecorded)
	case k > r, k == r && u.JTI != status.JTI:
		return u.onLive(OneTimeRefused)
	case k == r:
		return u.current()
	case u.HolderProven:
		return OneTimeCurrent
	default:
		return u.superseded()
	}
}

// current returns the answer for the current token.
func (u *OneTimeUse) current() OneTimeAnswer {
	enrolment := IsEnrolment(u.Key)
	if !enrolment && !u.TermsDiffer && u.young() {
		return u.again()
	}
	if _, fits := KeptInGrace(u.Key, u.Now); fits {
		return OneTimeFollow
	}
	if enrolment {
		return u.onLive(OneTimeWaits)
	}
	return u.again()
}

func (u *OneTimeUse) again() OneTimeAnswer {
	if u.ViewAge > maxViewAge {
		return u.onLive(OneTimeAgain)
	}
	return OneTimeAgain
}

// superseded returns the answer for a superseded token whose holder proved no DPoP key.
func (u *OneTimeUse) superseded() OneTimeAnswer {
	status := &u.Key.Status
	used := u.Revision <= status.LastUsedRevision
	listed := slices.ContainsFunc(status.Previous, func(t v1alpha1.SupersededToken) bool { return t.JTI == u.JTI && t.Revision == u.Revision })
	followedAt, known := followedAt(status, u.Revision)
	switch {
	case listed && !used:
		return OneTimeRollOver
	case listed && known && inGrace(u.Key, followedAt, u.Now):
		return OneTimeCurrent
	case !used:
		// The token is from an earlier enrolment and no longer in overlap. Its use ends no line.
		return u.onLive(OneTimeRefused)
	case !known && inGrace(u.Key, oldestKnown(status), u.Now):
		return u.onLive(OneTimeUnknown)
	default:
		return u.onLive(OneTimeReused)
	}
}

// onLive returns the answer if the key was read live, and OneTimeRead otherwise.
func (u *OneTimeUse) onLive(answer OneTimeAnswer) OneTimeAnswer {
	if u.Live {
		return answer
	}
	return OneTimeRead
}

// young reports whether the current token is younger than the grace; false if its creation time is not recorded.
func (u *OneTimeUse) young() bool {
	return u.Now.Before(Timeline(u.Key).Grace)
}

// IsEnrolment reports whether the current one-time token is in a Secret for an enrolment and
// has not been used. Its first use makes the next token and empties the Secret.
func IsEnrolment(key *v1alpha1.JWTRefreshKey) bool {
	used := key.Status.LastUsedRevision
	return SecretName(key) != "" && (used == 0 || used != key.Status.Revision-1)
}

// KeptInGrace returns the superseded tokens of a line if the next token supersedes the current one now: those in their
// grace, and the current one. It returns false if there are more than a line keeps. Then the current token must stay,
// since a client with a dropped token would count as a thief.
func KeptInGrace(key *v1alpha1.JWTRefreshKey, now time.Time) ([]v1alpha1.SupersededToken, bool) {
	status := &key.Status
	var kept []v1alpha1.SupersededToken
	for _, token := range status.Previous {
		if at, known := followedAt(status, token.Revision); known && inGrace(key, at, now) && now.Before(token.ExpiresAt.Time) {
			kept = append(kept, token)
		}
	}
	if status.CreatedAt != nil && status.ExpiresAt != nil {
		kept = append(kept, Superseded(&status.TokenLine))
	}
	return kept, len(kept) <= maxPrevious
}

// followedAt returns when a revision was superseded by the next, if the line records it.
func followedAt(status *v1alpha1.JWTRefreshKeyStatus, revision int64) (time.Time, bool) {
	if revision+1 == status.Revision && status.CreatedAt != nil {
		return status.CreatedAt.Time, true
	}
	for _, token := range status.Previous {
		if token.Revision == revision+1 {
			return token.CreatedAt.Time, true
		}
	}
	return time.Time{}, false
}

// oldestKnown returns when the oldest recorded token was created.
func oldestKnown(status *v1alpha1.JWTRefreshKeyStatus) (oldest time.Time) {
	if status.CreatedAt != nil {
		oldest = status.CreatedAt.Time
	}
	for _, token := range status.Previous {
		if oldest.IsZero() || token.CreatedAt.Time.Before(oldest) {
			oldest = token.CreatedAt.Time
		}
	}
	return oldest
}

// inGrace reports whether a token that was superseded at followedAt is still exchanged for its successor.
func inGrace(key *v1alpha1.JWTRefreshKey, followedAt, now time.Time) bool {
	end := graceEnd(key, followedAt)
	return !end.IsZero() && now.Before(end.Add(graceSkew))
}
