package faults

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/onsi/gomega"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// issuerTransitions are transitions of issuers and of their refresh keys. The clock does not advance.
var issuerTransitions = []*transition{
	{
		name: "first signing keys", writes: 2, keyless: true, issuerless: true, apply: createIssuer,
		want: outcome{keyless: true, also: keepsFirstKeys},
	},
	{name: "changed algorithm", writes: 2, apply: changeAlgorithm, want: outcome{also: nextKeyIsES384}},
	{name: "withdrawn signing key", writes: 5, apply: withdraw, want: outcome{advanced: 1, also: withoutWithdrawn}, refusesOld: true},
	{
		// The next signing key for access tokens has not been published for long enough. Until then the Secret
		// has no access token, since the earlier one is refused.
		name: "withdrawn access key whose successor has to wait", writes: 4, issuer: []func(*v1alpha1.JWTIssuer){lastingAccess},
		key: []func(*v1alpha1.JWTRefreshKey){withAccessToken}, apply: withdrawAccess,
		want: outcome{issuer: v1alpha1.ReasonKeyPending, also: allOf(accessIsWithdrawn, holdsNoAccess)},
	},
	{
		name: "another issuer", writes: 2, setup: []step{{do: createOtherIssuer, want: outcome{advanced: 1, also: otherIssuerReady}}},
		apply: moveToOtherIssuer, want: outcome{advanced: 1, superseded: 1, also: issuedByOtherIssuer},
	},
	{
		name: "deleted issuer", writes: 1, apply: deleteIssuer, refusesOld: true,
		want: outcome{reason: v1alpha1.ReasonIssuerNotFound, issuerless: true, also: sameToken},
	},
	{
		// If the refresh key is reconciled before the issuer, it reports that in one more write.
		name: "deleted issuer made again", writes: 2, spare: 1,
		setup: []step{{do: deleteIssuer, want: outcome{advanced: 1, reason: v1alpha1.ReasonIssuerNotFound, issuerless: true}, refusesOld: true}},
		apply: createIssuer, want: outcome{also: allOf(sameToken, sameKeys)},
	},
}

func createIssuer(c *crashCase) {
	c.Expect(c.Admin.Create(c.Ctx, harness.NewIssuer(c.name))).To(gomega.Succeed())
}

func deleteIssuer(c *crashCase) {
	c.Expect(c.Admin.Delete(c.Ctx, harness.NewIssuer(c.name))).To(gomega.Succeed())
}

// otherIssuer returns the name of a second issuer. Its writes do not count for the case.
func otherIssuer(name string) string { return name + "-other" }

// issuerNamed returns the issuer for the verification of a token: the second issuer of a case if the token
// names it, else the first.
func issuerNamed(compact, name string) string {
	if other := otherIssuer(name); issuerIn(compact) == harness.NewIssuer(other).Spec.URL {
		return other
	}
	return name
}

// issuerIn returns the issuer that a token names, without a check of the signature.
func issuerIn(compact string) string {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	claims, err := token.ParsePayload(payload)
	if err != nil {
		return ""
	}
	return claims.Issuer
}

func createOtherIssuer(c *crashCase) { c.CreateIssuer(otherIssuer(c.name)) }

func moveToOtherIssuer(c *crashCase) {
	c.editKey(func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.IssuerRef = &v1alpha1.IssuerReference{Name: otherIssuer(c.name)}
	})
}

func withdraw(c *crashCase) {
	c.Annotate(harness.NewIssuer(c.name), v1alpha1.AnnotationWithdrawKey, c.before.line().KeyID)
}

func withdrawAccess(c *crashCase) {
	s, err := c.readState()
	c.Expect(err).NotTo(gomega.HaveOccurred())
	c.Annotate(harness.NewIssuer(c.name), v1alpha1.AnnotationWithdrawKey, s.kid(keyring.Access, keyring.Active))
}

func changeAlgorithm(c *crashCase) {
	harness.Edit(c.Harness, harness.NewIssuer(c.name), signing(func(s *v1alpha1.SigningSpec) { s.Algorithm = v1alpha1.SigningAlgorithm(keyring.ES384) }))
}

