package faults

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/acceptance"
)

// crashCase runs one transition of one refresh key and its issuer, with planned crashes of the managers.
// The namespace and the issuer have the name of the case.
type crashCase struct {
	*harness
	transition *transition
	name       string
	// crashes holds the crash of the first manager, of the second and so on. A zero crash plans none.
	crashes []crash
	watcher *invariantWatcher

	before     *clusterState
	afterCrash *clusterState
	// timeout is the condition that did not become true in time; nil if there is none.
	timeout error
	// writesBefore counts the writes before the transition.
	writesBefore int
}

const keyName = "orders"

func (c *crashCase) String() string {
	text := c.transition.name
	for i, at := range c.crashes {
		if at.write > 0 {
			text += fmt.Sprintf(", manager %d crashed %s write %d", i+1, at.side, at.write)
		}
	}
	return text + " (" + c.name + ")"
}

// crashOf returns the crash that is planned for the n-th manager, counted from 1.
func (c *crashCase) crashOf(manager int) crash {
	if manager <= len(c.crashes) {
		return c.crashes[manager-1]
	}
	return crash{}
}

func (c *crashCase) keyRef() *v1alpha1.JWTRefreshKey { return newKey(c.name, keyName, c.name) }

func (c *crashCase) editKey(change func(*v1alpha1.JWTRefreshKey)) {
	edit(c.harness, c.keyRef(), change)
}

func (c *crashCase) annotateKey(name, value string) { annotate(c.harness, c.keyRef(), name, value) }

func (c *crashCase) editSecret(change func(*corev1.Secret)) {
	edit(c.harness, secretNamed(c.name, keyName), change)
}

// clusterState holds all objects of a crash case at one moment.
type clusterState struct {
	issuer  *v1alpha1.JWTIssuer      // nil if it does not exist
	rings   *keyring.Rings           // nil if there are no signing keys
	key     *v1alpha1.JWTRefreshKey  // nil if it does not exist
	secrets map[string]corev1.Secret // Secrets of the namespace, by name
}

func (c *crashCase) readState() (*clusterState, error) {
	s := &clusterState{secrets: map[string]corev1.Secret{}}
	issuer, err := get(c.harness, &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: c.name}})
	if there, err := exists(err); err != nil {
		return nil, err
	} else if there {
		s.issuer = issuer
	}
	keys, err := get(c.harness, signingKeysSecret(c.name))
	if there, err := exists(err); err != nil {
		return nil, err
	} else if there {
		if s.rings, err = keyring.Decode(keys.Data); err != nil {
			return nil, err
		}
	}
	key, err := get(c.harness, c.keyRef())
	if there, err := exists(err); err != nil {
		return nil, err
	} else if there {
		s.key = key
	}
	var secrets corev1.SecretList
	if err := c.admin.List(c.ctx, &secrets, client.InNamespace(c.name)); err != nil {
		return nil, err
	}
	for _, secret := range secrets.Items {
		s.secrets[secret.Name] = secret
	}
	return s, nil
}

// line returns the token line in the status of the refresh key, empty without a key.
func (s *clusterState) line() v1alpha1.TokenLine {
	if s.key == nil {
		return v1alpha1.TokenLine{}
	}
	return s.key.Status.TokenLine
}

// token returns the token in the Secret that the status names.
func (s *clusterState) token() string {
	if s.key == nil {
		return ""
	}
	secret := s.secrets[s.key.Status.SecretName]
	return string(secret.Data[v1alpha1.SecretToken])
}

// kid returns the ID of the signing key with this use and state, empty if there is none.
func (s *clusterState) kid(use keyring.Use, state keyring.State) string {
	if s.rings != nil {
		for _, key := range s.rings.Keys() {
			if key.Use == use && key.State == state {
				return key.ID
			}
		}
	}
	return ""
}

// outcome is the expected state after a transition, regardless of crashes.
type outcome struct {
	// reason is the reason of the condition Ready; empty means Issued.
	reason string
	// advanced is how many revisions the transition adds.
	advanced int64
	// superseded is the number of tokens in status.previous.
	superseded int
	// tokenless: the Secret exists without a token. Otherwise it holds the current token.
	tokenless bool
	// secretless: no Secret exists.
	secretless bool
	// untouched: the Secret is unchanged, with any content.
	untouched bool
	// keyless: only an issuer exists, no refresh key.
	keyless bool
	// issuerless: the issuer does not exist.
	issuerless bool
	// issuer is the reason of the issuer's condition Ready; empty means KeysReady.
	issuer string
	// also is a further check.
	also func(c *crashCase, s *clusterState) error
}

// matches compares the objects with the outcome.
func (o *outcome) matches(c *crashCase, s *clusterState) error {
	if err := o.issuerMatches(c, s); err != nil || o.keyless {
		return err
	}
	if s.key == nil {
		return errors.New("the refresh key does not exist")
	}
	reason := o.reason
	if reason == "" {
		reason = v1alpha1.ReasonIssued
	}
	status := &s.key.Status
	var revision int64
	if c.before != nil {
		revision = c.before.line().Revision
	}
	switch got, ready := readyOf(status.Conditions); {
	case got != reason || ready != (reason == v1alpha1.ReasonIssued):
		return fmt.Errorf("got Ready %v for reason %s, want reason %s", ready, got, reason)
	case status.ObservedGeneration != s.key.Generation:
		return fmt.Errorf("got observed generation %d, want %d", status.ObservedGeneration, s.key.Generation)
	case status.Revision != revision+o.advanced:
		return fmt.Errorf("got revision %d, want %d", status.Revision, revision+o.advanced)
	case len(status.Previous) != o.superseded:
		return fmt.Errorf("got %d superseded tokens, want %d", len(status.Previous), o.superseded)
	}
	if err := o.secretMatches(c, s); err != nil {
		return err
	}
	if o.also != nil {
		return o.also(c, s)
	}
	return nil
}

