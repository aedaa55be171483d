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
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

func (s *scene) readKey() {
	key, secret := s.key(keyName), s.secret(keyName)
	s.say("The status of the key tells everything about its token, without showing it. What matters of it:")
	s.command("kubectl", "get", "jrk", keyName, "-n", s.stage.namespace, "-o", "yaml")
	s.block(s.statusInShort(&key.Status))
	s.gap()
	s.say("The token itself is in the Secret, for a workload to mount, and nowhere else:")
	s.kubectl("describe", "secret", keyName, "-n", s.stage.namespace)

	compact := string(secret.Data[v1alpha1.SecretToken])
	parts := strings.Split(compact, ".")
	s.gap()
	s.say("It is a JWT, %s, made of a header, a payload and a signature. Decoded:", abbreviated(compact))
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

// decoded is a part of a token.
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

// checkToken reads a token as its verifiers do.
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
	s.expect(err == nil, "the signature is good: it was made by one of the issuer's keys for refresh tokens", "no error", err)
	s.expect(claims.KeyID == status.KeyID, "that key is status.keyID", status.KeyID, claims.KeyID)
	s.expect(token.Hash(compact) == status.TokenHash, "the token's SHA-256 is status.tokenHash", status.TokenHash, token.Hash(compact))
	var content, said any
	s.must(json.Unmarshal(status.Content.Raw, &content))
	s.must(json.Unmarshal(payload, &said))
	s.expect(reflect.DeepEqual(content, said), "the payload is status.content", content, said)
	_, err = token.Parse(compact, token.Access, rings, issuer.Spec.URL, time.Now())
	s.expect(err != nil, "it does not pass for an access token, which has another typ and other signing keys", "an error", err)
	s.accepted(1, registry.Current)
}

func (s *scene) loseSecret() {
	before := s.secret(keyName)
	s.say("Somebody tidies up, and deletes the wrong Secret:")
	s.metered("restoring a deleted Secret", 1, func() {
		absence := s.absence(keyName)
		s.kubectl("delete", "secret", keyName, "-n", s.stage.namespace)
		s.untilIssued(1)
		s.gap()
		took, measured := <-absence
		s.expect(measured, fmt.Sprintf("a new Secret was there %s after the old one was gone", span(took)), "a watch that sees both", "a watch that broke off")
	})
	after := s.secret(keyName)
	same := reflect.DeepEqual(before.Data, after.Data)
	s.expect(same && before.UID != after.UID, "it holds the same token, byte for byte: whoever has a copy need not know",
		token.Hash(string(before.Data[v1alpha1.SecretToken])), token.Hash(string(after.Data[v1alpha1.SecretToken])))
	s.expect(s.key(keyName).Status.Revision == 1, "it is still revision 1: a loss is not a rotation", 1, s.key(keyName).Status.Revision)
	s.gap()
	s.say("No copy was kept anywhere. The token was made again from status.content and the signing key, and the " +
		"signature came out the same because it leaves nothing to chance (RFC 6979).")
}

// absence watches a Secret, and tells how long it was not there.
func (s *scene) absence(name string) <-chan time.Duration {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	watcher, err := s.stage.clientset.CoreV1().Secrets(s.stage.namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		cancel()
		s.must(err)
	}
	absence := make(chan time.Duration, 1)
	go func() {
		// A watch that breaks off leaves no measurement, and nobody waiting.
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
