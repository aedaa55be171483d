package lifecycle

import (
	"errors"
	"fmt"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// Bounds of a JWTRefreshKey, the same as in the schema and the admission policy.
const (
	minLifetime       = time.Minute
	maxLifetime       = 87600 * time.Hour
	minIdleTimeout    = time.Hour
	minAccessLifetime = time.Minute
	maxAccessLifetime = 24 * time.Hour
	// minKeptAccessLifetime bounds the rate of writes for secret.accessToken.
	minKeptAccessLifetime = 5 * time.Minute
	// maxPayload is the longest payload in a token of 8 KiB with its header and the signature of a 3072-bit RSA key.
	maxPayload = 5632
)

// payloadSize returns an upper bound of the payload of a token of this key, in bytes.
func (e *effective) payloadSize(namespace, name string) int {
	// The names of the claims, their punctuation, three times, jti, uid and revision.
	size := 448
	t := &e.terms
	for _, text := range []string{t.Issuer, t.Audience, t.Subject, t.Scope, t.JWKThumbprint, t.ServiceAccount, e.defaultSubject, namespace, name} {
		size += len(text)
		for _, r := range text {
			switch r {
			case '<', '>', '&':
				size += len(`\u0026`) - 1
			case '"', '\\':
				size++
			}
		}
	}
	for claim, value := range t.Claims {
		size += len(`"":,`) + len(claim) + len(value)
	}
	return size
}

// validate checks what admission should have refused: the object may be older than the schema, and the admission policy
// can be removed.
func (d *decision) validate() error {
	if d.invalid != nil {
		return d.invalid
	}
	spec := &d.Key.Spec
	if err := v1alpha1.ValidateClaims(spec.Claims); err != nil {
		return fmt.Errorf("spec.%w", err)
	}
	if err := v1alpha1.ValidateTerms(spec); err != nil {
		return fmt.Errorf("spec.%w", err)
	}
	if err := errors.Join(validateMarks(spec.Secret), d.validateSession()); err != nil {
		return err
	}
	e := &d.values
	switch {
	case e.payloadSize(d.Key.Namespace, d.Key.Name) > maxPayload:
		return errors.New("spec.claims and spec.scopes are so long that the tokens would exceed the limit of 8 KiB; shorten them")
	case e.lifetime < minLifetime || e.lifetime > maxLifetime:
		return fmt.Errorf("spec.lifetime %s is not between 1m and 87600h", e.lifetime)
	case e.renewBefore < time.Second || e.renewBefore >= e.lifetime:
		return fmt.Errorf("spec.rotation.renewBefore %s is not between 1s and lifetime %s", e.renewBefore, e.lifetime)
	case e.accessLifetime < minAccessLifetime || e.accessLifetime > maxAccessLifetime:
		return fmt.Errorf("spec.accessToken.lifetime %s is not between 1m and 24h", e.accessLifetime)
	case spec.IdleTimeout != nil && spec.IdleTimeout.Duration < minIdleTimeout:
		return fmt.Errorf("spec.idleTimeout %s is less than 1h", spec.IdleTimeout.Duration)
	case e.mode != v1alpha1.RotationScheduled && e.mode != v1alpha1.RotationOneTimeUse && e.mode != v1alpha1.RotationNever:
		return fmt.Errorf("spec.rotation.mode %q is unknown; use Scheduled, OneTimeUse or Never", e.mode)
	}
	return d.validateAccessToken()
}

func (d *decision) validateAccessToken() error {
	if !WantsAccessToken(d.Key) {
		return nil
	}
	const field = "spec.secret.accessToken cannot be combined with "
	switch spec := &d.Key.Spec; {
	case spec.Binding != nil:
		return errors.New(field + "binding; remove one of the two")
	case spec.IdleTimeout != nil:
		return errors.New(field + "idleTimeout; remove one of the two")
	case d.values.mode == v1alpha1.RotationOneTimeUse:
		return errors.New(field + "rotation.mode OneTimeUse; use Scheduled or Never")
	case spec.Secret.Mode == v1alpha1.SecretNone:
		return errors.New(field + "secret.mode None; set it to Write")
	case d.values.accessLifetime < minKeptAccessLifetime:
		return fmt.Errorf("spec.secret.accessToken needs an access token that lives at least 5m, and it lives %s; raise accessToken.lifetime", d.values.accessLifetime)
	}
	return nil
}
