package lifecycle

import (
	"fmt"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// notice is a condition about a part of spec that has no effect, or an unexpected one. It is present only while True,
// and does not change Ready, Reconciling and Stalled.
type notice struct{ kind, reason, message string }

func noticeOf(notices []notice, kind string) notice {
	for _, n := range notices {
		if n.kind == kind {
			return n
		}
	}
	return notice{}
}

// noticed returns the notices that apply. v1alpha1.NoticeConditions lists their types.
func (d *decision) noticed() (notices []notice) {
	for _, find := range []func() (notice, bool){d.restartIgnored, d.reuseUndetected} {
		if n, applies := find(); applies {
			notices = append(notices, n)
		}
	}
	return notices
}

// restartIgnored returns the notice for a spec.rolloutRestart that restarts nothing.
func (d *decision) restartIgnored() (notice, bool) {
	n := notice{kind: v1alpha1.ConditionRestartIgnored, reason: v1alpha1.ReasonRestartsDisabled}
	switch {
	case len(d.Key.Spec.RolloutRestart) == 0:
		return n, false
	case !d.RestartsEnabled:
		n.message = "spec.rolloutRestart has no effect: the manager runs without --restarts. Ask the administrator to enable restarts (restarts.enabled in the Helm chart), or remove the field."
	case d.values.mode == v1alpha1.RotationOneTimeUse:
		n.reason = v1alpha1.ReasonNothingRotates
		n.message = "spec.rolloutRestart has no effect with rotation.mode OneTimeUse: the next token goes to the client and not into the Secret. Remove the field."
	case SecretName(d.Key) == "":
		n.reason = v1alpha1.ReasonNothingRotates
		n.message = "spec.rolloutRestart has no effect with secret.mode None: no Secret holds the next token. Remove the field."
	default:
		return n, false
	}
	return n, true
}

// reuseUndetected returns the notice for a retryGrace within which a thief is never detected. Within retryGrace a used
// token is answered again, so a thief who refreshes at least once in that time looks like the holder. If access tokens
// end earlier than retryGrace, the thief and the holder have to refresh that often.
func (d *decision) reuseUndetected() (notice, bool) {
	grace := RetryGrace(d.Key)
	if d.values.mode != v1alpha1.RotationOneTimeUse || d.values.terms.JWKThumbprint != "" || grace < d.values.accessLifetime {
		return notice{}, false
	}
	return notice{v1alpha1.ConditionReuseUndetected, v1alpha1.ReasonRetryGraceTooLong, fmt.Sprintf(
		"spec.rotation.retryGrace (%s) is not shorter than the lifetime of an access token (%s): the reuse of a stolen token is never detected while the thief refreshes regularly. "+
			"Shorten retryGrace, lengthen accessToken.lifetime, or bind the key with binding.jwkThumbprint.",
		grace.Truncate(time.Second), d.values.accessLifetime.Truncate(time.Second))}, true
}
