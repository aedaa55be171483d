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
type trial struct {
	*scene
	transition *transition
	name       string
	// crashes are those of the first manager, the second and so on; a zero crash is none.
	crashes []crash
	witness *witness

	before *findings
	wreck  *findings
	// stuck says what did not happen in time.
	stuck error
	// started is how many writes there were before the transition.
	started int
}

const keyName = "orders"

func (r *trial) String() string {
	text := r.transition.name
	for i, c := range r.crashes {
		if c.write > 0 {
			text += fmt.Sprintf(", manager %d crashed %s write %d", i+1, c.side, c.write)
		}
	}
	return text + " (" + r.name + ")"
}

// crashOf is what is planned for the n-th manager.
func (r *trial) crashOf(manager int) crash {
	if manager <= len(r.crashes) {
		return r.crashes[manager-1]
	}
	return crash{}
}

func (r *trial) theKey() *v1alpha1.JWTRefreshKey { return newKey(r.name, keyName, r.name) }

func (r *trial) editKey(change func(*v1alpha1.JWTRefreshKey)) { edit(r.scene, r.theKey(), change) }

func (r *trial) annotateKey(name, value string) { annotate(r.scene, r.theKey(), name, value) }

func (r *trial) editSecret(change func(*corev1.Secret)) {
	edit(r.scene, secretNamed(r.name, keyName), change)
}

// findings are all that stands in the cluster for a trial at one moment.
type findings struct {
	issuer  *v1alpha1.JWTIssuer      // nil when there is none
	rings   *keyring.Rings           // nil when there are none
	key     *v1alpha1.JWTRefreshKey  // nil when there is none
	secrets map[string]corev1.Secret // of the namespace, by name
}

func (r *trial) find() (*findings, error) {
	f := &findings{secrets: map[string]corev1.Secret{}}
	issuer, err := get(r.scene, &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: r.name}})
	if there, err := exists(err); err != nil {
		return nil, err
	} else if there {
		f.issuer = issuer
	}
	keys, err := get(r.scene, keysOf(r.name))
	if there, err := exists(err); err != nil {
		return nil, err
	} else if there {
		if f.rings, err = keyring.Decode(keys.Data); err != nil {
			return nil, err
		}
	}
	key, err := get(r.scene, r.theKey())
	if there, err := exists(err); err != nil {
		return nil, err
	} else if there {
		f.key = key
	}
	var secrets corev1.SecretList
	if err := r.admin.List(r.ctx, &secrets, client.InNamespace(r.name)); err != nil {
		return nil, err
	}
	for _, secret := range secrets.Items {
		f.secrets[secret.Name] = secret
	}
	return f, nil
}

// line is the line of the key, empty without one.
func (f *findings) line() v1alpha1.TokenLine {
	if f.key == nil {
		return v1alpha1.TokenLine{}
	}
	return f.key.Status.TokenLine
}

// token is the one in the Secret that status names.
func (f *findings) token() string {
	if f.key == nil {
		return ""
	}
	secret := f.secrets[f.key.Status.SecretName]
	return string(secret.Data[v1alpha1.SecretToken])
}

