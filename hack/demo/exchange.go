package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/hack/cluster"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

// replicas is the number of replicas of the token service: each must observe what the other records.
const replicas = 2

// service holds the addresses of the token service and the CA to trust.
type service struct {
	// urls are the replicas' URLs; the first is the issuer's. Empty in an existing cluster,
	// where the token service may be reachable only from inside.
	urls []string
	// trusted is ca.crt of the key's Secret.
	trusted []byte
}

func (s *scene) startService(c *cluster.Cluster) {
	_, err := cluster.RunTokenServers(s.ctx, c, replicas)
	s.must(err)
	for n := 1; n <= replicas; n++ {
		address, err := c.TokenServerURL(n)
		s.must(err)
		s.stage.service.urls = append(s.stage.service.urls, address)
	}
}

// use exchanges the token as a workload that mounts the Secret does.
func (s *scene) use() {
	if !s.playedHere() {
		return
	}
	s.say("A workload mounts the Secret. It holds the token, the token endpoint and the CA certificate. " +
		"Any OAuth 2.0 client can exchange the token:")
	s.command("curl", "--cacert", "ca.crt", endpoint.TokenURL(s.stage.service.urls[0]), "-d", "grant_type=refresh_token", "-d", "refresh_token=$(cat token)")
	s.stage.service.trusted = s.secret(keyName).Data[v1alpha1.SecretCA]
	answer := s.exchange(1, 0)
	s.block(s.answerInShort(answer))
	s.gap()
	s.expect(answer.AccessToken != "" && answer.TokenType == oauth.TokenTypeBearer, "the answer holds an access token that is valid for 15 minutes", "a bearer token", answer.TokenType)
	s.expect(answer.RefreshToken == s.tokens[1], "the refresh token in the answer is token 1: it stays valid for every client that holds it", "token 1", "another")
	s.gap()
	s.say("The API needs no access to Kubernetes. It finds the issuer's signing keys by discovery, and verifies the token with any JWT library:")
	s.command("curl", "--cacert", "ca.crt", s.stage.service.urls[0]+"/.well-known/openid-configuration")
	s.verifyAccess(answer.AccessToken)
}

// rollOver exchanges the tokens as a client does that read its file only once.
func (s *scene) rollOver() {
	if len(s.stage.service.urls) == 0 {
		return
	}
	s.gap()
	s.say("A program that holds token 1 in memory exchanges it, and gets token 2 in the answer (RFC 6749 section 6):")
	s.gap()
	s.expect(s.exchange(1, 0).RefreshToken == s.tokens[2], "token 1 still works, and the answer holds token 2", "token 2", "another answer")
	s.expect(s.exchange(2, 1).AccessToken != "", "token 2 works at the other replica", "an access token", "none")
}

// refusedAtService expects that every replica refuses a token, and prints after what time.
func (s *scene) refusedAtService(revision int64) {
	for i := range s.stage.service.urls {
		var status int
		took := s.until(fmt.Sprintf("replica %d of the token service refuses token %d", i+1, revision), "400 invalid_grant", func() (string, bool) {
			answered, refusal := s.refresh(revision, i)
			status = answered
			return fmt.Sprint(answered, " ", refusal.Error), answered == http.StatusBadRequest && refusal.Error == oauth.InvalidGrant
		})
		s.held("replica %d of the token service answers %d invalid_grant to token %d, %s", i+1, status, revision, sinceKubectl(took))
	}
}

func (s *scene) exchange(revision int64, replica int) *tokenAnswer {
	status, answer := s.refresh(revision, replica)
	if status != http.StatusOK {
		s.must(&unmet{what: fmt.Sprintf("token %d is exchanged", revision), wanted: "200", seen: fmt.Sprint(status, " ", answer.Error)})
	}
	return answer
}

// tokenAnswer is an answer of the token endpoint: tokens or an error.
type tokenAnswer struct {
	oauth.TokenAnswer
	Error oauth.Code `json:"error"`
}

func (s *scene) refresh(revision int64, replica int) (int, *tokenAnswer) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {s.tokens[revision]}}
	answer := &tokenAnswer{}
	return s.ask(http.MethodPost, endpoint.TokenURL(s.stage.service.urls[replica]), form.Encode(), answer), answer
}

// ask sends a request to the token service as a client that trusts the Secret's ca.crt. It returns the status.
func (s *scene) ask(method, address, body string, into any) int {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.stage.service.trusted)
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}
	request, err := http.NewRequestWithContext(s.ctx, method, address, strings.NewReader(body))
	s.must(err)
	if body != "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := client.Do(request)
	s.must(err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	s.must(err)
	s.must(json.Unmarshal(raw, into))
	return response.StatusCode
}

func (s *scene) answerInShort(answer *tokenAnswer) string {
	return fmt.Sprintf("{\n  \"access_token\": %q,\n  \"token_type\": %q,\n  \"expires_in\": %d\n}", abbreviated(answer.AccessToken), answer.TokenType, answer.ExpiresIn)
}

// verifyAccess verifies an access token as an API does, with go-jose.
func (s *scene) verifyAccess(compact string) {
	var metadata oauth.Metadata
	s.ask(http.MethodGet, s.stage.service.urls[0]+"/.well-known/openid-configuration", "", &metadata)
	s.block(fmt.Sprintf("issuer    %s\njwks_uri  %s", metadata.Issuer, metadata.JWKSURI))
	s.gap()
	var keys jose.JSONWebKeySet
	s.ask(http.MethodGet, metadata.JWKSURI, "", &keys)
	signed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256})
	s.must(err)
	found := keys.Key(signed.Signatures[0].Header.KeyID)
	s.expect(len(found) == 1, "the signing key of the token is published", "one key", len(found))
	payload, err := signed.Verify(found[0])
	s.expect(err == nil, "the signature is valid", "no error", err)
	s.block("payload\n" + s.pretty(payload))
	var claims struct {
		Audience  string `json:"aud"`
		ExpiresAt int64  `json:"exp"`
	}
	s.must(json.Unmarshal(payload, &claims))
	s.expect(claims.Audience == s.audience(1), "the audience is the orders API", s.audience(1), claims.Audience)
	s.expect(time.Unix(claims.ExpiresAt, 0).After(time.Now()), "the token has not expired", "later", claims.ExpiresAt)
}
