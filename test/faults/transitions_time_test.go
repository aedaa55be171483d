package faults

import (
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// jump is how far the clock advances before timeTransitions, whose keys are made for it.
const jump = 70 * time.Minute

// timeTransitions are transitions that become due by time and happen at the next reconcile.
var timeTransitions = []*transition{
	{
		name: "renewal due", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){lifetime(90 * time.Minute), renewBefore(30 * time.Minute)},
		apply: touchKey, want: outcome{advanced: 1, superseded: 1},
	},
	{
		name: "end in mode Never", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){lifetime(time.Hour), never},
		apply: touchKey, want: outcome{reason: v1alpha1.ReasonExpired, tokenless: true}, refusesOld: true,
	},
	{
		name: "spec.expiresAt is reached by a token with that expiry", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){endsInAnHour},
		apply: touchKey, want: outcome{reason: v1alpha1.ReasonExpired, tokenless: true}, refusesOld: true,
	},
	{
		name: "spec.expiresAt is reached by a token from before it was set", writes: 2,
		setup: []step{{do: func(c *crashCase) { c.editKey(endsInAnHour) }, want: outcome{advanced: 1}}},
		apply: touchKey, want: outcome{reason: v1alpha1.ReasonExpired, tokenless: true}, refusesOld: true,
	},
	{
		name: "first issue into an orphaned Secret", writes: 2, needsOrphan: true, setup: []step{
			keyDeleted,
			{do: createKey, want: outcome{reason: v1alpha1.ReasonWaitingForSecret, untouched: true}},
		},
		apply: touchKey, want: outcome{advanced: 1, also: ownedByReference}, refusesOld: true,
	},
	{
		name: "removal of the old Secret after a rename", writes: 1,
		setup: []step{{do: setSecretSpec(withSecretRenamed), want: outcome{advanced: 1, also: bothHoldTheToken}}},
		apply: touchKey, want: outcome{also: oldSecretGone},
	},
	{
		name: "retirement at overlap.max", writes: 1, key: []func(*v1alpha1.JWTRefreshKey){overlapMax(time.Hour)},
		setup: []step{{do: rotate, want: outcome{advanced: 2, superseded: 1}}},
		apply: touchKey, want: outcome{},
	},
	{
		name: "renewal of the access token", writes: 1, issuer: []func(*v1alpha1.JWTIssuer){longAccess},
		key: []func(*v1alpha1.JWTRefreshKey){withAccessToken}, apply: touchKey, want: outcome{also: renewedAccess},
	},
	{
		name: "withdrawn access key whose successor may sign", writes: 3, issuer: []func(*v1alpha1.JWTIssuer){lastingAccess},
		key: []func(*v1alpha1.JWTRefreshKey){withAccessToken}, apply: withdrawAccess, want: outcome{also: accessIssuedAgain},
	},
	{
		name: "successor of a withdrawn access key becomes active", writes: 4, issuer: []func(*v1alpha1.JWTIssuer){lastingAccess},
		key:   []func(*v1alpha1.JWTRefreshKey){withAccessToken},
		setup: []step{{do: withdrawAccess, want: outcome{advanced: 1, issuer: v1alpha1.ReasonKeyPending, also: holdsNoAccess}}},
		apply: touchIssuer, want: outcome{also: accessOfTheNextKey},
	},
	{
		name: "rotation of the signing keys", writes: 2, issuer: []func(*v1alpha1.JWTIssuer){hourlyKeys},
		apply: touchIssuer, want: outcome{also: keysRotatedOnce},
	},
}

// endsInAnHour sets spec.expiresAt by the same clock with which a run begins.
func endsInAnHour(k *v1alpha1.JWTRefreshKey) {
	k.Spec.ExpiresAt = &metav1.Time{Time: time.Now().Add(time.Hour)}
}

func hourlyKeys(i *v1alpha1.JWTIssuer) {
	i.Spec.Signing = &v1alpha1.SigningSpec{
		RotateAfter: &metav1.Duration{Duration: time.Hour}, Prepublish: &metav1.Duration{Duration: time.Minute},
	}
}

func oldSecretGone(c *crashCase, s *clusterState) error {
	if _, there := s.secrets[keyName]; there {
		return errors.New("the Secret with the old name still exists")
	}
	return sameToken(c, s)
}

func keysRotatedOnce(c *crashCase, s *clusterState) error {
	for _, use := range []keyring.Use{keyring.Refresh, keyring.Access} {
		if active, next := s.kid(use, keyring.Active), c.before.kid(use, keyring.Pending); active != next {
			return fmt.Errorf("active key of the %s ring: got %s, want the next one, %s", use, active, next)
		}
		if old, was := s.kid(use, keyring.Retiring), c.before.kid(use, keyring.Active); old != was {
			return fmt.Errorf("retiring key of the %s ring: got %q, want %s, which was active", use, old, was)
		}
	}
	if c.afterCrash != nil && c.afterCrash.kid(keyring.Refresh, keyring.Active) == s.kid(keyring.Refresh, keyring.Active) && !c.afterCrash.rings.Equal(s.rings) {
		return errors.New("the signing keys from before the crash were replaced")
	}
	return sameToken(c, s)
}
