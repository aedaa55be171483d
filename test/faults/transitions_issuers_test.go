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
var byIssuers = []*transition{
	{
		name: "first signing keys", writes: 2, keyless: true, issuerless: true, happens: createTheIssuer,
		want: outcome{keyless: true, also: firstKeysStay},
	},
	{name: "changed algorithm", writes: 2, happens: changeAlgorithm, want: outcome{also: nextKeyIsES384}},
	{name: "withdrawn signing key", writes: 5, happens: withdraw, want: outcome{advanced: 1, also: withoutWithdrawn}, kills: true},
	{
		// The next access key has not been published for long enough, and until it has, the Secret goes
		// without: nobody accepts the access token that it had.
		name: "withdrawn access key whose successor has to wait", writes: 4, issuer: []func(*v1alpha1.JWTIssuer){lastingAccess},
		key: []func(*v1alpha1.JWTRefreshKey){withAccessToken}, happens: withdrawAccess,
		want: outcome{issuer: v1alpha1.ReasonKeyPending, also: all(accessIsWithdrawn, holdsNoAccess)},
	},
	{
		name: "another issuer", writes: 2, first: []step{{do: createElsewhere, want: outcome{advanced: 1, also: elsewhereReady}}},
		happens: moveElsewhere, want: outcome{advanced: 1, superseded: 1, also: issuedElsewhere},
	},
	{
		name: "deleted issuer", writes: 1, happens: deleteIssuer, kills: true,
		want: outcome{reason: v1alpha1.ReasonIssuerNotFound, issuerless: true, also: sameToken},
	},
	{
		// The key can be looked at before the issuer has been, and says so.
		name: "deleted issuer made again", writes: 2, spare: 1,
		first:   []step{{do: deleteIssuer, want: outcome{advanced: 1, reason: v1alpha1.ReasonIssuerNotFound, issuerless: true}, kills: true}},
		happens: createTheIssuer, want: outcome{also: all(sameToken, sameKeys)},
	},
}

func createTheIssuer(r *trial) {
	r.Expect(r.admin.Create(r.ctx, newIssuer(r.name))).To(gomega.Succeed())
}

func deleteIssuer(r *trial) {
	r.Expect(r.admin.Delete(r.ctx, newIssuer(r.name))).To(gomega.Succeed())
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

func createElsewhere(r *trial) { r.issuer(otherIssuer(r.name)) }

func moveElsewhere(r *trial) {
	r.editKey(func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.IssuerRef = &v1alpha1.IssuerReference{Name: otherIssuer(r.name)}
	})
}

func withdraw(r *trial) {
	annotate(r.scene, newIssuer(r.name), v1alpha1.AnnotationWithdrawKey, r.before.line().KeyID)
}

func withdrawAccess(r *trial) {
	f, err := r.find()
	r.Expect(err).NotTo(gomega.HaveOccurred())
	annotate(r.scene, newIssuer(r.name), v1alpha1.AnnotationWithdrawKey, f.kid(keyring.Access, keyring.Active))
}

func changeAlgorithm(r *trial) {
	edit(r.scene, newIssuer(r.name), signing(func(s *v1alpha1.SigningSpec) { s.Algorithm = v1alpha1.SigningAlgorithm(keyring.ES384) }))
}

func elsewhereReady(r *trial, _ *findings) error {
	issuer, err := get(r.scene, newIssuer(otherIssuer(r.name)))
	if err != nil {
		return err
	}
	if reason, ready := readyOf(issuer.Status.Conditions); !ready {
		return fmt.Errorf("the other issuer is not ready: %s", reason)
	}
	return nil
}

func issuedElsewhere(r *trial, f *findings) error {
	other := newIssuer(otherIssuer(r.name))
	endpoint := string(secretOf(f, keyName).Data[v1alpha1.SecretTokenEndpoint])
	switch {
	case f.key.Status.Issuer != other.Name:
		return fmt.Errorf("status names issuer %s, not %s", f.key.Status.Issuer, other.Name)
	case issuerIn(f.token()) != other.Spec.URL:
		return fmt.Errorf("the token is one of %s, not of %s", issuerIn(f.token()), other.Spec.URL)
	case endpoint != other.Spec.URL+"/token":
		return fmt.Errorf("the Secret sends the token of %s to %s", other.Name, endpoint)
	case f.line().Previous[0].TokenHash != r.before.line().TokenHash:
		return errors.New("the superseded token is not the one from before")
	}
	return nil
}

func withoutWithdrawn(r *trial, f *findings) error {
	if _, there := f.rings.Lookup(keyring.Refresh, r.before.line().KeyID); there {
		return errors.New("the withdrawn key is in the ring still")
	}
	if now, next := f.line().KeyID, r.before.kid(keyring.Refresh, keyring.Pending); now != next {
		return fmt.Errorf("key %s signed, not %s which was next", now, next)
	}
	return nil
}

// accessIsWithdrawn: nobody accepts the access token from before any more.
func accessIsWithdrawn(r *trial, f *findings) error {
	_, err := token.Parse(accessIn(r.before), token.Access, f.rings, f.issuer.Spec.URL, r.clock.Now())
	if !errors.Is(err, token.ErrUnknownKey) {
		return fmt.Errorf("the access token of the withdrawn key is not refused as one of an unknown key: %w", err)
	}
	return sameToken(r, f)
}

// accessIssuedAgain: and there is another one, signed by the key that was next.
func accessIssuedAgain(r *trial, f *findings) error {
	return errors.Join(accessIsWithdrawn(r, f), accessOfTheNextKey(r, f))
}

func accessOfTheNextKey(r *trial, f *findings) error {
	if now, next := f.kid(keyring.Access, keyring.Active), r.before.kid(keyring.Access, keyring.Pending); now != next {
		return fmt.Errorf("access key %q is active, not %q which was next", now, next)
	}
	return errors.Join(sameToken(r, f), holdsAnotherAccess(r, f))
}

func nextKeyIsES384(r *trial, f *findings) error {
	for _, key := range f.rings.Keys() {
		if (key.State == keyring.Pending) != (key.Algorithm == keyring.ES384) {
			return fmt.Errorf("key %s is %s and for %s", key.ID, key.State, key.Algorithm)
		}
	}
	return sameToken(r, f)
}

func sameKeys(r *trial, f *findings) error {
	if !r.before.rings.Equal(f.rings) {
		return errors.New("the signing keys are not those from before")
	}
	return nil
}

// firstKeysStay: the keys that a crash left behind are the ones in use.
func firstKeysStay(r *trial, f *findings) error {
	if n := len(f.rings.Keys()); n != 4 {
		return fmt.Errorf("%d keys, not two rings of two", n)
	}
	if r.wreck != nil && r.wreck.rings != nil && !r.wreck.rings.Equal(f.rings) {
		return errors.New("the keys that the crash left behind were replaced")
	}
	return nil
}
