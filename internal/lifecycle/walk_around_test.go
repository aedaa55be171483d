package lifecycle

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// touchSecret changes a Secret like a user with kubectl.
func (w *simulation) touchSecret() {
	names := slices.Sorted(maps.Keys(w.secrets))
	if len(names) == 0 {
		return
	}
	name := names[w.random.IntN(len(names))]
	changed := *w.secrets[name]
	switch w.random.IntN(11) {
	case 0, 1:
		delete(w.secrets, name)
		return
	case 2:
		changed.token = "edited"
	case 3:
		// A user writes an earlier token of this or another key.
		changed.token = w.tokens[pick(w, slices.Sorted(maps.Keys(w.tokens))...)].Hash
	case 4:
		changed.token = ""
	case 5:
		changed.dressing = "edited"
	case 6:
		changed.immutable = true
	case 7:
		// The type is immutable: a user deletes the Secret and creates another one.
		changed = storedSecret{foreign: true, createdAt: w.now.Truncate(time.Second), token: pick(w, "", "edited", changed.token)}
	case 8:
		if changed.access != nil {
			access := *changed.access
			access.edited = true
			changed.access = &access
		}
	case 9:
		if changed.access != nil {
			access := *changed.access
			access.revision = w.random.Int64N(access.revision + 1)
			changed.access = &access
		}
	case 10:
		// An earlier version of the operator wrote it.
		changed.dressing = earlierForm + strings.TrimPrefix(changed.dressing, earlierForm)
	}
	if !w.secrets[name].immutable || changed.foreign {
		w.secrets[name] = &changed
	}
}

// repairSecret removes an obstacle that only a user can remove.
func (w *simulation) repairSecret() {
	for name, secret := range w.secrets {
		if secret.foreign || secret.immutable {
			delete(w.secrets, name)
		}
	}
}

func (w *simulation) collectGarbage() {
	for name, secret := range w.secrets {
		if !secret.foreign && !secret.retained && secret.owner != w.key.UID {
			delete(w.secrets, name)
		}
	}
}

func (w *simulation) issuer() *storedIssuer { return w.issuers[pick(w, "default", "default", "other")] }

func (w *simulation) changeIssuer() {
	issuer := w.issuer()
	switch w.random.IntN(5) {
	case 0:
		issuer.found = !issuer.found
	case 1:
		issuer.ready = !issuer.ready
	case 2:
		issuer.access = pick(w, 5*minute, 15*minute, 4*minute, 500*time.Second)
	default:
		issuer.policy = policies[pick(w, "open", "short", "shop", "plain", "closed")]
	}
}

func (w *simulation) repairIssuers() {
	for _, issuer := range w.issuers {
		issuer.found, issuer.ready, issuer.policy, issuer.access = true, true, policies["open"], 15*minute
		if issuer.accessSigner == "" {
			w.kids++
			issuer.accessSigner = fmt.Sprint("access-", w.kids)
		}
	}
}

// changeRing rotates, retires or withdraws signing keys. Only a withdrawal removes a key that signed valid tokens.
func (w *simulation) changeRing() {
	issuer := w.issuer()
	switch w.random.IntN(5) {
	case 4:
		issuer.accessSigner = ""
	case 0:
		w.newSigner(issuer)
	case 1, 2:
		issuer.ring = slices.DeleteFunc(slices.Clone(issuer.ring), func(kid string) bool {
			return kid != issuer.signer && !w.signedLiving(kid)
		})
	case 3:
		gone := issuer.ring[w.random.IntN(len(issuer.ring))]
		issuer.ring = slices.DeleteFunc(slices.Clone(issuer.ring), func(kid string) bool { return kid == gone })
		if issuer.signer == gone {
			w.newSigner(issuer)
		}
	}
}

func (w *simulation) signedLiving(kid string) bool {
	for _, token := range w.tokens {
		if token.KeyID == kid && w.now.Before(token.ExpiresAt) {
			return true
		}
	}
	return false
}
