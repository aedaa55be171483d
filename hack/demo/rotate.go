package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

func (s *scene) rotate() {
	const date = "2 January 2006"
	s.say("The operator issues the next token long before the current one expires:")
	s.gap()
	status := s.key(keyName).Status
	due, end := status.RenewalTime, status.ExpiresAt
	s.expect(due != nil && due.Before(end), fmt.Sprintf("token 1 expires on %s, and token 2 is due on %s", end.UTC().Format(date), due.UTC().Format(date)),
		"status.renewalTime before status.expiresAt", fmt.Sprint(due, end))
	s.gap()
	s.say("An annotation requests the next token now:")
	s.metered("a rotation", 2, func() {
		s.kubectl("annotate", "jrk", keyName, "-n", s.stage.namespace, v1alpha1.AnnotationRotate+"="+timestamp())
		s.issued(2)
	})
	s.gap()
	s.say("A new token reaches some workers a minute late. A program that reads its file only once gets it at " +
		"its next start. The earlier token therefore stays valid for an overlap, and status lists it:")
	s.gap()
	s.block(s.previousInShort())
	s.gap()
	s.say("The token service decides only by these objects. With their current state:")
	s.gap()
	s.accepted(1, lifecycle.StandingSuperseded)
	s.accepted(2, lifecycle.StandingCurrent)
	s.rollOver()
}

func timestamp() string { return time.Now().UTC().Format(time.RFC3339) }

// issued waits for the token of a revision, and prints how long that took.
func (s *scene) issued(revision int64) {
	took := s.untilIssued(revision)
	s.gap()
	s.held("the Secret held token %d %s", revision, sinceKubectl(took))
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
	s.say("The orders API moves. A changed audience causes a new token, and so does a change of lifetime, scopes, claims, " +
		"subject, issuer or binding.")
	s.metered("a changed audience", 2, func() {
		s.kubectl("patch", "jrk", keyName, "-n", s.stage.namespace, "--type=merge", `--patch={"spec":{"audience":"`+audience+`"}}`)
		s.issued(3)
	})
	s.expect(s.audience(3) == audience, "its aud is "+audience, audience, s.audience(3))
	s.accepted(2, lifecycle.StandingSuperseded)
	s.accepted(3, lifecycle.StandingCurrent)
	s.gap()
	s.say("A changed label causes no new token.")
	s.metered("a changed label", 0, func() {
		s.kubectl("label", "jrk", keyName, "-n", s.stage.namespace, "team=payments")
		s.gap()
		s.rest()
	})
	revision := s.key(keyName).Status.Revision
	s.expect(revision == 3, "one second later, it is still revision 3", 3, revision)
}

// audience returns the aud of a token.
func (s *scene) audience(revision int64) string {
	var payload struct {
		Audience string `json:"aud"`
	}
	s.must(json.Unmarshal(s.decoded(strings.Split(s.tokens[revision], ".")[1]), &payload))
	return payload.Audience
}

// rest waits long enough for an unwanted write of the operator.
func (s *scene) rest() {
	select {
	case <-s.ctx.Done():
	case <-time.After(time.Second):
	}
}

func (s *scene) rotateNow() {
	s.say("A user pasted one of these tokens into a chat. Another annotation requests a new token and ends all " +
		"earlier ones, without an overlap:")
	s.metered("a rotation after a leak", 3, func() {
		s.kubectl("annotate", "jrk", keyName, "-n", s.stage.namespace, v1alpha1.AnnotationRotateNow+"="+timestamp())
		s.issued(4)
	})
	s.refused(1, 2, 3)
	s.refusedAtService(3)
	s.accepted(4, lifecycle.StandingCurrent)
}
