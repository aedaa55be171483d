package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

func (s *scene) revoke() {
	s.say("The workers must no longer call the API. Tokens are refused as soon as spec.revoked is true. The operator then " +
		"records the revocation, and empties the Secret:")
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
		s.held("the token was removed from the Secret %s; the remaining data: %s", sinceKubectl(took), left)
	})
	s.kubectl("get", "jrk", keyName, "-n", s.stage.namespace)
	s.gap()
	s.say("The revocation was a mistake. The key gets a new token, and revoked tokens stay revoked:")
	s.metered("a reinstatement", 3, func() {
		s.setRevoked(false)
		s.issued(5)
	})
	s.refused(1, 4)
	s.accepted(5, lifecycle.StandingCurrent)
}

func (s *scene) setRevoked(revoked bool) {
	s.kubectl("patch", "jrk", keyName, "-n", s.stage.namespace, "--type=merge", fmt.Sprintf(`--patch={"spec":{"revoked":%t}}`, revoked))
}

// collectedWithin allows for a garbage collector that must discover a new kind first.
const collectedWithin = 3 * time.Minute

func (s *scene) deleteKey() {
	s.say("There is no list of revoked tokens that could be lost. A token is valid only while its key exists:")
	s.metered("a deletion", 0, func() {
		s.kubectl("delete", "jrk", keyName, "-n", s.stage.namespace)
		s.gap()
		s.refused(5)
		s.refusedAtService(5)
		if !s.stage.ours {
			s.aside("the garbage collector takes up to a minute to discover a new kind")
		}
		took := s.untilWithin(collectedWithin, "the Secret is collected", "no Secret", func() (string, bool) {
			secret := s.secret(keyName)
			return "Secret " + secret.Name, secret.Name == ""
		})
		s.held("Kubernetes' garbage collector deleted the Secret %s", sinceKubectl(took))
	})
	s.gap()
	s.say("A new key of the same name starts at revision 1. A token names its key by UID, so the earlier one stays refused:")
	s.metered("a new key of the same name", 2, func() {
		s.kubectl("apply", "-f", manifestFile)
		s.issued(1)
	})
	s.refused(5)
	s.accepted(1, lifecycle.StandingCurrent)
}
