package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

func (s *scene) revoke() {
	s.say("The workers are not to call the API any more. Tokens are refused as soon as spec says so; then the operator " +
		"records it, and empties the Secret:")
	s.metered("a revocation", 2, func() {
		s.setRevoked(true)
		s.gap()
		s.refused(4)
		s.refusedAtService(4)
		took := s.until("the key is revoked and its Secret emptied", "Revoked, and no token in the Secret", func() (string, bool) {
			seen, held := reason(s.key(keyName)), s.secret(keyName).Data[v1alpha1.SecretToken]
			return fmt.Sprintf("%s, a token in the Secret: %t", seen, held != nil), seen == v1alpha1.ReasonRevoked && held == nil
		})
		left := strings.Join(slices.Sorted(maps.Keys(s.secret(keyName).Data)), ", ")
		s.held("the token was out of the Secret %s; what is left there: %s", sinceKubectl(took), left)
	})
	s.kubectl("get", "jrk", keyName, "-n", s.stage.namespace)
	s.gap()
	s.say("That was a mistake. The key gets a new token, and what was revoked stays revoked:")
	s.metered("a reinstatement", 3, func() {
		s.setRevoked(false)
		s.issued(5)
	})
	s.refused(1, 4)
	s.accepted(5, registry.Current)
}

func (s *scene) setRevoked(revoked bool) {
	s.kubectl("patch", "jrk", keyName, "-n", s.stage.namespace, "--type=merge", fmt.Sprintf(`--patch={"spec":{"revoked":%t}}`, revoked))
}

// collectedWithin allows for a garbage collector that has to learn of a new kind first.
const collectedWithin = 3 * time.Minute

func (s *scene) deleteKey() {
	s.say("No list of revoked tokens is kept, so none can be lost. A token is good only as long as its key is there:")
	s.metered("a deletion", 0, func() {
		s.kubectl("delete", "jrk", keyName, "-n", s.stage.namespace)
		s.gap()
		s.refused(5)
		s.refusedAtService(5)
		if !s.stage.ours {
			s.aside("where the kind is new, the garbage collector takes up to a minute to learn of it")
		}
		took := s.untilWithin(collectedWithin, "the Secret is collected", "no Secret", func() (string, bool) {
			secret := s.secret(keyName)
			return "Secret " + secret.Name, secret.Name == ""
		})
		s.held("the Secret was gone %s: Kubernetes' own garbage collector took it along", sinceKubectl(took))
	})
	s.gap()
	s.say("A new key of the same name starts anew. A token names its object by UID, so the old one stays refused:")
	s.metered("a new key of the same name", 2, func() {
		s.kubectl("apply", "-f", manifestFile)
		s.issued(1)
	})
	s.refused(5)
	s.accepted(1, registry.Current)
}
