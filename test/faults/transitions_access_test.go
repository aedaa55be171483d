package faults

import (
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// accessTokenTransitions are transitions of refresh keys with an access token in their Secret, before or
// after. The clock does not advance.
var accessTokenTransitions = []*transition{
	{
		name: "first issue with an access token", writes: 2, keyless: true, apply: createKeyWith(withAccessToken),
		want: outcome{advanced: 1, also: holdsAccess},
	},
	{
		name: "access token switched on", writes: 2, apply: setSecretSpec(withAccessToken),
		want: outcome{also: allOf(holdsAccess, sameToken)},
	},
	{
		name: "access token switched off", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){withAccessToken}, apply: setSecretSpec(),
		want: outcome{also: allOf(holdsNoAccess, sameToken)},
	},
	{
		name: "rotate with an access token", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){withAccessToken}, apply: rotate,
		want: outcome{advanced: 1, superseded: 1, also: holdsAnotherAccess},
	},
	{
		name: "rotate-now with an access token", writes: 3, key: []func(*v1alpha1.JWTRefreshKey){withAccessToken}, apply: rotateNow,
		want: outcome{advanced: 1, also: holdsAnotherAccess}, refusesOld: true,
	},
	{
		name: "changed audience with an access token", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){withAccessToken}, apply: changeAudience,
		want: outcome{advanced: 1, superseded: 1, also: allOf(hasNewAudience, holdsAnotherAccess)},
	},
	{
		name: "revoke with an access token", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){withAccessToken}, apply: revoke(true),
		want: revoked, refusesOld: true,
	},
}

// lastingAccess sets access token lifetimes that need no renewal within jump.
func lastingAccess(i *v1alpha1.JWTIssuer) {
	i.Spec.AccessToken = &v1alpha1.IssuerAccessTokenSpec{
		Lifetime: &metav1.Duration{Duration: 24 * time.Hour}, MaxLifetime: &metav1.Duration{Duration: 24 * time.Hour},
	}
}

// longAccess sets access token lifetimes that need a renewal within jump.
func longAccess(i *v1alpha1.JWTIssuer) {
	i.Spec.AccessToken = &v1alpha1.IssuerAccessTokenSpec{
		Lifetime: &metav1.Duration{Duration: 90 * time.Minute}, MaxLifetime: &metav1.Duration{Duration: 2 * time.Hour},
	}
}

func allOf(checks ...func(*crashCase, *clusterState) error) func(*crashCase, *clusterState) error {
	return func(c *crashCase, s *clusterState) error {
		var faults []error
		for _, check := range checks {
			faults = append(faults, check(c, s))
		}
		return errors.Join(faults...)
	}
}

func accessIn(s *clusterState) string {
	return string(secretOf(s, keyName).Data[v1alpha1.SecretAccessToken])
}

// holdsAccess checks that an API accepts the access token, and that it matches the refresh key.
func holdsAccess(c *crashCase, s *clusterState) error {
	claims, err := token.Parse(accessIn(s), token.Access, s.rings, s.issuer.Spec.URL, c.Clock.Now())
	switch {
	case err != nil:
		return fmt.Errorf("the access token in the Secret is not valid: %w", err)
	case claims.Audience != s.key.Spec.Audience:
		return fmt.Errorf("access token: got audience %s, want %s", claims.Audience, s.key.Spec.Audience)
	case claims.ExpiresAt.After(s.line().ExpiresAt.Time):
		return fmt.Errorf("the access token expires at %s, after the refresh token", claims.ExpiresAt)
	}
	return nil
}

// holdsAnotherAccess checks that the Secret holds a new access token, which a thief of the old Secret does
// not have.
func holdsAnotherAccess(c *crashCase, s *clusterState) error {
	if accessIn(s) == accessIn(c.before) {
		return errors.New("the access token is the one from before")
	}
	return holdsAccess(c, s)
}

func holdsNoAccess(_ *crashCase, s *clusterState) error {
	if accessIn(s) != "" {
		return errors.New("the Secret still holds an access token")
	}
	annotations := secretOf(s, keyName).Annotations
	for _, about := range []string{v1alpha1.AnnotationAccessTokenHash, v1alpha1.AnnotationAccessTokenExpiresAt, v1alpha1.AnnotationAccessTokenKeyID} {
		if annotations[about] != "" {
			return fmt.Errorf("the Secret has annotation %s without an access token", about)
		}
	}
	return nil
}

func renewedAccess(c *crashCase, s *clusterState) error {
	was, now := secretOf(c.before, keyName).Annotations, secretOf(s, keyName).Annotations
	if was[v1alpha1.AnnotationAccessTokenExpiresAt] == now[v1alpha1.AnnotationAccessTokenExpiresAt] {
		return fmt.Errorf("the access token expires when the one from before did, at %s", was[v1alpha1.AnnotationAccessTokenExpiresAt])
	}
	return errors.Join(holdsAnotherAccess(c, s), sameToken(c, s))
}
