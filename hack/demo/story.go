package main

import (
	"fmt"
	"time"
)

// story returns the steps of the demo in their order. Each step depends on those before it.
func story(existing bool) []step {
	begin := step{"Start a control plane", (*scene).startCluster}
	if existing {
		begin = step{"Join your cluster", (*scene).joinCluster}
	}
	return []step{
		begin,
		{"Create a refresh key", (*scene).declareKey},
		{"Read its status and its token", (*scene).readKey},
		{"Use the token", (*scene).use},
		{"Restore a deleted Secret", (*scene).loseSecret},
		{"Rotate without an outage", (*scene).rotate},
		{"Change the spec", (*scene).changeSpec},
		{"Rotate after a leak", (*scene).rotateNow},
		{"What the API server and the operator refuse", (*scene).refuse},
		{"Revoke and reinstate", (*scene).revoke},
		{"Delete", (*scene).deleteKey},
		{"Sign in as a workload", (*scene).login},
		{"Bind a key to a ServiceAccount", (*scene).bind},
		{"Grant scopes by policy", (*scene).grantPolicy},
		{"Summary", (*scene).epilogue},
	}
}

func (s *scene) prologue() {
	fmt.Fprintf(s.out, "%s\n\n", s.styled(bold, "Refresh Keys: the life of a refresh token"))
	s.say("A JWTRefreshKey defines the audience and the lifetime of a refresh token. The operator issues the token " +
		"into a Secret, replaces it before it expires, and revokes it on request. This demo runs on a real API " +
		"server while you read. A line that begins with \"ok\" is a check that passed; the first check that fails " +
		"ends the demo, and make fails.")
}

func (s *scene) epilogue() {
	if s.stage.ours {
		s.account()
	} else {
		s.say("API writes were not counted, since other clients write to this cluster too.")
	}
	s.gap()
	s.say("All %d checks passed in %s. The issuer was ready after %s.",
		s.checks, span(time.Since(s.began)), span(s.stage.readyAfter))
	s.gap()
	s.say("Next steps:")
	s.gap()
	switch {
	case s.stage.ours:
		s.block("make up      start such a cluster and leave it running\nmake down    stop it")
	case s.stage.manager != nil:
		s.block("kubectl apply --server-side -k config/default    install the operator in your cluster")
	default:
		s.block("kubectl explain jrk.spec\nkubectl apply -f config/samples/")
	}
}

// account lists the API writes of each step, and checks that there were no others.
func (s *scene) account() {
	s.say("API writes of the operator, without Events:")
	s.gap()
	total := writes{}
	for _, c := range s.costs {
		total = total.plus(c.writes)
		s.block(fmt.Sprintf("%-38s %2d", c.what, c.writes.all()))
	}
	s.gap()
	seen := s.writesSoFar().minus(s.atRest).minus(s.ownWrites)
	s.expect(seen == total, fmt.Sprintf("%d in all, and no others: a key that does not change causes no writes", total.all()), total, seen)
}

// farewell reports that everything is cleaned up.
func (s *scene) farewell() {
	s.gap()
	switch {
	case existingCluster():
		s.say("The JWTIssuer of the demo is removed, and its namespace is being deleted.")
	default:
		s.say("All processes are stopped, and bin/demo is removed.")
	}
}
