package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

// playedHere reports whether the token service can be reached; if not, it prints so.
func (s *scene) playedHere() bool {
	if len(s.stage.service.urls) > 0 {
		return true
	}
	s.say("The token service of your cluster may be reachable only from inside: this step runs only in the demo's own cluster.")
	return false
}

// serviceAccount creates a ServiceAccount, and returns a token of it with only the issuer as audience.
func (s *scene) serviceAccount(name string) string {
	s.kubectl("create", "serviceaccount", name, "-n", s.stage.namespace)
	return s.accountToken(name)
}

func (s *scene) accountToken(name string) string {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{s.stage.service.urls[0]}}}
	issued, err := s.stage.clientset.CoreV1().ServiceAccounts(s.stage.namespace).CreateToken(s.ctx, name, request, metav1.CreateOptions{})
	s.must(err)
	return issued.Status.Token
}

// token sends a token request to a replica.
func (s *scene) token(replica int, form url.Values) (int, *tokenAnswer) {
	answer := &tokenAnswer{}
	return s.ask(http.MethodPost, endpoint.TokenURL(s.stage.service.urls[replica]), form.Encode(), answer), answer
}

func (s *scene) expectStatus(what string, wanted string, status int, answer *tokenAnswer) {
	seen := strings.TrimSpace(fmt.Sprint(status, " ", answer.Error))
	s.expect(seen == wanted, what+": "+wanted, wanted, seen)
}

// login signs in as a workload that has no Secret.
func (s *scene) login() {
	if !s.playedHere() {
		return
	}
	s.say("A workload can sign in without a Secret. It presents the token of its ServiceAccount, which is projected into the pod for this " +
		"issuer only (RFC 8693):")
	shown := s.serviceAccount("till")
	s.command("curl", "--cacert", "ca.crt", endpoint.TokenURL(s.stage.service.urls[0]), "-d", "grant_type="+oauth.GrantTokenExchange,
		"-d", "subject_token_type="+oauth.TypeJWT, "-d", "subject_token=$(cat sa-token)", "-d", "audience=https://orders.example.com")
	form := url.Values{
		"grant_type": {oauth.GrantTokenExchange}, "subject_token_type": {oauth.TypeJWT}, "subject_token": {shown}, "audience": {"https://orders.example.com"},
	}
	var session *tokenAnswer
	s.metered("a login", 2, func() {
		var status int
		status, session = s.token(0, form)
		s.expectStatus("the answer holds an access token and a refresh token", "200", status, session)
		s.untilSession(v1alpha1.ReasonIssued)
	})
	s.gap()
	s.say("The session is a JWTRefreshKey, which you list and delete with kubectl:")
	s.kubectl("get", "jrk", "-l", v1alpha1.LabelSession, "-n", s.stage.namespace)
	s.gap()
	var next *tokenAnswer
	s.metered("a use of a new one-time token", 0, func() {
		var status int
		status, next = s.token(1, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {session.RefreshToken}})
		s.expectStatus("the other replica accepts the refresh token", "200", status, next)
		s.expect(next.RefreshToken == session.RefreshToken, "the client keeps it, since it is younger than retryGrace", "the same token", "another")
	})
	s.metered("signing out with kubectl", 0, func() {
		s.kubectl("delete", "jrk", "-l", v1alpha1.LabelSession, "-n", s.stage.namespace)
		for i := range s.stage.service.urls {
			s.until(fmt.Sprintf("replica %d refuses the session", i+1), "400 invalid_grant", func() (string, bool) {
				status, answer := s.token(i, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {next.RefreshToken}})
				return fmt.Sprint(status, " ", answer.Error), status == http.StatusBadRequest && answer.Error == oauth.InvalidGrant
			})
		}
		s.held("signed out: both replicas answer 400 invalid_grant")
	})
}

// untilSession waits until the only session has a Ready condition with this reason.
func (s *scene) untilSession(wanted string) {
	s.until("the session has a status", wanted, func() (string, bool) {
		var sessions v1alpha1.JWTRefreshKeyList
		s.must(s.stage.client.List(s.ctx, &sessions, client.InNamespace(s.stage.namespace), client.HasLabels{v1alpha1.LabelSession}))
		if len(sessions.Items) != 1 {
			return fmt.Sprintf("%d sessions", len(sessions.Items)), false
		}
		seen := reason(&sessions.Items[0])
		return seen, seen == wanted
	})
}

