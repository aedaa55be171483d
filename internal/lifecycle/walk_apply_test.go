package lifecycle

import (
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// Errors that end the application of a plan.
var (
	errStopped  = errors.New("the manager stopped")
	errConflict = errors.New("another client changed the object")
	errRefused  = errors.New("the API server refuses the Secret")
)

// reconcile observes, decides and applies. It returns the plan and an error if it did not complete.
func (w *simulation) reconcile() (*Plan, error) {
	o := w.observe()
	o.due = w.due()
	if current := w.byJTI[w.key.Status.JTI]; current != nil {
		o.served = w.served(current)
	}
	w.interfered, w.renamed = false, w.renameIsOver()
	plan := Decide(o.Observed, w.now)
	w.counts.checks[plan.Check]++
	w.note("%-30s line %s, secret %q, verdict %s, next %s", plan.Check, lineNames[plan.Line]+" "+string(plan.Cause), secretNames[plan.Secret], verdictText(plan.Verdict), sinceT0(plan.Next))
	w.checkPlan(o, &plan)
	if plan.Paced && w.unsteady && w.random.IntN(2) == 0 {
		return &plan, nil
	}
	err := w.apply(o, &plan)
	if err != nil {
		w.note("  stopped short: %v", err)
	}
	w.next = plan.Next
	return &plan, err
}

// apply carries out a plan in the order of writes of the contract: a first token is written to the Secret and then recorded,
// later tokens are recorded and then written. If the line does not change and Ready does not turn False, the status is
// written last.
func (w *simulation) apply(o *observation, plan *Plan) error {
	if plan.Ignore {
		return nil
	}
	made := w.mint(o, plan)
	status := plan.Status(&o.Observed, made, w.now)
	if plan.StatusFirst(&o.Observed) {
		if err := w.writeStatus(o, &status, plan); err != nil {
			return err
		}
	}
	if err := w.writeSecret(o, plan, &status.TokenLine, made); err != nil {
		return w.reportRefusal(o, plan, err)
	}
	report := plan
	if written := plan.Written(); written != nil {
		report, status = written, written.Status(&o.Observed, nil, w.now)
	}
	if plan.Line != KeepLine {
		if err := w.writeStatus(o, &status, report); err != nil {
			return err
		}
		return w.removeSecrets(o, plan.Remove)
	}
	if err := w.removeSecrets(o, plan.Remove); err != nil {
		return err
	}
	return w.writeStatus(o, &status, report)
}

func (w *simulation) removeSecrets(o *observation, names []string) error {
	for _, name := range names {
		if err := w.removeSecret(o, name); err != nil {
			return err
		}
	}
	return nil
}

func (w *simulation) mint(o *observation, plan *Plan) *Token {
	if plan.Line == AdoptFound {
		return o.Secret.Adoptable
	}
	if plan.Mint == nil {
		return nil
	}
	jti := fmt.Sprint("t", len(w.tokens)+1)
	token := &storedToken{
		Token: Token{
			Revision: plan.Mint.Revision, JTI: jti, Hash: hashOf(jti), KeyID: o.signer, CreatedAt: plan.Mint.CreatedAt.Truncate(time.Second),
			ExpiresAt: plan.Mint.ExpiresAt.Truncate(time.Second), Content: []byte(`{"jti":"` + jti + `"}`),
		},
		uid: o.Key.UID, terms: plan.Mint.Terms,
	}
	w.tokens[token.Hash], w.byJTI[jti] = token, token
	return &token.Token
}

// write is one write: the manager can stop before it and after it, and other clients can act before it.
func (w *simulation) write(what string, do func() error) error {
	if w.unsteady {
		switch w.random.IntN(24) {
		case 0:
			w.counts.stops++
			return errStopped
		case 1:
			w.counts.interferences++
			w.interfered = true
			w.act()
		}
	}
	if err := do(); err != nil {
		return err
	}
	w.writes++
	w.counts.writes++
	w.note("  wrote %s", what)
	if w.unsteady && w.random.IntN(24) == 0 {
		w.counts.stops++
		return errStopped
	}
	return nil
}

func (w *simulation) writeStatus(o *observation, status *v1alpha1.JWTRefreshKeyStatus, plan *Plan) error {
	if equality.Semantic.DeepEqual(&o.Key.Status, status) {
		return nil
	}
	return w.write("status", func() error {
		if w.version != o.version {
			return errConflict
		}
		before, held := w.key.Status, w.heldAccepted()
		key := *w.key
		key.Status = stored(status)
		w.key = &key
		w.version++
		o.Key, o.version = w.key, w.version
		w.checkStatusWrite(o, plan, &before, held)
		return nil
	})
}

func (w *simulation) writeSecret(o *observation, plan *Plan, line *v1alpha1.TokenLine, made *Token) error {
	if plan.Secret == KeepSecret {
		return nil
	}
	return w.write("secret "+o.Secret.Name, func() error {
		secret := w.secrets[o.Secret.Name]
		switch {
		case (secret == nil) != (o.Secret.State == SecretMissing), secret != nil && secret.stateFor(o.Key) != o.Secret.State:
			return errConflict
		case secret != nil && secret.immutable && plan.Secret != DeleteSecret:
			return errRefused
		}
		switch plan.Secret {
		case EmptySecret:
			w.checkEmptied(secret)
			secret.token, secret.access = "", nil
		case DeleteSecret:
			w.checkEmptied(secret)
			if !secret.immutable {
				w.fail("a Secret is deleted that could be emptied")
			}
			delete(w.secrets, o.Secret.Name)
		case KeepSecret, WriteSecret:
			return w.fill(o, plan, line, made)
		}
		return nil
	})
}

// fill writes the token to the Secret: just minted, from the Secret itself, or signed again from status.
func (w *simulation) fill(o *observation, plan *Plan, line *v1alpha1.TokenLine, made *Token) error {
	secret := w.secrets[o.Secret.Name]
	hash := ""
	switch {
	case made != nil:
		hash = made.Hash
	case o.Secret.TokenHash != line.TokenHash:
		token := w.contentOf(&o.Key.Status)
		if token == nil || token.Hash != line.TokenHash {
			w.fail("the plan signs a token again that status does not reproduce")
		}
		hash = token.Hash
	case secret == nil || secret.token != line.TokenHash:
		return errConflict
	default:
		hash = secret.token
	}
	filled := &storedSecret{owner: o.Key.UID, createdAt: w.now.Truncate(time.Second), token: hash}
	if secret != nil {
		filled.createdAt, filled.access = secret.createdAt, secret.access
	}
	if retains(o.Key) {
		filled.owner, filled.retained = "", true
	}
	switch plan.Access {
	case NoAccess:
		filled.access = nil
	case KeepAccess:
	case RenewAccess:
		end := w.now.Truncate(time.Second).Add(plan.AccessLifetime())
		if line.ExpiresAt.Time.Before(end) {
			end = line.ExpiresAt.Time
		}
		filled.access = &storedAccess{owner: o.Key.UID, expiresAt: end, signer: w.accessSigner(), revision: line.Revision}
	}
	dressed := *o.Key
	dressed.Status.TokenLine = *line
	filled.dressing = w.dressing(&dressed)
	w.secrets[o.Secret.Name] = filled
	w.out[hash] = true
	w.checkFilled(filled)
	return nil
}

func (w *simulation) removeSecret(o *observation, name string) error {
	return w.write("removal of "+name, func() error {
		secret := w.secrets[name]
		if secret == nil || secret.stateFor(o.Key) != SecretOwn {
			return nil
		}
		w.checkRemoved(secret)
		delete(w.secrets, name)
		return nil
	})
}

func (w *simulation) reportRefusal(o *observation, plan *Plan, err error) error {
	if !errors.Is(err, errRefused) {
		return err
	}
	report := plan.Failed(Failure{Name: o.Secret.Name, Answer: err.Error(), Refused: true})
	status := report.Status(&o.Observed, nil, w.now)
	return errors.Join(err, w.writeStatus(o, &status, report))
}
