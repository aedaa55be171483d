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

// holdsAccess: the access token is one that an API accepts, and says what the key says now.
func holdsAccess(c *crashCase, s *clusterState) error {
	claims, err := token.Parse(accessIn(s), token.Access, s.rings, s.issuer.Spec.URL, c.clock.Now())
	switch {
	case err != nil:
		return fmt.Errorf("the access token in the Secret is not valid: %w", err)
	case claims.Audience != s.key.Spec.Audience:
		return fmt.Errorf("the access token is for %s, and the key for %s", claims.Audience, s.key.Spec.Audience)
	case claims.ExpiresAt.After(s.line().ExpiresAt.Time):
		return fmt.Errorf("the access token outlives the refresh token, until %s", claims.ExpiresAt)
	}
	return nil
}

// holdsAnotherAccess: whoever stole the Secret has not got what is in it now.
func holdsAnotherAccess(c *crashCase, s *clusterState) error {
	if accessIn(s) == accessIn(c.before) {
		return errors.New("the access token is the one from before")
	}
	return holdsAccess(c, s)
}

func holdsNoAccess(_ *crashCase, s *clusterState) error {
	if accessIn(s) != "" {
		return errors.New("there is an access token in the Secret still")
	}
	annotations := secretOf(s, keyName).Annotations
	for _, about := range []string{v1alpha1.AnnotationAccessTokenHash, v1alpha1.AnnotationAccessTokenExpiresAt, v1alpha1.AnnotationAccessTokenKeyID} {
		if annotations[about] != "" {
			return fmt.Errorf("the Secret says %s of an access token that is gone", about)
		}
	}
	return nil
}

func renewedAccess(c *crashCase, s *clusterState) error {
	was, now := secretOf(c.before, keyName).Annotations, secretOf(s, keyName).Annotations
	if was[v1alpha1.AnnotationAccessTokenExpiresAt] == now[v1alpha1.AnnotationAccessTokenExpiresAt] {
		return fmt.Errorf("the access token ends when the one from before did, at %s", was[v1alpha1.AnnotationAccessTokenExpiresAt])
	}
	return errors.Join(holdsAnotherAccess(c, s), sameToken(c, s))
}
