package main

import (
	"fmt"
	"time"
)

// story is what is told, in order. Each step stands on those before it.
func story(existing bool) []step {
	begin := step{"A control plane, from nothing", (*scene).startCluster}
	if existing {
		begin = step{"A place in your cluster", (*scene).joinCluster}
	}
	return []step{
		begin,
		{"A key is one manifest", (*scene).declareKey},
		{"What became of it", (*scene).readKey},
		{"The token is used", (*scene).use},
		{"The Secret is lost", (*scene).loseSecret},
		{"A rotation that breaks nobody", (*scene).rotate},
		{"A new token for a reason, and only then", (*scene).changeSpec},
		{"A token has leaked", (*scene).rotateNow},
		{"What is refused, and why", (*scene).refuse},
		{"Revoked, and reinstated", (*scene).revoke},
		{"Deleted", (*scene).deleteKey},
		{"A workload signs in", (*scene).login},
		{"A stolen Secret", (*scene).bind},
		{"Who may have what", (*scene).grantPolicy},
		{"In short", (*scene).epilogue},
	}
}

func (s *scene) prologue() {
	fmt.Fprintf(s.out, "%s\n\n", s.styled(bold, "Refresh Keys: the life of a refresh token"))
	s.say("A JWTRefreshKey says who a refresh token is for and how long it lives. The operator issues the token " +
		"into a Secret, replaces it before it ends, and takes it back when told to. What follows " +
		"happens while you read. A line that begins with \"ok\" is a check that was just made; the first " +
		"that fails ends the story, and make with it.")
}

func (s *scene) epilogue() {
	if s.stage.ours {
		s.account()
	} else {
		s.say("API writes were not counted: others write in this cluster too.")
	}
	s.gap()
	s.say("All %d checks held, in %s, of which %s went by until the issuer was ready.",
		s.checks, span(time.Since(s.began)), span(s.stage.readyAfter))
	s.gap()
	s.say("To go on by yourself:")
	s.gap()
	switch {
	case s.stage.ours:
		s.block("make up      the same, left running; it says what to type\nmake down    ends that")
	case s.stage.manager != nil:
		s.block("kubectl apply --server-side -k config/default    the operator, in your cluster")
	default:
		s.block("kubectl explain jrk.spec\nkubectl apply -f config/samples/")
	}
}

// account lists what the operator's work took, and expects that there was no other.
func (s *scene) account() {
	s.say("What it took, in API writes (Events apart):")
	s.gap()
	total := writes{}
	for _, c := range s.costs {
		total = total.plus(c.writes)
		s.block(fmt.Sprintf("%-38s %2d", c.what, c.writes.all()))
	}
	s.gap()
	seen := s.writesSoFar().minus(s.atRest).minus(s.ownWrites)
	s.expect(seen == total, fmt.Sprintf("%d in all, and none beside: a key at rest costs nothing", total.all()), total, seen)
}

// farewell is said when all is cleaned up.
func (s *scene) farewell() {
	s.gap()
	switch {
	case existingCluster():
		s.say("The JWTIssuer of the demo is removed, and its namespace is on its way out.")
	default:
		s.say("Everything that was started is stopped, and bin/demo is removed.")
	}
}
