package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

func (s *scene) rotate() {
	const date = "2 January 2006"
	s.say("Long before a token ends, the next one follows by itself:")
	s.gap()
	status := s.key(keyName).Status
	due, end := status.RenewalTime, status.ExpiresAt
	s.expect(due != nil && due.Before(end), fmt.Sprintf("token 1 ends on %s, and token 2 is due on %s", end.UTC().Format(date), due.UTC().Format(date)),
		"status.renewalTime before status.expiresAt", fmt.Sprint(due, end))
	s.gap()
	s.say("There is no need to wait for that. An annotation asks for it now:")
	s.metered("a rotation", 2, func() {
		s.kubectl("annotate", "jrk", keyName, "-n", s.stage.namespace, v1alpha1.AnnotationRotate+"="+timestamp())
		s.issued(2)
	})
	s.gap()
	s.say("A new token reaches some workers a minute late, and a program that reads its file only once, not before " +
		"its next start. So the old one stays good for a while, and status lists it:")
	s.gap()
	s.block(s.previousInShort())
	s.gap()
	s.say("The token service has nothing to judge a token by but these objects. By what they say now:")
	s.gap()
	s.accepted(1, registry.Superseded)
	s.accepted(2, registry.Current)
	s.rollOver()
}

func timestamp() string { return time.Now().UTC().Format(time.RFC3339) }

// issued waits for the token of that revision, and tells how long that was.
func (s *scene) issued(revision int64) {
	took := s.untilIssued(revision)
	s.gap()
	s.held("token %d was in the Secret %s", revision, sinceKubectl(took))
}

func (s *scene) previousInShort() string {
	text := "previous:\n"
	for _, token := range s.key(keyName).Status.Previous {
		text += fmt.Sprintf("- revision: %d\n  jti: %s\n  expiresAt: %q\n", token.Revision, token.JTI, token.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return text
}

func (s *scene) changeSpec() {
	const audience = "https://api.example.com/orders"
	s.say("The orders API moves. A changed audience is a reason for a new token; so are lifetime, scopes, claims, " +
		"subject, issuer and binding.")
	s.metered("a changed audience", 2, func() {
		s.kubectl("patch", "jrk", keyName, "-n", s.stage.namespace, "--type=merge", `--patch={"spec":{"audience":"`+audience+`"}}`)
		s.issued(3)
	})
	s.expect(s.audience(3) == audience, "it says so: its aud is "+audience, audience, s.audience(3))
	s.accepted(2, registry.Superseded)
	s.accepted(3, registry.Current)
	s.gap()
	s.say("A label is not a reason.")
	s.metered("a changed label", 0, func() {
		s.kubectl("label", "jrk", keyName, "-n", s.stage.namespace, "team=payments")
		s.gap()
		s.rest()
	})
	revision := s.key(keyName).Status.Revision
	s.expect(revision == 3, "a second later it is still revision 3", 3, revision)
}

// audience is what a token says of whom it is for.
func (s *scene) audience(revision int64) string {
	var payload struct {
		Audience string `json:"aud"`
	}
	s.must(json.Unmarshal(s.decoded(strings.Split(s.tokens[revision], ".")[1]), &payload))
	return payload.Audience
}

// rest leaves the operator the time to do what it should not do.
func (s *scene) rest() {
	select {
	case <-s.ctx.Done():
	case <-time.After(time.Second):
	}
}

func (s *scene) rotateNow() {
	s.say("One of these tokens was pasted into a chat. Another annotation asks for a new token and for the end of all " +
		"the others, with no overlap:")
	s.metered("a rotation after a leak", 3, func() {
		s.kubectl("annotate", "jrk", keyName, "-n", s.stage.namespace, v1alpha1.AnnotationRotateNow+"="+timestamp())
		s.issued(4)
	})
	s.refused(1, 2, 3)
	s.refusedAtService(3)
	s.accepted(4, registry.Current)
}
