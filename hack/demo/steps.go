package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// steps returns the steps of the demo in their order. Each step depends on those before it.
func steps(existing bool) []step {
	begin := step{"Start a control plane", (*harness).startCluster}
	if existing {
		begin = step{"Join your cluster", (*harness).joinCluster}
	}
	return []step{
		begin,
		{"Issue a token into a Secret", (*harness).issue},
		{"Exchange it", (*harness).use},
		{"Rotate without an outage", (*harness).rotate},
		{"Refuse what is wrong or not granted", (*harness).refuse},
		{"Revoke", (*harness).revoke},
		{"Summary", (*harness).summary},
	}
}

// manifest returns the manifest of a refresh key. The lines of its spec are indented by two spaces.
func (h *harness) manifest(name, spec string) string {
	if h.issuer != "default" {
		spec += "  issuerRef: {name: " + h.issuer + "}\n"
	}
	return fmt.Sprintf("apiVersion: jwt.refreshkeys.dev/v1alpha1\nkind: JWTRefreshKey\nmetadata:\n  name: %s\n  namespace: %s\nspec:\n%s", name, h.namespace, spec)
}

const audience = "https://orders.example.com"

func (h *harness) issue() {
	manifest := h.manifest(keyName, "  audience: "+audience+"   # the API that the token is for\n"+
		"  lifetime: 720h                         # how long each token lives\n")
	h.must(os.WriteFile(filepath.Join(h.scratch, "orders.yaml"), []byte(manifest), 0o600))
	h.say("The workers of a shop call an orders API, and need a refresh token for it. Their team requests one with a manifest:")
	h.show("create", "namespace", h.namespace)
	h.command("cat orders.yaml")
	h.block(manifest)
	h.show("apply", "-f", "orders.yaml")
	h.issued(1)
	h.show("get", "jrk", "-n", h.namespace)
	h.say("The Secret holds the token, the token endpoint and the CA certificate, for a workload to mount:")
	h.show("describe", "secret", keyName, "-n", h.namespace)
	h.say("The token is a JWT, %s. The status of the key describes it without its text. The payload, which is also status.content:", abbreviated(h.tokens[1]))
	h.block(h.pretty(h.key(keyName).Status.Content.Raw))
	h.accepted(1)
}

// use exchanges the token as a workload that mounts the Secret does.
func (h *harness) use() {
	if len(h.replicas) == 0 {
		h.say("Skipped in your cluster: from here, the demo cannot reach a token service for its own issuer.")
		return
	}
	h.say("Any OAuth 2.0 client can exchange the token (RFC 6749 section 6):")
	h.command("curl", "--cacert", "ca.crt", h.replicas[0]+"/token", "-d", "grant_type=refresh_token", "-d", "refresh_token=$(cat token)")
	answer := h.exchange(1, 0)
	h.block(fmt.Sprintf("{\n  \"access_token\": %q,\n  \"token_type\": %q,\n  \"expires_in\": %d\n}", abbreviated(answer.AccessToken), answer.TokenType, answer.ExpiresIn))
	h.expect(answer.AccessToken != "" && answer.TokenType == "Bearer", "the answer holds an access token that is valid for 15 minutes", "a bearer token", answer.TokenType)
	h.expect(answer.RefreshToken == h.tokens[1], "its refresh token is token 1: it stays valid for every client that holds it", "token 1", "another")
	h.say("The API needs no access to Kubernetes. It finds the issuer's signing keys by discovery, and verifies the token with any JWT library:")
	h.command("curl", "--cacert", "ca.crt", h.replicas[0]+"/.well-known/openid-configuration")
	h.verifyAccess(answer.AccessToken)
}

func (h *harness) rotate() {
	const date = "2 January 2006"
	status := h.key(keyName).Status
	due, end := status.RenewalTime, status.ExpiresAt
	h.say("The operator issues the next token long before the current one expires:")
	h.expect(due != nil && due.Before(end), fmt.Sprintf("token 1 expires on %s, and token 2 is due on %s", end.UTC().Format(date), due.UTC().Format(date)),
		"status.renewalTime before status.expiresAt", fmt.Sprint(due, end))
	h.say("An annotation requests the next token now:")
	h.show("annotate", "jrk", keyName, "-n", h.namespace, v1alpha1.AnnotationRotate+"="+time.Now().UTC().Format(time.RFC3339))
	h.issued(2)
	h.say("A new token reaches some workers a minute late. A program that reads its file only once gets it at its next start. " +
		"The earlier token therefore stays valid for an overlap, and status lists it:")
	text := "previous:\n"
	for _, token := range h.key(keyName).Status.Previous {
		text += fmt.Sprintf("- revision: %d\n  jti: %s\n  expiresAt: %q\n", token.Revision, token.JTI, token.ExpiresAt.UTC().Format(time.RFC3339))
	}
	h.block(text)
	h.accepted(1)
	h.accepted(2)
	if len(h.replicas) > 0 {
		h.expect(h.exchange(1, 0).RefreshToken == h.tokens[2], "a program that holds token 1 in memory gets token 2 in the answer", "token 2", "another answer")
	}
}

