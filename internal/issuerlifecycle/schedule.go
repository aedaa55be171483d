package issuerlifecycle

import (
	"strconv"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/policy"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// longestAccessLifetime is the longest access token lifetime that an issuer can allow. Access tokens are not recorded,
// so a retiring access key stays published for this time.
const longestAccessLifetime = 24 * time.Hour

// sealKeep is how long a retiring seal key stays: longer than any step of a sign-in, a code, or the code of a device.
const sealKeep = time.Hour

// scheduleOf returns the schedule of an issuer's rings.
func scheduleOf(issuer *v1alpha1.JWTIssuer, compiled *policy.Policy) keyring.Schedule {
	schedule := keyring.Schedule{
		Algorithm:   keyring.ES256,
		RotateAfter: keyring.DefaultRotateAfter,
		Prepublish:  keyring.DefaultPrepublish,
		RefreshKeep: compiled.LongestLifetime() + 2*token.Skew,
		AccessKeep:  longestAccessLifetime + 2*token.Skew,
		Seals:       issuer.Spec.Login != nil && len(issuer.Spec.Login.Clients) > 0,
		SealKeep:    sealKeep,
		Asked:       rotationAsked(issuer),
	}
	if signing := issuer.Spec.Signing; signing != nil {
		if signing.Algorithm != "" {
			schedule.Algorithm = keyring.Algorithm(signing.Algorithm)
		}
		if signing.RotateAfter != nil {
			schedule.RotateAfter = signing.RotateAfter.Duration
		}
		if signing.Prepublish != nil {
			schedule.Prepublish = signing.Prepublish.Duration
		}
	}
	return schedule
}

// rotationAsked returns the time in the rotate-keys annotation; zero without the annotation, and for an invalid time,
// which admission refuses.
func rotationAsked(issuer *v1alpha1.JWTIssuer) time.Time {
	value := issuer.Annotations[v1alpha1.AnnotationRotateKeys]
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.Unix(seconds, 0)
	}
	asked, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return time.Time{}
	}
	return asked
}
