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
	"github.com/refreshkeys/refreshkeys/test/acceptance"
)

// trial is one key and its issuer, both of their own, going through one transition while
// managers crash at it. The namespace and the issuer have the trial's name.
type crashCase struct {
	*harness
	transition *transition
	name       string
	// crashes are those of the first manager, the second and so on; a zero crash is none.
	crashes []crash
	watcher *invariantWatcher

	before     *clusterState
	afterCrash *clusterState
	// stuck says what did not happen in time.
	timeout error
	// started is how many writes there were before the transition.
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

// crashOf is what is planned for the n-th manager.
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

// findings are all that stands in the cluster for a trial at one moment.
type clusterState struct {
	issuer  *v1alpha1.JWTIssuer      // nil when there is none
	rings   *keyring.Rings           // nil when there are none
	key     *v1alpha1.JWTRefreshKey  // nil when there is none
	secrets map[string]corev1.Secret // of the namespace, by name
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

// line is the line of the key, empty without one.
func (s *clusterState) line() v1alpha1.TokenLine {
	if s.key == nil {
		return v1alpha1.TokenLine{}
	}
	return s.key.Status.TokenLine
}

// token is the one in the Secret that status names.
func (s *clusterState) token() string {
	if s.key == nil {
		return ""
	}
	secret := s.secrets[s.key.Status.SecretName]
	return string(secret.Data[v1alpha1.SecretToken])
}

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

// outcome is what a transition comes to, whatever crashed on the way.
type outcome struct {
	// reason of Ready; Issued when empty.
	reason string
	// advanced is by how many revisions.
	advanced int64
	// superseded is how many tokens are in previous.
	superseded int
	// tokenless: the Secret is there and holds no token. Without it, it holds the current one.
	tokenless bool
	// secretless: there is no Secret.
	secretless bool
	// untouched: the Secret is as it was, whatever it holds.
	untouched bool
	// keyless: there is no key, only an issuer.
	keyless bool
	// issuerless: the issuer is gone.
	issuerless bool
	// issuer is the reason of Ready of the issuer; KeysReady when empty.
	issuer string
	// also is what else is to be so.
	also func(c *crashCase, s *clusterState) error
}

// settled tells whether the outcome is there, by the objects alone.
func (o *outcome) matches(c *crashCase, s *clusterState) error {
	if err := o.issuerMatches(c, s); err != nil || o.keyless {
		return err
	}
	if s.key == nil {
		return errors.New("there is no key")
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
		return fmt.Errorf("Ready is %v for %s, not for %s", ready, got, reason)
	case status.ObservedGeneration != s.key.Generation:
		return fmt.Errorf("generation %d is observed, not %d", status.ObservedGeneration, s.key.Generation)
	case status.Revision != revision+o.advanced:
		return fmt.Errorf("revision %d after %d: not advanced by %d", status.Revision, revision, o.advanced)
	case len(status.Previous) != o.superseded:
		return fmt.Errorf("%d superseded tokens, not %d", len(status.Previous), o.superseded)
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
		return errors.New("the issuer is there still")
	case o.issuerless:
		return nil
	case s.issuer == nil:
		return errors.New("there is no issuer")
	}
	reason := o.issuer
	if reason == "" {
		reason = v1alpha1.ReasonKeysReady
	}
	if got, _ := readyOf(s.issuer.Status.Conditions); got != reason {
		return fmt.Errorf("Ready of the issuer says %s, not %s", got, reason)
	}
	if err := keysInStatus(s.issuer, s.rings); err != nil {
		return err
	}
	if o.keyless && o.also != nil {
		return o.also(c, s)
	}
	return nil
}

// keysOnRecord compares the keys in an issuer's status with those in its Secret.
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
		return fmt.Errorf("status.keys is %v, and the Secret holds %v", have, want)
	}
	return nil
}

func (o *outcome) secretMatches(c *crashCase, s *clusterState) error {
	status, name := &s.key.Status, lifecycle.SecretName(s.key)
	secret, there := s.secrets[name]
	held := string(secret.Data[v1alpha1.SecretToken])
	switch {
	case o.secretless && len(s.secrets) > 0:
		return fmt.Errorf("%d Secrets are there: none should be", len(s.secrets))
	case o.secretless:
		return nil
	case !there:
		return fmt.Errorf("there is no Secret %q", name)
	case o.untouched && c.before != nil && secret.ResourceVersion != secretOf(c.before, secret.Name).ResourceVersion:
		return fmt.Errorf("Secret %s was touched", secret.Name)
	case o.untouched:
		return nil
	case status.SecretName != name:
		return fmt.Errorf("status names Secret %q, not %q", status.SecretName, name)
	case o.tokenless && (held != "" || len(secret.Data[v1alpha1.SecretAccessToken]) > 0):
		return fmt.Errorf("Secret %s holds a token still", secret.Name)
	case !o.tokenless && token.Hash(held) != status.TokenHash:
		return fmt.Errorf("Secret %s does not hold the current token", secret.Name)
	}
	return nil
}

// verdict is what the invariants say of a settled trial.
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

// wellListed: of all tokens that were ever seen, those on the list are accepted and no other.
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

// nothingLost: what was killed stays dead, and what was not lives on.
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
		return errors.New("the token that was to die is accepted")
	case err != nil && !c.transition.refusesOld:
		return fmt.Errorf("the token from before is refused: %w", err)
	}
	return nil
}

// noMoreWrites: to go on after a crash costs no more than what was still to be done.
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
		return fmt.Errorf("%d writes took effect, and %d are needed:\n%s", effective, want, formatEntries(done))
	}
	return nil
}