func (o *outcome) issuerMatches(c *crashCase, s *clusterState) error {
	switch {
	case o.issuerless && s.issuer != nil:
		return errors.New("the issuer still exists")
	case o.issuerless:
		return nil
	case s.issuer == nil:
		return errors.New("the issuer does not exist")
	}
	reason := o.issuer
	if reason == "" {
		reason = v1alpha1.ReasonKeysReady
	}
	if got, _ := readyOf(s.issuer.Status.Conditions); got != reason {
		return fmt.Errorf("issuer: got reason %s for Ready, want %s", got, reason)
	}
	if err := keysInStatus(s.issuer, s.rings); err != nil {
		return err
	}
	if o.keyless && o.also != nil {
		return o.also(c, s)
	}
	return nil
}

// keysInStatus compares the signing keys in an issuer's status with those in its Secret.
func keysInStatus(issuer *v1alpha1.JWTIssuer, rings *keyring.Rings) error {
	if rings == nil {
		return errors.New("there are no signing keys")
	}
	var have, want []string
	for _, key := range issuer.Status.Keys {
		have = append(have, fmt.Sprintf("%s %s %s %s %d", key.Use, key.KID, key.Algorithm, key.State, key.CreatedAt.Unix()))
	}
	for _, key := range rings.Keys() {
		want = append(want, fmt.Sprintf("%s %s %s %s %d", key.Use, key.ID, key.Algorithm, key.State, key.CreatedAt.Unix()))
	}
	if fmt.Sprint(have) != fmt.Sprint(want) {
		return fmt.Errorf("status.keys: got %v, want %v as in the Secret", have, want)
	}
	return nil
}

func (o *outcome) secretMatches(c *crashCase, s *clusterState) error {
	status, name := &s.key.Status, lifecycle.SecretName(s.key)
	secret, there := s.secrets[name]
	held := string(secret.Data[v1alpha1.SecretToken])
	switch {
	case o.secretless && len(s.secrets) > 0:
		return fmt.Errorf("got %d Secrets, want none", len(s.secrets))
	case o.secretless:
		return nil
	case !there:
		return fmt.Errorf("Secret %q does not exist", name)
	case o.untouched && c.before != nil && secret.ResourceVersion != secretOf(c.before, secret.Name).ResourceVersion:
		return fmt.Errorf("Secret %s was written", secret.Name)
	case o.untouched:
		return nil
	case status.SecretName != name:
		return fmt.Errorf("status.secretName: got %q, want %q", status.SecretName, name)
	case o.tokenless && (held != "" || len(secret.Data[v1alpha1.SecretAccessToken]) > 0):
		return fmt.Errorf("Secret %s still holds a token", secret.Name)
	case !o.tokenless && token.Hash(held) != status.TokenHash:
		return fmt.Errorf("Secret %s does not hold the current token", secret.Name)
	}
	return nil
}

// check returns an error for everything that is wrong after the transition.
func (c *crashCase) check() error {
	s, err := c.readState()
	if err != nil {
		return err
	}
	return errors.Join(
		c.timeout,
		c.transition.want.matches(c, s),
		c.onlyRecordedAccepted(s),
		c.earlierTokenAsExpected(s),
		c.writesAsExpected(),
		c.watcher.violationsIn(c.name),
	)
}

// onlyRecordedAccepted checks that of all tokens ever seen, exactly those in status are accepted.
func (c *crashCase) onlyRecordedAccepted(s *clusterState) error {
	if s.key == nil {
		return nil
	}
	listed := acceptList{}
	if reason := c.transition.want.reason; reason == "" || reason == v1alpha1.ReasonIssued {
		listed.add(s.key)
	}
	return errors.Join(listed.verify(c.harness, c.name, c.name), listed.verifyRecorded(c.harness, c.name))
}

// earlierTokenAsExpected checks that the token from before the transition is refused if the transition
// revokes it, and accepted otherwise.
func (c *crashCase) earlierTokenAsExpected(s *clusterState) error {
	held := c.before.token()
	if held == "" {
		return nil
	}
	_, err := c.verifier.Accept(c.ctx, held, issuerNamed(held, c.name))
	switch {
	case err != nil && !errors.Is(err, acceptance.ErrRefused):
		return err
	case err == nil && c.transition.refusesOld:
		return errors.New("the token from before is accepted, and must be refused")
	case err != nil && !c.transition.refusesOld:
		return fmt.Errorf("the token from before is refused, and must be accepted: %w", err)
	}
	return nil
}

// writesAsExpected checks that the managers together made no more writes than one manager without a crash.
func (c *crashCase) writesAsExpected() error {
	done := c.journal.ofOwner(c.name)[c.writesBefore:]
	effective := 0
	for _, e := range done {
		if e.effective() {
			effective++
		}
	}
	want := c.transition.writes
	if c.transition.earlierCrash.side == after {
		want += c.transition.earlierCrash.write
	}
	if effective < want || effective > want+c.transition.spare {
		return fmt.Errorf("got %d effective writes, want %d:\n%s", effective, want, formatEntries(done))
	}
	return nil
}
