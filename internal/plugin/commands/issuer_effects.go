package commands

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// effects are what a withdrawal does, in sentences for people.
type effects struct {
	sentences []string
	// gap says until when no access token is signed; empty if the next access key signs at once, and if none is withdrawn.
	gap string
}

// String returns all sentences as one text.
func (e effects) String() string {
	all := e.sentences
	if e.gap != "" {
		all = append(slices.Clone(all), e.gap)
	}
	return strings.Join(all, " ")
}

// effectsOf returns what the withdrawal of kids does to an issuer. signed is the number of refresh keys whose token one of them signed,
// unless uncounted says why it is unknown.
func effectsOf(issuer *v1alpha1.JWTIssuer, kids []string, signed int, uncounted error, now time.Time) (e effects) {
	withdrawn := map[keyring.Use]bool{}
	active := false
	for _, key := range issuer.Status.Keys {
		if slices.Contains(kids, key.KID) {
			withdrawn[keyring.Use(key.Use)] = true
			active = active || keyring.Use(key.Use) == keyring.Access && key.State == v1alpha1.KeyState(keyring.Active)
		}
	}
	add := func(format string, args ...any) { e.sentences = append(e.sentences, fmt.Sprintf(format, args...)) }
	if withdrawn[keyring.Refresh] {
		switch {
		case uncounted != nil:
			add("The tokens of an unknown number of refresh keys are refused at once and issued again.")
		case signed == 1:
			add("The token of 1 refresh key is refused at once and issued again.")
		default:
			add("The tokens of %d refresh keys are refused at once and issued again.", signed)
		}
		if uncounted != nil || signed > 0 {
			add("One-time keys and sessions among them end.")
		}
	}
	if withdrawn[keyring.Access] {
		add("Access tokens that it signed are refused by all who fetch the key set again.")
	}
	if withdrawn[keyring.Seal] {
		add("People who sign in with a browser just now begin again.")
	}
	if len(withdrawn) == 0 {
		add("It is withdrawn already.")
	}
	if !active {
		return e
	}
	if signs := nextAccess(issuer, kids, now); signs.After(now) {
		e.gap = fmt.Sprintf("Until about %s, every exchange and every sign-in at this issuer is answered with 503: the next access key signs once it has been published for signing.prepublish.",
			cli.Stamp(signs, now))
		return e
	}
	add("The next access key has been published for signing.prepublish, and signs at once: exchanges go on.")
	return e
}

// nextAccess returns from when an access key signs after the active one and kids are withdrawn, as keyring.Advance decides it: the pending
// key signs once it has been published for signing.prepublish. If there is no pending key, a new one is made now.
func nextAccess(issuer *v1alpha1.JWTIssuer, kids []string, now time.Time) time.Time {
	prepublish := keyring.DefaultPrepublish
	if signing := issuer.Spec.Signing; signing != nil && signing.Prepublish != nil {
		prepublish = signing.Prepublish.Duration
	}
	for _, key := range issuer.Status.Keys {
		if keyring.Use(key.Use) == keyring.Access && key.State == v1alpha1.KeyState(keyring.Pending) && !slices.Contains(kids, key.KID) {
			return key.CreatedAt.Add(prepublish)
		}
	}
	return now.Add(prepublish)
}
