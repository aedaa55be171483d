package main

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// mistake is a manifest that the API server must refuse.
type mistake struct {
	// shown is the line that is wrong.
	shown string
	// says is a part of the refusal.
	says     string
	manifest string
}

func (s *scene) mistakes() []mistake {
	key := s.header("mistake") + "  audience: https://orders.example.com\n"
	of := func(line, says string) mistake { return mistake{line, says, key + "  " + line + "\n"} }
	return []mistake{
		of("lifetime: 30d", "write a day as 24h"),
		of("claims: {sub: admin}", "'sub' is registered"),
		of("subject: refreshkey:bank:vault", "begins with 'refreshkey:'"),
		{"url: http://tokens.example.com", "must begin with https://",
			"apiVersion: jwt.refreshkeys.dev/v1alpha1\nkind: JWTIssuer\nmetadata: {name: mistake}\n" +
				"spec:\n  url: http://tokens.example.com\n"},
	}
}

func (s *scene) refuse() {
	s.say("The API server refuses a mistake, and says how to correct it:")
	for _, m := range s.mistakes() {
		s.gap()
		fmt.Fprintln(s.out, s.styled(cyan, indented+m.shown))
		_, err := s.stage.kubectl.run(s.ctx, m.manifest, "apply", "-f", "-")
		s.refusedWith(err, m.says)
	}
	s.gap()
	s.refuseStatus()
	s.gap()
	s.refuseForeignSecret()
}

// refuseStatus edits the status as a user who has every right that RBAC can grant in the namespace.
func (s *scene) refuseStatus() {
	const user = "ann"
	for _, grant := range [][]string{
		{"create", "role", user, "--verb=*", "--resource=jwtrefreshkeys,jwtrefreshkeys/status", "-n", s.stage.namespace},
		{"create", "rolebinding", user, "--role=" + user, "--user=" + user, "-n", s.stage.namespace},
	} {
		_, err := s.stage.kubectl.run(s.ctx, "", grant...)
		s.must(err)
	}
	s.say("Ann has every right that RBAC can grant for the keys of this namespace, and edits status to extend " +
		"the token's lifetime:")
	attempt := []string{"patch", "jrk", keyName, "-n", s.stage.namespace, "--as=" + user, "--subresource=status", "--type=merge",
		`--patch={"status":{"expiresAt":"2036-01-01T00:00:00Z"}}`}
	s.command(shellWords(attempt)...)
	_, err := s.stage.kubectl.run(s.ctx, "", attempt...)
	var refused *refusal
	if errors.As(err, &refused) && strings.Contains(refused.complaint, "cannot impersonate") {
		s.aside("not tried: your user may not impersonate other users in this cluster")
		return
	}
	s.gap()
	s.refusedWith(err, "status is written by the operator's own ServiceAccounts only")
}

// refuseForeignSecret creates a key with the name of a Secret that the operator does not manage.
func (s *scene) refuseForeignSecret() {
	const taken, thief = "payments", "careless"
	s.say("A Secret of another program exists already, and a key names it:")
	s.kubectl("create", "secret", "generic", taken, "-n", s.stage.namespace, "--from-literal=password=correct-horse")
	s.ownWrites.secrets++
	before := s.secret(taken)
	s.gap()
	fmt.Fprintln(s.out, s.styled(cyan, indented+"secret: {name: "+taken+"}"))
	s.gap()
	s.say("The manifest is valid, so the API server accepts it. The operator does not change the Secret, and reports why:")
	s.metered("reporting a conflicting Secret", 1, func() {
		manifest := s.header(thief) + "  audience: https://orders.example.com\n  secret: {name: " + taken + "}\n"
		if !s.stage.ours {
			manifest += "  issuerRef: {name: " + s.stage.issuer + "}\n"
		}
		_, err := s.stage.kubectl.run(s.ctx, manifest, "apply", "-f", "-")
		s.must(err)
		s.until("the conflict shows in status", v1alpha1.ReasonSecretConflict, func() (string, bool) {
			seen := reason(s.key(thief))
			return seen, seen == v1alpha1.ReasonSecretConflict
		})
		s.kubectl("get", "jrk", thief, "-n", s.stage.namespace)
		s.gap()
		ready := meta.FindStatusCondition(s.key(thief).Status.Conditions, v1alpha1.ConditionReady)
		s.held("status says: %s", ready.Message)
		after := s.secret(taken)
		s.expect(reflect.DeepEqual(before, after), "the Secret is unchanged", before.ResourceVersion, after.ResourceVersion)
	})
}

// refusedWith expects a refusal, and prints its explanation.
func (s *scene) refusedWith(err error, says string) {
	var refused *refusal
	if !errors.As(err, &refused) {
		s.must(&unmet{what: "the API server refuses it", wanted: says, seen: fmt.Sprint(err)})
	}
	s.expect(strings.Contains(refused.complaint, says), "refused: "+sentence(refused.complaint), says, refused.complaint)
}

// sentence returns the explanation in an API server's refusal.
func sentence(complaint string) string {
	if _, said, found := strings.Cut(complaint, "denied request: "); found {
		return plain(said)
	}
	for line := range strings.Lines(complaint) {
		_, said, found := strings.Cut(strings.TrimSpace(line), "Invalid value: ")
		if !found || strings.Contains(said, "should match") {
			continue
		}
		// The value, in quotes, comes before the message.
		if _, message, found := strings.Cut(said, `": `); found {
			return plain(message)
		}
	}
	return plain(complaint)
}

// plain returns a sentence in characters that any terminal can show.
func plain(text string) string {
	return strings.TrimSpace(strings.ReplaceAll(text, "§", "section "))
}