func (h *harness) refuse() {
	h.say("The API server refuses a mistake, and says how to correct it:")
	for _, mistake := range []struct{ line, says string }{
		{"lifetime: 30d", "write a day as 24h"},
		{"claims: {sub: admin}", "'sub' is registered"},
		{"subject: refreshkey:bank:vault", "begins with 'refreshkey:'"},
	} {
		h.print(commands, h.styled(cyan, indented+mistake.line))
		manifest := h.manifest("mistake", "  audience: "+audience+"\n  "+mistake.line+"\n")
		var refusal string
		// The API server enforces an admission policy some time after it has accepted it.
		h.until("the API server refuses it", mistake.says, func() (string, bool) {
			_, err := h.run(manifest, "apply", "--dry-run=server", "-f", "-")
			refusal = fmt.Sprint(err)
			return refusal, strings.Contains(refusal, mistake.says)
		})
		h.held("refused: %s", sentence(refusal))
	}
	h.say("The issuer's policy grants scopes, claims and custom subjects. This issuer has no policy that grants scopes, so the operator " +
		"issues no token, and the status of the key says why:")
	h.print(commands, h.styled(cyan, indented+"scopes: [orders:read]"))
	_, err := h.run(h.manifest("reader", "  audience: "+audience+"\n  scopes: [orders:read]\n"), "apply", "-f", "-")
	h.must(err)
	var message string
	h.until("the refusal shows in status", v1alpha1.ReasonPolicyDenied, func() (string, bool) {
		ready := meta.FindStatusCondition(h.key("reader").Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil {
			return "no status yet", false
		}
		message = ready.Message
		return ready.Reason, ready.Reason == v1alpha1.ReasonPolicyDenied
	})
	h.show("get", "jrk", "reader", "-n", h.namespace)
	h.held("status says: %s", message)
}

// sentence returns the explanation in an API server's refusal.
func sentence(complaint string) string {
	if _, said, found := strings.Cut(complaint, "denied request: "); found {
		complaint = said
	}
	for line := range strings.Lines(complaint) {
		_, said, found := strings.Cut(strings.TrimSpace(line), "Invalid value: ")
		if !found || strings.Contains(said, "should match") {
			continue
		}
		// The value, in quotes, comes before the message.
		if _, message, found := strings.Cut(said, `": `); found {
			complaint = message
			break
		}
	}
	// Any terminal can show the result.
	return strings.TrimSpace(strings.ReplaceAll(complaint, "§", "section "))
}

func (h *harness) revoke() {
	h.say("The workers must no longer call the API. Tokens are refused as soon as spec.revoked is true. The operator then records the " +
		"revocation, and empties the Secret:")
	h.show("patch", "jrk", keyName, "-n", h.namespace, "--type=merge", `--patch={"spec":{"revoked":true}}`)
	h.refused(1)
	h.refused(2)
	took := h.until("the key is revoked and its Secret emptied", "Revoked, and no token in the Secret", func() (string, bool) {
		seen, held := reason(h.key(keyName)), h.secret(keyName).Data[v1alpha1.SecretToken]
		return fmt.Sprintf("%s, a token in the Secret: %t", seen, held != nil), seen == v1alpha1.ReasonRevoked && held == nil
	})
	h.held("the token was removed from the Secret %s", sinceKubectl(took))
	h.show("get", "jrk", keyName, "-n", h.namespace)
	h.say("The revocation was a mistake. The key gets a new token, and revoked tokens stay revoked:")
	h.show("patch", "jrk", keyName, "-n", h.namespace, "--type=merge", `--patch={"spec":{"revoked":false}}`)
	h.issued(3)
	h.accepted(3)
	h.refused(2)
}

func (h *harness) summary() {
	h.say("All %d checks passed in %s.", h.checks, span(time.Since(h.began)))
	h.say("Next steps:")
	switch {
	case len(h.replicas) > 0:
		h.block("make up      start such a cluster and leave it running; docs/start.md continues there\nmake down    stop it")
	case h.manager != nil:
		h.block("kubectl apply --server-side -k config/default    install the operator in your cluster")
	default:
		h.block("kubectl explain jrk.spec\nkubectl apply -f config/samples/")
	}
}
