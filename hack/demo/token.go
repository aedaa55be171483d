package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

func (s *scene) readKey() {
	key, secret := s.key(keyName), s.secret(keyName)
	s.say("The status of the key describes its token without its text. The important fields:")
	s.command("kubectl", "get", "jrk", keyName, "-n", s.stage.namespace, "-o", "yaml")
	s.block(s.statusInShort(&key.Status))
	s.gap()
	s.say("Only the Secret holds the token itself, for a workload to mount:")
	s.kubectl("describe", "secret", keyName, "-n", s.stage.namespace)

	compact := string(secret.Data[v1alpha1.SecretToken])
	parts := strings.Split(compact, ".")
	s.gap()
	s.say("The token is a JWT, %s, with a header, a payload and a signature. Decoded:", abbreviated(compact))
	s.gap()
	payload := s.decoded(parts[1])
	s.block("header\n" + s.pretty(s.decoded(parts[0])))
	s.block("payload\n" + s.pretty(payload))
	s.block("signature\n" + abbreviated(parts[2]))
	s.gap()
	s.checkToken(&key.Status, compact, payload)
}

func (s *scene) statusInShort(status *v1alpha1.JWTRefreshKeyStatus) string {
	var b strings.Builder
	fmt.Fprintf(&b, "status:\n  revision: %d\n  jti: %s\n  tokenHash: %s\n  keyID: %s\n  createdAt: %q\n  expiresAt: %q\n  content:\n",
		status.Revision, status.JTI, status.TokenHash, status.KeyID,
		status.CreatedAt.UTC().Format(time.RFC3339), status.ExpiresAt.UTC().Format(time.RFC3339))
	content, err := yaml.JSONToYAML(status.Content.Raw)
	s.must(err)
	for line := range strings.Lines(string(content)) {
		b.WriteString("    " + line)
	}
	b.WriteString("  conditions:\n")
	for _, c := range status.Conditions {
		fmt.Fprintf(&b, "  - type: %s\n    status: %q\n    reason: %s\n    message: %s\n", c.Type, c.Status, c.Reason, c.Message)
	}
	return b.String()
}

// decoded returns the decoded bytes of a part of a token.
func (s *scene) decoded(part string) []byte {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	s.must(err)
	return raw
}

func (s *scene) pretty(raw []byte) string {
	var b bytes.Buffer
	s.must(json.Indent(&b, raw, "", "  "))
	return b.String()
}

// checkToken verifies a token as the token service does.
func (s *scene) checkToken(status *v1alpha1.JWTRefreshKeyStatus, compact string, payload []byte) {
	issuer := &v1alpha1.JWTIssuer{}
	s.must(s.stage.client.Get(s.ctx, client.ObjectKey{Name: s.stage.issuer}, issuer))
	var secrets corev1.SecretList
	s.must(s.stage.client.List(s.ctx, &secrets, client.InNamespace(operatorNamespace), client.MatchingLabels{v1alpha1.LabelSigningKeysOf: issuer.Name}))
	if found := len(secrets.Items); found != 1 {
		s.must(fmt.Errorf("JWTIssuer %s has %d Secrets with signing keys, and should have one", issuer.Name, found))
	}
	rings, err := keyring.Decode(secrets.Items[0].Data)
	s.must(err)

	claims, err := token.Parse(compact, token.Refresh, rings, issuer.Spec.URL, time.Now())
	s.expect(err == nil, "the signature is valid: it was made with a signing key of the issuer's refresh ring", "no error", err)
	s.expect(claims.KeyID == status.KeyID, "that signing key is status.keyID", status.KeyID, claims.KeyID)
	s.expect(token.Hash(compact) == status.TokenHash, "the token's SHA-256 is status.tokenHash", status.TokenHash, token.Hash(compact))
	var content, said any
	s.must(json.Unmarshal(status.Content.Raw, &content))
	s.must(json.Unmarshal(payload, &said))
	s.expect(reflect.DeepEqual(content, said), "the payload is status.content", content, said)
	_, err = token.Parse(compact, token.Access, rings, issuer.Spec.URL, time.Now())
	s.expect(err != nil, "the token is not accepted as an access token, which has another typ and other signing keys", "an error", err)
	s.accepted(1, lifecycle.StandingCurrent)
}

func (s *scene) loseSecret() {
	before := s.secret(keyName)
	s.say("A user deletes the wrong Secret:")
	s.metered("restoring a deleted Secret", 1, func() {
		absence := s.absence(keyName)
		s.kubectl("delete", "secret", keyName, "-n", s.stage.namespace)
		s.untilIssued(1)
		s.gap()
		took, measured := <-absence
		s.expect(measured, fmt.Sprintf("the operator created a new Secret %s after the deletion", span(took)), "a watch that sees both", "an interrupted watch")
	})
	after := s.secret(keyName)
	same := reflect.DeepEqual(before.Data, after.Data)
	s.expect(same && before.UID != after.UID, "it holds the same token, byte for byte: workloads with a copy are not affected",
		token.Hash(string(before.Data[v1alpha1.SecretToken])), token.Hash(string(after.Data[v1alpha1.SecretToken])))
	s.expect(s.key(keyName).Status.Revision == 1, "it is still revision 1: the loss causes no rotation", 1, s.key(keyName).Status.Revision)
	s.gap()
	s.say("The operator stores no copy. It signed status.content again with the same signing key. The signature is " +
		"the same because it is deterministic (RFC 6979).")
}

// absence watches a Secret and returns a channel with the time between its deletion and its creation.
func (s *scene) absence(name string) <-chan time.Duration {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	watcher, err := s.stage.clientset.CoreV1().Secrets(s.stage.namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		cancel()
		s.must(err)
	}
	absence := make(chan time.Duration, 1)
	go func() {
		// If the watch breaks off, the channel is closed without a value.
		defer close(absence)
		defer cancel()
		defer watcher.Stop()
		var gone time.Time
		for event := range watcher.ResultChan() {
			switch {
			case event.Type == watch.Deleted:
				gone = time.Now()
			case event.Type == watch.Added && !gone.IsZero():
				absence <- time.Since(gone)
				return
			}
		}
	}()
	return absence
}