func otherIssuerReady(c *crashCase, _ *clusterState) error {
	issuer, err := harness.Get(c.Harness, harness.NewIssuer(otherIssuer(c.name)))
	if err != nil {
		return err
	}
	if reason, ready := readyOf(issuer.Status.Conditions); !ready {
		return fmt.Errorf("the other issuer is not ready: %s", reason)
	}
	return nil
}

func issuedByOtherIssuer(c *crashCase, s *clusterState) error {
	other := harness.NewIssuer(otherIssuer(c.name))
	endpoint := string(secretOf(s, keyName).Data[v1alpha1.SecretTokenEndpoint])
	switch {
	case s.key.Status.Issuer != other.Name:
		return fmt.Errorf("status.issuer: got %s, want %s", s.key.Status.Issuer, other.Name)
	case issuerIn(s.token()) != other.Spec.URL:
		return fmt.Errorf("issuer of the token: got %s, want %s", issuerIn(s.token()), other.Spec.URL)
	case endpoint != other.Spec.URL+"/token":
		return fmt.Errorf("token endpoint in the Secret: got %s, want %s", endpoint, other.Spec.URL+"/token")
	case s.line().Previous[0].TokenHash != c.before.line().TokenHash:
		return errors.New("the superseded token is not the one from before")
	}
	return nil
}

func withoutWithdrawn(c *crashCase, s *clusterState) error {
	if _, there := s.rings.Lookup(keyring.Refresh, c.before.line().KeyID); there {
		return errors.New("the withdrawn signing key is still in the ring")
	}
	if now, next := s.line().KeyID, c.before.kid(keyring.Refresh, keyring.Pending); now != next {
		return fmt.Errorf("signing key: got %s, want the next one, %s", now, next)
	}
	return nil
}

// accessIsWithdrawn checks that the access token from before is refused.
func accessIsWithdrawn(c *crashCase, s *clusterState) error {
	_, err := token.Parse(accessIn(c.before), token.Access, s.rings, s.issuer.Spec.URL, c.Clock.Now())
	if !errors.Is(err, token.ErrUnknownKey) {
		return fmt.Errorf("access token of the withdrawn signing key: got error %w, want ErrUnknownKey", err)
	}
	return sameToken(c, s)
}

// accessIssuedAgain also checks that the next signing key signed another access token.
func accessIssuedAgain(c *crashCase, s *clusterState) error {
	return errors.Join(accessIsWithdrawn(c, s), accessOfTheNextKey(c, s))
}

func accessOfTheNextKey(c *crashCase, s *clusterState) error {
	if now, next := s.kid(keyring.Access, keyring.Active), c.before.kid(keyring.Access, keyring.Pending); now != next {
		return fmt.Errorf("active signing key for access tokens: got %q, want the next one, %q", now, next)
	}
	return errors.Join(sameToken(c, s), holdsAnotherAccess(c, s))
}

func nextKeyIsES384(c *crashCase, s *clusterState) error {
	for _, key := range s.rings.Keys() {
		if (key.State == keyring.Pending) != (key.Algorithm == keyring.ES384) {
			return fmt.Errorf("signing key %s is %s with algorithm %s, want ES384 for Pending keys only", key.ID, key.State, key.Algorithm)
		}
	}
	return sameToken(c, s)
}

func sameKeys(c *crashCase, s *clusterState) error {
	if !c.before.rings.Equal(s.rings) {
		return errors.New("the signing keys changed")
	}
	return nil
}

// keepsFirstKeys checks that the signing keys from before a crash are in use.
func keepsFirstKeys(c *crashCase, s *clusterState) error {
	if n := len(s.rings.Keys()); n != 4 {
		return fmt.Errorf("got %d signing keys, want two rings of two", n)
	}
	if c.afterCrash != nil && c.afterCrash.rings != nil && !c.afterCrash.rings.Equal(s.rings) {
		return errors.New("the signing keys from before the crash were replaced")
	}
	return nil
}
