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
	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

// replicas of the token service: what one learns the other must know.
const replicas = 2

// service is how a client reaches the token service.
type service struct {
	// urls are those of the replicas; the issuer's is the first. None in a cluster of somebody's,
	// where it may be reached from inside only.
	urls []string
	// trusted is what the Secret said is to be trusted.
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

// use is what a workload does that mounts the Secret.
func (s *scene) use() {
	if !s.playedHere() {
		return
	}
	s.say("A workload has the Secret mounted, and with it all that it needs: the token, where to exchange it, and what to trust. " +
		"Any OAuth 2.0 client will do:")
	s.command("curl", "--cacert", "ca.crt", s.stage.service.urls[0]+"/token", "-d", "grant_type=refresh_token", "-d", "refresh_token=$(cat token)")
	s.stage.service.trusted = s.secret(keyName).Data[v1alpha1.SecretCA]
	answer := s.exchange(1, 0)
	s.block(s.answerInShort(answer))
	s.gap()
	s.expect(answer.AccessToken != "" && answer.TokenType == oauth.TokenTypeBearer, "an access token for a quarter of an hour", "a bearer token", answer.TokenType)
	s.expect(answer.RefreshToken == s.tokens[1], "the refresh token in the answer is token 1: it stays good for all who hold it", "token 1", "another")
	s.gap()
	s.say("The API knows nothing of Kubernetes. It finds the issuer's keys by discovery, and verifies the token with any JWT library:")
	s.command("curl", "--cacert", "ca.crt", s.stage.service.urls[0]+"/.well-known/openid-configuration")
	s.verifyAccess(answer.AccessToken)
}

// rollOver is what becomes of a client that read its file once.
func (s *scene) rollOver() {
	if len(s.stage.service.urls) == 0 {
		return
	}
	s.gap()
	s.say("A program that holds token 1 in memory exchanges it, and is handed token 2 with the answer, as the standard has it:")
	s.gap()
	s.expect(s.exchange(1, 0).RefreshToken == s.tokens[2], "token 1 still works, and the answer holds token 2", "token 2", "another answer")
	s.expect(s.exchange(2, 1).AccessToken != "", "token 2 works at the other replica", "an access token", "none")
}

// refusedAtService expects that no replica exchanges a token any more, and tells how soon.
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

// tokenAnswer is an answer of the token endpoint, good or bad.
type tokenAnswer struct {
	oauth.TokenAnswer
	Error oauth.Code `json:"error"`
}

func (s *scene) refresh(revision int64, replica int) (int, *tokenAnswer) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {s.tokens[revision]}}
	answer := &tokenAnswer{}
	return s.ask(http.MethodPost, s.stage.service.urls[replica]+"/token", form.Encode(), answer), answer
}

// ask sends a request as a client of the token service, which trusts what the Secret says.
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

// verifyAccess does what an API does, with a library that nobody here wrote.
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
	s.expect(len(found) == 1, "the key that signed it is published", "one key", len(found))
	payload, err := signed.Verify(found[0])
	s.expect(err == nil, "the signature is good", "no error", err)
	s.block("payload\n" + s.pretty(payload))
	var claims struct {
		Audience  string `json:"aud"`
		ExpiresAt int64  `json:"exp"`
	}
	s.must(json.Unmarshal(payload, &claims))
	s.expect(claims.Audience == s.audience(1), "it is for the orders API", s.audience(1), claims.Audience)
	s.expect(time.Unix(claims.ExpiresAt, 0).After(time.Now()), "and it is not at its end", "later", claims.ExpiresAt)
}
