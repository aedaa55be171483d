package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/acceptance"
)

// keyName is the name of the demo's key and of its Secret.
const keyName = "orders"

// key returns the key as the API server has it now; empty if there is none.
func (h *harness) key(name string) *v1alpha1.JWTRefreshKey {
	key := &v1alpha1.JWTRefreshKey{}
	h.must(client.IgnoreNotFound(h.client.Get(h.ctx, types.NamespacedName{Namespace: h.namespace, Name: name}, key)))
	return key
}

// secret returns the Secret as the API server has it now; empty if there is none.
func (h *harness) secret(name string) *corev1.Secret {
	secret := &corev1.Secret{}
	h.must(client.IgnoreNotFound(h.client.Get(h.ctx, types.NamespacedName{Namespace: h.namespace, Name: name}, secret)))
	return secret
}

// reason returns the reason of Ready, which kubectl prints in the column STATUS.
func reason(key *v1alpha1.JWTRefreshKey) string {
	ready := meta.FindStatusCondition(key.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return "no status yet"
	}
	return ready.Reason
}

// issued waits until the Secret holds the key's token of a revision, and prints how long that took.
func (h *harness) issued(revision int64) {
	took := h.until(fmt.Sprintf("token %d is issued", revision), fmt.Sprintf("status Issued, revision %d, and its token in the Secret", revision), func() (string, bool) {
		key, secret := h.key(keyName), h.secret(keyName)
		held := string(secret.Data[v1alpha1.SecretToken])
		there := held != "" && token.Hash(held) == key.Status.TokenHash
		h.tokens[revision] = held
		if h.http == nil && there {
			h.http = trusting(secret.Data[v1alpha1.SecretCA])
		}
		return fmt.Sprintf("status %s, revision %d, its token in the Secret: %t", reason(key), key.Status.Revision, there),
			there && key.Status.Revision == revision && reason(key) == v1alpha1.ReasonIssued
	})
	h.held("the Secret held token %d %s", revision, sinceKubectl(took))
}

// trusting returns a client that trusts a CA, as a workload that mounts the Secret does.
func trusting(authority []byte) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}
}

// accepted expects that every replica exchanges a token; without a replica, that the token service's rules accept it.
func (h *harness) accepted(revision int64) {
	if len(h.replicas) == 0 {
		_, err := h.verifier.Accept(h.ctx, h.tokens[revision], h.issuer)
		h.expect(err == nil, fmt.Sprintf("token %d is accepted", revision), "no error", err)
		return
	}
	for i := range h.replicas {
		h.exchange(revision, i)
	}
	h.held("both replicas of the token service accept token %d", revision)
}

// refused expects that every replica refuses a token, and prints after what time; without a replica, that the token
// service's rules refuse it.
func (h *harness) refused(revision int64) {
	if len(h.replicas) == 0 {
		_, err := h.verifier.Accept(h.ctx, h.tokens[revision], h.issuer)
		h.expect(errors.Is(err, acceptance.ErrRefused), fmt.Sprintf("token %d is %v", revision, err), "refused", err)
		return
	}
	var took time.Duration
	for i := range h.replicas {
		took += h.until(fmt.Sprintf("replica %d of the token service refuses token %d", i+1, revision), "400 invalid_grant", func() (string, bool) {
			status, answer := h.refresh(revision, i)
			return fmt.Sprint(status, " ", answer.Error), status == http.StatusBadRequest && answer.Error == oauth.InvalidGrant
		})
	}
	h.held("both replicas of the token service answer 400 invalid_grant to token %d, %s", revision, sinceKubectl(took))
}

func (h *harness) exchange(revision int64, replica int) *tokenAnswer {
	status, answer := h.refresh(revision, replica)
	if status != http.StatusOK {
		h.must(&unmet{what: fmt.Sprintf("token %d is exchanged", revision), wanted: "200", seen: fmt.Sprint(status, " ", answer.Error)})
	}
	return answer
}

// tokenAnswer is an answer of the token endpoint: tokens or an error.
type tokenAnswer struct {
	oauth.TokenAnswer
	Error oauth.Code `json:"error"`
}

func (h *harness) refresh(revision int64, replica int) (status int, answer *tokenAnswer) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {h.tokens[revision]}}
	answer = &tokenAnswer{}
	return h.ask(http.MethodPost, h.replicas[replica]+"/token", form.Encode(), answer), answer
}

// ask sends a request to the token service, and returns the status.
func (h *harness) ask(method, address, body string, into any) (status int) {
	request, err := http.NewRequestWithContext(h.ctx, method, address, strings.NewReader(body))
	h.must(err)
	if body != "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := h.http.Do(request)
	h.must(err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	h.must(err)
	h.must(json.Unmarshal(raw, into))
	return response.StatusCode
}

// verifyAccess verifies an access token as an API does, with go-jose.
func (h *harness) verifyAccess(compact string) {
	var metadata oauth.Metadata
	h.ask(http.MethodGet, h.replicas[0]+"/.well-known/openid-configuration", "", &metadata)
	h.block(fmt.Sprintf("issuer    %s\njwks_uri  %s", metadata.Issuer, metadata.JWKSURI))
	var keys jose.JSONWebKeySet
	h.ask(http.MethodGet, metadata.JWKSURI, "", &keys)
	signed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256})
	h.must(err)
	found := keys.Key(signed.Signatures[0].Header.KeyID)
	h.expect(len(found) == 1, "the signing key of the token is published", "one key", len(found))
	payload, err := signed.Verify(found[0])
	h.expect(err == nil, "the signature is valid", "no error", err)
	var claims struct {
		Audience string `json:"aud"`
	}
	h.must(json.Unmarshal(payload, &claims))
	h.expect(claims.Audience == audience, "the audience is the orders API", audience, claims.Audience)
}

func (h *harness) pretty(raw []byte) string {
	var b bytes.Buffer
	h.must(json.Indent(&b, raw, "", "  "))
	return b.String()
}
