package faults

import (
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// ofAccessTokens are transitions of keys that have an access token in their Secret, or come to
// have one. The clock stands still.
var ofAccessTokens = []*transition{
	{
		name: "first issue with an access token", writes: 2, keyless: true, happens: createKeyWith(withAccessToken),
		want: outcome{advanced: 1, also: holdsAccess},
	},
	{
		name: "access token switched on", writes: 2, happens: secretLike(withAccessToken),
		want: outcome{also: all(holdsAccess, sameToken)},
	},
	{
		name: "access token switched off", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){withAccessToken}, happens: secretLike(),
		want: outcome{also: all(holdsNoAccess, sameToken)},
	},
	{
		name: "rotate with an access token", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){withAccessToken}, happens: rotate,
		want: outcome{advanced: 1, superseded: 1, also: holdsAnotherAccess},
	},
	{
		name: "rotate-now with an access token", writes: 3, key: []func(*v1alpha1.JWTRefreshKey){withAccessToken}, happens: rotateNow,
		want: outcome{advanced: 1, also: holdsAnotherAccess}, kills: true,
	},
	{
		name: "changed audience with an access token", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){withAccessToken}, happens: changeAudience,
		want: outcome{advanced: 1, superseded: 1, also: all(saysAudience, holdsAnotherAccess)},
	},
	{
		name: "revoke with an access token", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){withAccessToken}, happens: revoke(true),
		want: revoked, kills: true,
	},
}

// lastingAccess lets no access token be due for renewal within jump.
func lastingAccess(i *v1alpha1.JWTIssuer) {
	i.Spec.AccessToken = &v1alpha1.IssuerAccessTokenSpec{
		Lifetime: &metav1.Duration{Duration: 24 * time.Hour}, MaxLifetime: &metav1.Duration{Duration: 24 * time.Hour},
	}
}

// longAccess lets an access token be due for renewal within jump.
func longAccess(i *v1alpha1.JWTIssuer) {
	i.Spec.AccessToken = &v1alpha1.IssuerAccessTokenSpec{
		Lifetime: &metav1.Duration{Duration: 90 * time.Minute}, MaxLifetime: &metav1.Duration{Duration: 2 * time.Hour},
	}
}

func all(checks ...func(*trial, *findings) error) func(*trial, *findings) error {
	return func(r *trial, f *findings) error {
		var faults []error
		for _, check := range checks {
			faults = append(faults, check(r, f))
		}
		return errors.Join(faults...)
	}
}

func accessIn(f *findings) string {
	return string(secretOf(f, keyName).Data[v1alpha1.SecretAccessToken])
}

// holdsAccess: the access token is one that an API accepts, and says what the key says now.
func holdsAccess(r *trial, f *findings) error {
	claims, err := token.Parse(accessIn(f), token.Access, f.rings, f.issuer.Spec.URL, r.clock.Now())
	switch {
	case err != nil:
		return fmt.Errorf("the access token in the Secret is not valid: %w", err)
	case claims.Audience != f.key.Spec.Audience:
		return fmt.Errorf("the access token is for %s, and the key for %s", claims.Audience, f.key.Spec.Audience)
	case claims.ExpiresAt.After(f.line().ExpiresAt.Time):
		return fmt.Errorf("the access token outlives the refresh token, until %s", claims.ExpiresAt)
	}
	return nil
}

// holdsAnotherAccess: whoever stole the Secret has not got what is in it now.
func holdsAnotherAccess(r *trial, f *findings) error {
	if accessIn(f) == accessIn(r.before) {
		return errors.New("the access token is the one from before")
	}
	return holdsAccess(r, f)
}

func holdsNoAccess(_ *trial, f *findings) error {
	if accessIn(f) != "" {
		return errors.New("there is an access token in the Secret still")
	}
	annotations := secretOf(f, keyName).Annotations
	for _, about := range []string{v1alpha1.AnnotationAccessTokenHash, v1alpha1.AnnotationAccessTokenExpiresAt, v1alpha1.AnnotationAccessTokenKeyID} {
		if annotations[about] != "" {
			return fmt.Errorf("the Secret says %s of an access token that is gone", about)
		}
	}
	return nil
}

func renewedAccess(r *trial, f *findings) error {
	was, now := secretOf(r.before, keyName).Annotations, secretOf(f, keyName).Annotations
	if was[v1alpha1.AnnotationAccessTokenExpiresAt] == now[v1alpha1.AnnotationAccessTokenExpiresAt] {
		return fmt.Errorf("the access token ends when the one from before did, at %s", was[v1alpha1.AnnotationAccessTokenExpiresAt])
	}
	return errors.Join(holdsAnotherAccess(r, f), sameToken(r, f))
}