// bind shows that a stolen Secret of a bound key is useless.
func (s *scene) bind() {
	if !s.playedHere() {
		return
	}
	const name = "bound"
	s.say("A Secret can be stolen. The token of a key that is bound to a ServiceAccount is useless without a token of that ServiceAccount:")
	manifest := s.header(name) + "  audience: https://orders.example.com\n  binding: {serviceAccountName: till}\n"
	s.block(manifest)
	var held string
	s.metered("the first token of a bound key", 2, func() {
		_, err := s.stage.kubectl.run(s.ctx, manifest, "apply", "-f", "-")
		s.must(err)
		s.until("the key is issued", v1alpha1.ReasonIssued, func() (string, bool) {
			held = string(s.secret(name).Data[v1alpha1.SecretToken])
			seen := reason(s.key(name))
			return seen, seen == v1alpha1.ReasonIssued && held != ""
		})
	})
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {held}}
	status, answer := s.token(0, form)
	s.expectStatus("an attacker with the Secret is refused", "401 invalid_client", status, answer)
	other := s.serviceAccount("other")
	form.Set(oauth.ParamClientAssertionType, oauth.AssertionJWTBearer)
	form.Set(oauth.ParamClientAssertion, other)
	status, answer = s.token(0, form)
	s.expectStatus("another ServiceAccount of the namespace is refused", "401 invalid_client", status, answer)
	form.Set(oauth.ParamClientAssertion, s.accountToken("till"))
	status, answer = s.token(0, form)
	s.expectStatus("the workload itself is accepted with its own ServiceAccount token", "200", status, answer)
}

// grantPolicy shows how a platform engineer grants scopes with the issuer's policy.
func (s *scene) grantPolicy() {
	if !s.playedHere() {
		return
	}
	const name = "reader"
	s.say("The issuer's policy grants scopes, claims and custom subjects. Without a policy, no key gets them:")
	manifest := s.header(name) + "  audience: https://orders.example.com\n  scopes: [orders:read]\n"
	s.block(manifest)
	s.metered("reporting that the policy denies a key", 1, func() {
		_, err := s.stage.kubectl.run(s.ctx, manifest, "apply", "-f", "-")
		s.must(err)
		s.untilReason(name, v1alpha1.ReasonPolicyDenied)
	})
	s.held("status says: %s", s.readyMessage(name))
	s.gap()
	s.say("The platform engineer grants the shop its scopes:")
	s.kubectl("label", "namespace", s.stage.namespace, "team=shop")
	policy := `{"spec":{"policy":{"rules":[{"namespaces":{"matchLabels":{"team":"shop"}},"scopes":["orders:*"]}]}}}`
	s.metered("the first token after a grant", 2, func() {
		s.kubectl("patch", "jwtissuer", s.stage.issuer, "--type=merge", "--patch="+policy)
		s.untilReason(name, v1alpha1.ReasonIssued)
	})
	held := string(s.secret(name).Data[v1alpha1.SecretToken])
	status, answer := s.token(0, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {held}})
	s.expectStatus("its token is exchanged", "200", status, answer)
	s.expect(answer.Scope == "orders:read", "for the scope orders:read", "orders:read", answer.Scope)
	s.gap()
	s.say("A grant can be removed. Existing keys are refused at their next exchange:")
	s.metered("a grant removed from four keys", 4, func() {
		s.kubectl("label", "namespace", s.stage.namespace, "team-")
		s.until("the token is refused", "400 unauthorized_client", func() (string, bool) {
			status, answer := s.token(0, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {held}})
			return fmt.Sprint(status, " ", answer.Error), answer.Error == oauth.UnauthorizedClient
		})
		s.held("refused with unauthorized_client: the client keeps its token, since the grant may return")
		s.until("all keys of the namespace are denied", "4 keys denied", func() (string, bool) {
			var keys v1alpha1.JWTRefreshKeyList
			s.must(s.stage.client.List(s.ctx, &keys, client.InNamespace(s.stage.namespace)))
			denied := 0
			for i := range keys.Items {
				if reason(&keys.Items[i]) == v1alpha1.ReasonPolicyDenied {
					denied++
				}
			}
			return fmt.Sprintf("%d keys denied", denied), denied == 4 && len(keys.Items) == denied
		})
	})
}

func (s *scene) untilReason(name, wanted string) {
	s.until(fmt.Sprintf("key %s says %s", name, wanted), wanted, func() (string, bool) {
		seen := reason(s.key(name))
		return seen, seen == wanted
	})
}

func (s *scene) readyMessage(name string) string {
	return meta.FindStatusCondition(s.key(name).Status.Conditions, v1alpha1.ConditionReady).Message
}
