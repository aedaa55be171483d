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
)

// byIssuers are the transitions of issuers, and of the keys that they concern. The clock
// stands still.
var issuerTransitions = []*transition{
	{
		name: "first signing keys", writes: 2, keyless: true, issuerless: true, apply: createIssuer,
		want: outcome{keyless: true, also: keepsFirstKeys},
	},
	{name: "changed algorithm", writes: 2, apply: changeAlgorithm, want: outcome{also: nextKeyIsES384}},
	{name: "withdrawn signing key", writes: 5, apply: withdraw, want: outcome{advanced: 1, also: withoutWithdrawn}, refusesOld: true},
	{
		// The next access key has not been published for long enough, and until it has, the Secret goes
		// without: nobody accepts the access token that it had.
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
		// The key can be looked at before the issuer has been, and says so.
		name: "deleted issuer made again", writes: 2, spare: 1,
		setup: []step{{do: deleteIssuer, want: outcome{advanced: 1, reason: v1alpha1.ReasonIssuerNotFound, issuerless: true}, refusesOld: true}},
		apply: createIssuer, want: outcome{also: allOf(sameToken, sameKeys)},
	},
}

func createIssuer(c *crashCase) {
	c.Expect(c.admin.Create(c.ctx, newIssuer(c.name))).To(gomega.Succeed())
}

func deleteIssuer(c *crashCase) {
	c.Expect(c.admin.Delete(c.ctx, newIssuer(c.name))).To(gomega.Succeed())
}

// otherIssuer is the name of another issuer, of whose writes none belong to the trial.
func otherIssuer(trial string) string { return trial + "-other" }

// issuerNamed is the issuer that a token is to be judged by: the other one of a trial only
// where the token itself names it.
func issuerNamed(compact, trial string) string {
	if other := otherIssuer(trial); issuerIn(compact) == newIssuer(other).Spec.URL {
		return other
	}
	return trial
}

// issuerIn is what a token says of its issuer, whoever signed it.
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

func createOtherIssuer(c *crashCase) { c.createIssuer(otherIssuer(c.name)) }

func moveToOtherIssuer(c *crashCase) {
	c.editKey(func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.IssuerRef = &v1alpha1.IssuerReference{Name: otherIssuer(c.name)}
	})
}

func withdraw(c *crashCase) {
	annotate(c.harness, newIssuer(c.name), v1alpha1.AnnotationWithdrawKey, c.before.line().KeyID)
}

func withdrawAccess(c *crashCase) {
	s, err := c.readState()
	c.Expect(err).NotTo(gomega.HaveOccurred())
	annotate(c.harness, newIssuer(c.name), v1alpha1.AnnotationWithdrawKey, s.kid(keyring.Access, keyring.Active))
}

func changeAlgorithm(c *crashCase) {
	edit(c.harness, newIssuer(c.name), signing(func(s *v1alpha1.SigningSpec) { s.Algorithm = v1alpha1.SigningAlgorithm(keyring.ES384) }))
}

func otherIssuerReady(c *crashCase, _ *clusterState) error {
	issuer, err := get(c.harness, newIssuer(otherIssuer(c.name)))
	if err != nil {
		return err
	}
	if reason, ready := readyOf(issuer.Status.Conditions); !ready {
		return fmt.Errorf("the other issuer is not ready: %s", reason)
	}
	return nil
}

func issuedByOtherIssuer(c *crashCase, s *clusterState) error {
	other := newIssuer(otherIssuer(c.name))
	endpoint := string(secretOf(s, keyName).Data[v1alpha1.SecretTokenEndpoint])
	switch {
	case s.key.Status.Issuer != other.Name:
		return fmt.Errorf("status names issuer %s, not %s", s.key.Status.Issuer, other.Name)
	case issuerIn(s.token()) != other.Spec.URL:
		return fmt.Errorf("the token is one of %s, not of %s", issuerIn(s.token()), other.Spec.URL)
	case endpoint != other.Spec.URL+"/token":
		return fmt.Errorf("the Secret sends the token of %s to %s", other.Name, endpoint)
	case s.line().Previous[0].TokenHash != c.before.line().TokenHash:
		return errors.New("the superseded token is not the one from before")
	}
	return nil
}

func withoutWithdrawn(c *crashCase, s *clusterState) error {
	if _, there := s.rings.Lookup(keyring.Refresh, c.before.line().KeyID); there {
		return errors.New("the withdrawn key is in the ring still")
	}
	if now, next := s.line().KeyID, c.before.kid(keyring.Refresh, keyring.Pending); now != next {
		return fmt.Errorf("key %s signed, not %s which was next", now, next)
	}
	return nil
}

// accessIsWithdrawn: nobody accepts the access token from before any more.
func accessIsWithdrawn(c *crashCase, s *clusterState) error {
	_, err := token.Parse(accessIn(c.before), token.Access, s.rings, s.issuer.Spec.URL, c.clock.Now())
	if !errors.Is(err, token.ErrUnknownKey) {
		return fmt.Errorf("the access token of the withdrawn key is not refused as one of an unknown key: %w", err)
	}
	return sameToken(c, s)
}

// accessIssuedAgain: and there is another one, signed by the key that was next.
func accessIssuedAgain(c *crashCase, s *clusterState) error {
	return errors.Join(accessIsWithdrawn(c, s), accessOfTheNextKey(c, s))
}

func accessOfTheNextKey(c *crashCase, s *clusterState) error {
	if now, next := s.kid(keyring.Access, keyring.Active), c.before.kid(keyring.Access, keyring.Pending); now != next {
		return fmt.Errorf("access key %q is active, not %q which was next", now, next)
	}
	return errors.Join(sameToken(c, s), holdsAnotherAccess(c, s))
}

func nextKeyIsES384(c *crashCase, s *clusterState) error {
	for _, key := range s.rings.Keys() {
		if (key.State == keyring.Pending) != (key.Algorithm == keyring.ES384) {
			return fmt.Errorf("key %s is %s and for %s", key.ID, key.State, key.Algorithm)
		}
	}
	return sameToken(c, s)
}

func sameKeys(c *crashCase, s *clusterState) error {
	if !c.before.rings.Equal(s.rings) {
		return errors.New("the signing keys are not those from before")
	}
	return nil
}

// firstKeysStay: the keys that a crash left behind are the ones in use.
func keepsFirstKeys(c *crashCase, s *clusterState) error {
	if n := len(s.rings.Keys()); n != 4 {
		return fmt.Errorf("%d keys, not two rings of two", n)
	}
	if c.afterCrash != nil && c.afterCrash.rings != nil && !c.afterCrash.rings.Equal(s.rings) {
		return errors.New("the keys that the crash left behind were replaced")
	}
	return nil
}