func (f *findings) kid(use keyring.Use, state keyring.State) string {
	if f.rings != nil {
		for _, key := range f.rings.Keys() {
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
	also func(r *trial, f *findings) error
}

// settled tells whether the outcome is there, by the objects alone.
func (o *outcome) settled(r *trial, f *findings) error {
	if err := o.issuerSettled(r, f); err != nil || o.keyless {
		return err
	}
	if f.key == nil {
		return errors.New("there is no key")
	}
	reason := o.reason
	if reason == "" {
		reason = v1alpha1.ReasonIssued
	}
	status := &f.key.Status
	var revision int64
	if r.before != nil {
		revision = r.before.line().Revision
	}
	switch got, ready := readyOf(status.Conditions); {
	case got != reason || ready != (reason == v1alpha1.ReasonIssued):
		return fmt.Errorf("Ready is %v for %s, not for %s", ready, got, reason)
	case status.ObservedGeneration != f.key.Generation:
		return fmt.Errorf("generation %d is observed, not %d", status.ObservedGeneration, f.key.Generation)
	case status.Revision != revision+o.advanced:
		return fmt.Errorf("revision %d after %d: not advanced by %d", status.Revision, revision, o.advanced)
	case len(status.Previous) != o.superseded:
		return fmt.Errorf("%d superseded tokens, not %d", len(status.Previous), o.superseded)
	}
	if err := o.secretSettled(r, f); err != nil {
		return err
	}
	if o.also != nil {
		return o.also(r, f)
	}
	return nil
}

func (o *outcome) issuerSettled(r *trial, f *findings) error {
	switch {
	case o.issuerless && f.issuer != nil:
		return errors.New("the issuer is there still")
	case o.issuerless:
		return nil
	case f.issuer == nil:
		return errors.New("there is no issuer")
	}
	reason := o.issuer
	if reason == "" {
		reason = v1alpha1.ReasonKeysReady
	}
	if got, _ := readyOf(f.issuer.Status.Conditions); got != reason {
		return fmt.Errorf("Ready of the issuer says %s, not %s", got, reason)
	}
	if err := keysOnRecord(f.issuer, f.rings); err != nil {
		return err
	}
	if o.keyless && o.also != nil {
		return o.also(r, f)
	}
	return nil
}

// keysOnRecord compares the keys in an issuer's status with those in its Secret.
func keysOnRecord(issuer *v1alpha1.JWTIssuer, rings *keyring.Rings) error {
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

func (o *outcome) secretSettled(r *trial, f *findings) error {
	status, name := &f.key.Status, lifecycle.SecretName(f.key)
	secret, there := f.secrets[name]
	held := string(secret.Data[v1alpha1.SecretToken])
	switch {
	case o.secretless && len(f.secrets) > 0:
		return fmt.Errorf("%d Secrets are there: none should be", len(f.secrets))
	case o.secretless:
		return nil
	case !there:
		return fmt.Errorf("there is no Secret %q", name)
	case o.untouched && r.before != nil && secret.ResourceVersion != secretOf(r.before, secret.Name).ResourceVersion:
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

// verdict is what the invariants of docs/architecture.md say of a settled trial.
func (r *trial) verdict() error {
	f, err := r.find()
	if err != nil {
		return err
	}
	return errors.Join(
		r.stuck,
		r.transition.want.settled(r, f),
		r.wellListed(f),
		r.nothingLost(f),
		r.noMoreWrites(),
		r.witness.said(r.name),
	)
}

// wellListed: of all tokens that were ever seen, those on the list are accepted and no other.
func (r *trial) wellListed(f *findings) error {
	if f.key == nil {
		return nil
	}
	listed := roll{}
	if reason := r.transition.want.reason; reason == "" || reason == v1alpha1.ReasonIssued {
		listed.enter(f.key)
	}
	return errors.Join(listed.call(r.scene, r.name, r.name), listed.seen(r.scene, r.name))
}

// nothingLost: what was killed stays dead, and what was not lives on.
func (r *trial) nothingLost(f *findings) error {
	held := r.before.token()
	if held == "" {
		return nil
	}
	_, err := r.verifier.Accept(r.ctx, held, issuerNamed(held, r.name))
	switch {
	case err != nil && !errors.Is(err, acceptance.ErrRefused):
		return err
	case err == nil && r.transition.kills:
		return errors.New("the token that was to die is accepted")
	case err != nil && !r.transition.kills:
		return fmt.Errorf("the token from before is refused: %w", err)
	}
	return nil
}

// noMoreWrites: to go on after a crash costs no more than what was still to be done.
func (r *trial) noMoreWrites() error {
	done := r.journal.of(r.name)[r.started:]
	effective := 0
	for _, e := range done {
		if e.effective() {
			effective++
		}
	}
	want := r.transition.writes
	if r.transition.earlier.side == after {
		want += r.transition.earlier.write
	}
	if effective < want || effective > want+r.transition.spare {
		return fmt.Errorf("%d writes took effect, and %d are needed:\n%s", effective, want, told(done))
	}
	return nil
}
