package faults

import (
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// jump is how far the clock goes for byTime, whose keys are made for it.
const jump = 70 * time.Minute

// byTime are the transitions that come by themselves, once somebody looks.
var byTime = []*transition{
	{
		name: "renewal due", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){lifetime(90 * time.Minute), renewBefore(30 * time.Minute)},
		happens: touchKey, want: outcome{advanced: 1, superseded: 1},
	},
	{
		name: "end in mode Never", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){lifetime(time.Hour), never},
		happens: touchKey, want: outcome{reason: v1alpha1.ReasonExpired, tokenless: true}, kills: true,
	},
	{
		name: "spec.expiresAt is reached by a token cut to it", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){endsInAnHour},
		happens: touchKey, want: outcome{reason: v1alpha1.ReasonExpired, tokenless: true}, kills: true,
	},
	{
		name: "spec.expiresAt is reached by a token from before it was set", writes: 2,
		first:   []step{{do: func(r *trial) { r.editKey(endsInAnHour) }, want: outcome{advanced: 1}}},
		happens: touchKey, want: outcome{reason: v1alpha1.ReasonExpired, tokenless: true}, kills: true,
	},
	{
		name: "first issue into a left-over Secret", writes: 2, orphans: true, first: []step{
			keyDeleted,
			{do: createTheKey, want: outcome{reason: v1alpha1.ReasonWaitingForSecret, untouched: true}},
		},
		happens: touchKey, want: outcome{advanced: 1, also: ownedByReference}, kills: true,
	},
	{
		name: "removal of the old Secret after a rename", writes: 1,
		first:   []step{{do: secretLike(underAnotherName), want: outcome{advanced: 1, also: bothHoldTheToken}}},
		happens: touchKey, want: outcome{also: oldSecretGone},
	},
	{
		name: "retirement at overlap.max", writes: 1, key: []func(*v1alpha1.JWTRefreshKey){overlapMax(time.Hour)},
		first:   []step{{do: rotate, want: outcome{advanced: 2, superseded: 1}}},
		happens: touchKey, want: outcome{},
	},
	{
		name: "renewal of the access token", writes: 1, issuer: []func(*v1alpha1.JWTIssuer){longAccess},
		key: []func(*v1alpha1.JWTRefreshKey){withAccessToken}, happens: touchKey, want: outcome{also: renewedAccess},
	},
	{
		name: "withdrawn access key whose successor may sign", writes: 3, issuer: []func(*v1alpha1.JWTIssuer){lastingAccess},
		key: []func(*v1alpha1.JWTRefreshKey){withAccessToken}, happens: withdrawAccess, want: outcome{also: accessIssuedAgain},
	},
	{
		name: "the successor of a withdrawn access key has waited", writes: 4, issuer: []func(*v1alpha1.JWTIssuer){lastingAccess},
		key:     []func(*v1alpha1.JWTRefreshKey){withAccessToken},
		first:   []step{{do: withdrawAccess, want: outcome{advanced: 1, issuer: v1alpha1.ReasonKeyPending, also: holdsNoAccess}}},
		happens: touchIssuer, want: outcome{also: accessOfTheNextKey},
	},
	{
		name: "rotation of the signing keys", writes: 2, issuer: []func(*v1alpha1.JWTIssuer){hourlyKeys},
		happens: touchIssuer, want: outcome{also: keysRotatedOnce},
	},
}

// endsInAnHour goes by the same clock that a round begins with.
func endsInAnHour(k *v1alpha1.JWTRefreshKey) {
	k.Spec.ExpiresAt = &metav1.Time{Time: time.Now().Add(time.Hour)}
}

func hourlyKeys(i *v1alpha1.JWTIssuer) {
	i.Spec.Signing = &v1alpha1.SigningSpec{
		RotateAfter: &metav1.Duration{Duration: time.Hour}, Prepublish: &metav1.Duration{Duration: time.Minute},
	}
}

func oldSecretGone(r *trial, f *findings) error {
	if _, there := f.secrets[keyName]; there {
		return errors.New("the Secret under the old name is there still")
	}
	return sameToken(r, f)
}

func keysRotatedOnce(r *trial, f *findings) error {
	for _, use := range []keyring.Use{keyring.Refresh, keyring.Access} {
		if active, next := f.kid(use, keyring.Active), r.before.kid(use, keyring.Pending); active != next {
			return fmt.Errorf("key %s of the %s ring is active, not %s which was next", active, use, next)
		}
		if old, was := f.kid(use, keyring.Retiring), r.before.kid(use, keyring.Active); old != was {
			return fmt.Errorf("key %q of the %s ring is retiring, not %s which was active", old, use, was)
		}
	}
	if r.wreck != nil && r.wreck.kid(keyring.Refresh, keyring.Active) == f.kid(keyring.Refresh, keyring.Active) && !r.wreck.rings.Equal(f.rings) {
		return errors.New("the keys that the crash left behind were replaced")
	}
	return sameToken(r, f)
}
