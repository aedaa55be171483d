package lifecycle

import (
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/policy"
)

// Forecast is what the operator will decide about the tokens of a key if it is stored now. A zero time stands for never.
type Forecast struct {
	// Renewal is when the token that follows is due. For a key without a UID, it is the latest time of the renewal: the
	// operator renews earlier by a part that depends on the UID.
	Renewal time.Time
	// End is when the key ends: spec.expiresAt, or the end of its only token.
	End time.Time
}

// Foresee returns the forecast for a key that is issued now; or, if before is the same key with its earlier spec, for the
// edit.
func Foresee(key, before *v1alpha1.JWTRefreshKey, now time.Time) (Forecast, error) {
	now = now.UTC().Truncate(time.Second)
	values, err := effectiveOf(&Observed{Key: key})
	if err != nil {
		return Forecast{}, err
	}
	from, end := now, values.tokenEnd(now)
	if before != nil && keepsToken(before, &values) {
		from, end = key.Status.CreatedAt.Time, key.Status.ExpiresAt.Time
	}
	forecast := Forecast{Renewal: values.renewal(string(key.UID), from, end), End: values.end}
	if values.mode == v1alpha1.RotationNever {
		forecast.End = end
	}
	return forecast, nil
}

// keepsToken reports whether the current token of a key stays the current one with other values.
func keepsToken(before *v1alpha1.JWTRefreshKey, values *effective) bool {
	status := &before.Status
	if status.CreatedAt == nil || status.ExpiresAt == nil || status.RevokedAt != nil {
		return false
	}
	held, err := effectiveOf(&Observed{Key: before})
	return err == nil && len(values.terms.changedFrom(held.terms)) == 0 && values.lifetime == held.lifetime &&
		IssuerName(before) == status.Issuer && !status.ExpiresAt.After(values.tokenEnd(status.CreatedAt.Time))
}

// RequestOf returns the request of a key to the policy of an issuer, with all defaults.
func RequestOf(key *v1alpha1.JWTRefreshKey, issuer *v1alpha1.JWTIssuer, namespaceLabels map[string]string) (policy.Request, error) {
	o := &Observed{
		Key:       key,
		Namespace: Namespace{Labels: namespaceLabels},
		Issuer:    Issuer{URL: issuer.Spec.URL, AccessLifetime: policy.AccessLifetime(&issuer.Spec), SessionNamespace: SessionNamespace(issuer, "")},
	}
	values, err := effectiveOf(o)
	return values.request(o, &values.terms, values.lifetime), err
}
