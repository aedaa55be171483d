package tenancy

import (
	"bytes"
	"testing"
	"time"

	"github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// forgeStatus writes the status of a refresh key as the attacker, and reports whether that succeeded. With
// the admission policy the API server must refuse it, regardless of RBAC.
func (h *fixture) forgeStatus(key *v1alpha1.JWTRefreshKey, forge func(*v1alpha1.JWTRefreshKeyStatus)) (written bool) {
	h.T.Helper()
	var err error
	h.AwaitState("the status is written or refused", func() (bool, string) {
		if err := h.attacker.Get(h.Ctx, keyOf(key), key); err != nil {
			return false, err.Error()
		}
		forge(&key.Status)
		err = h.attacker.Status().Update(h.Ctx, key)
		return err == nil || h.guarded, ""
	})
	if h.guarded {
		expectRefusal(h.Harness, err, "status is written by the operator's own ServiceAccounts only")
	}
	return !h.guarded
}

func replaceInContent(s *v1alpha1.JWTRefreshKeyStatus, old, forged string) {
	s.Content = &apiextensionsv1.JSON{Raw: bytes.ReplaceAll(s.Content.Raw, []byte(old), []byte(forged))}
}

// forgedStatus forges the status of refresh keys. The operator signs the content in status again when the
// Secret is lost. Content of the attacker's choice would give any identity, and the content of the victim's
// key would give its token.
func (h *fixture) forgedStatus() {
	h.Expect(h.Reload(h.victim)).To(gomega.Succeed())
	victim := h.victim.Status
	for name, forge := range map[string]func(*v1alpha1.JWTRefreshKey, *v1alpha1.JWTRefreshKeyStatus){
		"another key's line": func(_ *v1alpha1.JWTRefreshKey, own *v1alpha1.JWTRefreshKeyStatus) {
			own.TokenLine = *victim.TokenLine.DeepCopy()
		},
		"another key's whole status": func(_ *v1alpha1.JWTRefreshKey, own *v1alpha1.JWTRefreshKeyStatus) { *own = *victim.DeepCopy() },
		"another key's content and hash": func(_ *v1alpha1.JWTRefreshKey, own *v1alpha1.JWTRefreshKeyStatus) {
			own.Content, own.TokenHash = victim.Content.DeepCopy(), victim.TokenHash
		},
		"the victim's subject in own content": func(key *v1alpha1.JWTRefreshKey, own *v1alpha1.JWTRefreshKeyStatus) {
			replaceInContent(own, `"sub":"`+ownSubject(key)+`"`, `"sub":"`+ownSubject(h.victim)+`"`)
		},
		"another audience, and the victim's hash": func(_ *v1alpha1.JWTRefreshKey, own *v1alpha1.JWTRefreshKeyStatus) {
			replaceInContent(own, harness.Audience, "https://billing.example.com")
			own.TokenHash = victim.TokenHash
		},
		"a later end": func(_ *v1alpha1.JWTRefreshKey, own *v1alpha1.JWTRefreshKeyStatus) {
			own.ExpiresAt = &metav1.Time{Time: own.ExpiresAt.AddDate(10, 0, 0)}
		},
	} {
		h.T.Run(name, func(t *testing.T) {
			h := h.in(t)
			key, _ := h.issueKey()
			if !h.forgeStatus(key, func(own *v1alpha1.JWTRefreshKeyStatus) { forge(key, own) }) {
				return
			}
			// The operator creates a lost Secret again from status.
			_ = h.attacker.Delete(t.Context(), h.attackerSecret(key.Name))
			h.AwaitState("the operator issues a token of the key itself", func() (bool, string) {
				if err := h.Reload(key); err != nil {
					return false, err.Error()
				}
				raw := []byte{}
				if key.Status.Content != nil {
					raw = key.Status.Content.Raw
				}
				return bytes.Contains(raw, []byte(`"sub":"`+ownSubject(key)+`"`)) && bytes.Contains(raw, []byte(harness.Audience)) &&
					key.Status.ExpiresAt.Before(&metav1.Time{Time: key.CreationTimestamp.AddDate(1, 0, 0)}), harness.Ready(key.Status.Conditions)
			})
			h.expectOwnTokenOnly(key, key.Status.Revision)
			for _, superseded := range key.Status.Previous {
				if superseded.JTI == victim.JTI || superseded.TokenHash == victim.TokenHash {
					t.Error("status.previous lists the victim's token")
				}
			}
		})
	}
	h.T.Run("a revocation removed from status", func(t *testing.T) {
		h := h.in(t)
		key, held := h.issueKey()
		harness.Edit(h.Harness, key, func(key *v1alpha1.JWTRefreshKey) { key.Spec.Revoked = true })
		h.AwaitReason(key, v1alpha1.ReasonRevoked)
		if !h.forgeStatus(key, func(own *v1alpha1.JWTRefreshKeyStatus) { own.RevokedAt, own.RevocationReason = nil, "" }) {
			return
		}
		for _, r := range h.replicas {
			awaitExchange(h.Harness, r, h.issuer, held, "400 invalid_grant")
		}
		h.AwaitReason(key, v1alpha1.ReasonRevoked)
	})
}

// forgedOneTimeStatus forges the status of a one-time key. The token service signs the content in status
// again when a client retries after a lost answer.
func (h *fixture) forgedOneTimeStatus() {
	key, enrolment := h.issueKey(func(key *v1alpha1.JWTRefreshKey) {
		key.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse, RetryGrace: &metav1.Duration{Duration: 10 * time.Minute}}
	})
	second := h.RefreshAt(h.replicas[0], h.issuer.Name, enrolment).Text("refresh_token")
	if got := h.RefreshAt(h.replicas[0], h.issuer.Name, enrolment).Text("refresh_token"); got != second || got == "" {
		h.T.Fatal("a retry did not return the same token")
	}
	h.Expect(h.Reload(h.victim)).To(gomega.Succeed())
	victim := h.victim.Status
	if !h.forgeStatus(key, func(own *v1alpha1.JWTRefreshKeyStatus) {
		replaceInContent(own, `"sub":"`+ownSubject(key)+`"`, `"sub":"`+ownSubject(h.victim)+`"`)
		own.TokenHash = victim.TokenHash
	}) {
		return
	}
	for _, r := range h.replicas {
		for _, compact := range []string{enrolment, second} {
			got := h.RefreshAt(r, h.issuer.Name, compact)
			if next := got.Text("refresh_token"); next != "" && payload(h.Harness, next)["sub"] != ownSubject(key) {
				h.T.Errorf("subject of the signed token: got %v, want %s", payload(h.Harness, next)["sub"], ownSubject(key))
			}
		}
	}
}
